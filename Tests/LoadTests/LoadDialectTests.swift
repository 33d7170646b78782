import Testing

@testable import Load

@Suite("The messages of a load")
struct LoadDialectTests {
    private static func payloads(_ dialect: any LoadDialect, _ text: String) -> [String] {
        var found: [String] = []
        let bytes = Array(text.utf8)
        bytes.withUnsafeBytes { bytes in
            _ = dialect.read(bytes) { found.append(String(decoding: $0, as: UTF8.self)) }
        }
        return found
    }

    @Test func readsTopicFramesUnchanged() {
        let dialect = TopicDialect(prefix: "/p", topic: "a b/c")
        #expect(dialect.target == "/p/t/a%20b/c?echo=false&snapshot=false")
        #expect(Self.payloads(dialect, "hello") == ["hello"])
        #expect(dialect.readyMark(isSubscriber: true) == nil)
    }

    @Test func waitsForTheValueOfItsOwnTopic() {
        let dialect = RetainedDialect(target: "/t/storm")
        #expect(dialect.target(of: 12) == "/t/storm/12")
        #expect(dialect.readyMark(isSubscriber: true, number: 12) == Array("value of client 12.".utf8))
        #expect(!RetainedDialect.value(123).hasPrefix(RetainedDialect.value(12)))
        // The others have one for all.
        let other = TopicDialect(target: "/t/a")
        #expect(other.target(of: 12) == "/t/a" && other.readyMark(isSubscriber: true, number: 12) == nil)
    }

    @Test func extractsTheDataOfAMessage() {
        let dialect = JSONDialect(topic: "bench/1", filter: "bench/+")
        let message = #"{"op":"message","topic":"bench/1","seq":7,"time":1,"data":"0123abc"}"#
        #expect(Self.payloads(dialect, message) == ["0123abc"])
        #expect(Self.payloads(dialect, #"{"op":"pong"}"#) == [])
    }

    @Test func publishesJSON() {
        let plain = JSONDialect(topic: "a\"b", filter: "#")
        #expect(plain.publication([0x78]) == Array(#"{"op":"publish","topic":"a\"b","data":"x"}"#.utf8))
        let stored = JSONDialect(topic: "t", filter: "t", isRetaining: true, isAcknowledged: true)
        #expect(
            stored.publication([0x78]) == Array(#"{"op":"publish","topic":"t","id":1,"retain":true,"data":"x"}"#.utf8))
    }
}
