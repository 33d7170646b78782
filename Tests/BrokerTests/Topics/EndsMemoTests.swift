import Testing

@testable import Broker

@Suite("Memo of the nodes that a topic's walk reaches")
struct EndsMemoTests {
    private let memo = EndsMemo()

    private func ends(_ topic: Topic, _ version: UInt64, _ nodes: ContiguousArray<UInt32>?) -> [UInt32]? {
        guard let ends = memo.ends(of: topic, version: version, { nodes.flatMap { TopicEnds($0, version: version) } })
        else {
            return nil
        }
        return (0..<ends.count).map { ends.nodes[$0] }
    }

    @Test(arguments: ["a", "a/name/that/is/longer/than/fifteen/bytes"])
    func remembersAfterTheSecondWalk(name: String) throws {
        let topic = try topic(name)
        #expect(ends(topic, 1, [7]) == nil)
        #expect(ends(topic, 1, [1, 2]) == [1, 2])
        // No other walk is made.
        #expect(ends(topic, 1, [8]) == [1, 2])
    }

    @Test func forgetsWhenTheTreeChanges() throws {
        let topic = try topic("a/b")
        #expect(ends(topic, 1, []) == nil)
        #expect(ends(topic, 1, [1]) == [1])
        #expect(ends(topic, 2, [2]) == nil)
        #expect(ends(topic, 2, [3]) == [3])
    }

    @Test func doesNotRememberTooManyNodes() throws {
        let topic = try topic("a/b")
        #expect(ends(topic, 1, []) == nil)
        #expect(ends(topic, 1, nil) == nil)
        #expect(ends(topic, 1, [1]) == nil)
        #expect(ends(topic, 2, [1]) == nil)
        #expect(ends(topic, 2, [1]) == [1])
    }

    @Test func doesNotRememberCostlyWalks() throws {
        let topic = try topic("a/b")
        #expect(ends(topic, 1, [1]) == nil)
        memo.leave(topic)
        #expect(ends(topic, 1, [1]) == nil)
    }

    @Test func doesNotRememberLongNames() throws {
        let topic = Topic(unchecked: String(repeating: "a", count: 1025))
        for _ in 0..<3 { #expect(ends(topic, 1, [1]) == nil) }
    }

    @Test func neverConfusesTopics() throws {
        let topics = try (0..<1000).map { try topic("sensors/\($0)/temperature") }
        for _ in 0..<3 {
            for (number, topic) in topics.enumerated() {
                let found = ends(topic, 1, [UInt32(number)])
                #expect(found == nil || found == [UInt32(number)])
            }
        }
    }

    /// As seen from outside: a client that subscribes after a topic has become known gets the next message, and one
    /// that has ended its subscription does not.
    @Test func neverHidesASubscriptionChange() throws {
        let stub = try ExchangeHarness().connectJSON()
        var id = 0
        func ask(_ command: String) throws -> Int {
            id += 1
            return try stub.ask(#"{"id":\#(id),\#(command)}"#, id: id).count { $0.op == "message" }
        }
        // What a message is sent to comes after its publisher's answer, and before that of the next command.
        func published() throws -> Int {
            try ask(#""op":"publish","topic":"a/b","data":"x""#) + ask(#""op":"ping""#)
        }
        for _ in 0..<4 { #expect(try published() == 0) }
        _ = try ask(#""op":"subscribe","filter":"a/+""#)
        for _ in 0..<4 { #expect(try published() == 1) }
        _ = try ask(#""op":"unsubscribe","filter":"a/+""#)
        for _ in 0..<4 { #expect(try published() == 0) }
    }
}
