import Testing

@testable import Broker
@testable import WSTransport

/// A reactor none of whose clients wants messages is not woken for those of others.
@Suite("Patient shards: what nobody wants wakes no reactor")
struct PatientShardTests {
    /// Publishes on the first reactor, and returns when the message is in all mailboxes.
    private func publish(_ harness: ExchangeHarness, _ payload: String = "x") throws {
        #expect(try harness.publish([draft("a", payload)])[0].value != nil)
    }

    private func mailbox(_ harness: ExchangeHarness, _ index: Int) throws -> Mailbox<ShardEvent> {
        let answer = try harness.run(on: index) { $0.mailbox }
        // It has become patient at the end of that turn.
        try harness.wait(on: 0) { _ in answer.isPatient }
        return answer
    }

    @Test func waitsUntilSomebodyWantsThem() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let other = try mailbox(harness, 1)
        for _ in 0..<10 { try publish(harness) }
        #expect(other.hasElements)
        let stub = try harness.connectJSON(on: 1)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"a"}"#, id: 1)
        try publish(harness, "wanted")
        #expect(try stub.next { $0.op == "message" }?.data == "wanted")
        #expect(!other.isPatient)
        try stub.ask(#"{"op":"unsubscribe","id":2,"filter":"a"}"#, id: 2)
        try harness.wait(on: 0) { _ in other.isPatient }
    }

    @Test func takesThemWhenTheyAreMany() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let other = try mailbox(harness, 1)
        try publish(harness)
        #expect(other.hasElements)
        try publish(harness, String(repeating: "x", count: Inbox.mostUnwanted))
        try harness.wait(on: 0) { _ in !other.hasElements }
    }

    /// A reply comes at once, although nobody on its reactor has a subscription.
    @Test func isWokenForReplies() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let other = try mailbox(harness, 1)
        let (asker, answerer) = (try harness.connectJSON(on: 1), try harness.connectJSON(on: 0))
        try answerer.ask(#"{"op":"subscribe","id":1,"filter":"question"}"#, id: 1)
        try asker.send(#"{"op":"publish","id":1,"topic":"question","data":"?","reply":true}"#)
        var question = ""
        while !question.contains("replyTo") { question = try #require(try answerer.frame()).text }
        let reply = try #require(question.firstMatch(of: /"replyTo":"([^"]+)"/)).output.1
        try answerer.send(#"{"op":"publish","topic":"\#(reply)","data":"!"}"#)
        #expect(try asker.next { $0.op == "reply" }?.data == "!")
        try harness.wait(on: 0) { _ in other.isPatient }
    }
}
