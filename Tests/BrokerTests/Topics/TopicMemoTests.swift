import Testing

@testable import Broker

@Suite("Memo of recently published topics")
struct TopicMemoTests {
    @Test(arguments: [
        "a", "a/b", "plant/5/line/3/temperature", "é/日本語", String(repeating: "a", count: 128),
    ])
    func findsTopicsByBytes(name: String) throws {
        let memo = TopicMemo()
        #expect(memo.topic(named: name.utf8Span.span) == nil)
        memo.keep(try topic(name))
        #expect(memo.topic(named: name.utf8Span.span)?.name == name)
        // Of the same length and with the same ends, so in the same place.
        let other = name.count < 17 ? name + "x" : name.prefix(8) + "!" + name.dropFirst(9)
        #expect(memo.topic(named: other.utf8Span.span) == nil)
    }

    /// `String` treats both as equal.
    @Test func distinguishesCanonicallyEquivalentNames() throws {
        let memo = TopicMemo()
        memo.keep(try topic("\u{E9}"))
        #expect(memo.topic(named: "e\u{301}".utf8Span.span) == nil)
    }

    @Test func doesNotKeepLongNames() throws {
        let memo = TopicMemo()
        let name = String(repeating: "a", count: 129)
        memo.keep(try topic(name))
        #expect(memo.topic(named: name.utf8Span.span) == nil)
    }

    @Test func keepsAtMost64Topics() throws {
        let memo = TopicMemo()
        let topics = try (0..<1000).map { try topic("sensors/\($0)/temperature") }
        for topic in topics { memo.keep(topic) }
        let found = topics.filter { memo.topic(named: $0.name.utf8Span.span) == $0 }
        #expect(found.count <= 64 && found.last == topics.last)
    }

    /// A reload may change the limits.
    @Test func forgetsWhenTheLimitsChange() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        let publish = #"{"op":"publish","topic":"a/b/c","data":1,"id":1}"#
        #expect(try stub.ask(publish, id: 1).last?.op == "ok")
        try harness.run { $0.settings.topicLimits.maximumLevels = 2 }
        #expect(try stub.ask(publish, id: 1).last?.code == "bad-topic")
    }
}
