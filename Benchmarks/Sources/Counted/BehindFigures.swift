import Broker
import Counting

/// The cost of one filter, when a publication matches a thousand filters with many `+` of each of a few clients.
///
/// Clients that are behind must not cost more than those that keep up.
enum BehindFigures {
    private static let (clients, filtersOfEach) = (5, 999)
    private static let levels = 31

    /// - Parameter harness: with little room for what waits, so that messages are dropped.
    static func record(in tally: Tally, _ harness: Harness) throws {
        for (name, policy) in [("live", "drop-oldest"), ("drop-oldest", "drop-oldest"), ("latest", "latest")]
        where tally.wants("behind/\(name)") {
            let stubs = try (0..<clients).map { _ in try subscribe(policy, harness) }
            if name != "live" {
                for session in harness.shard.everybody { harness.shard.catchUp.fellBehind(session) }
            }
            let topic = try Topic((0..<levels).map { "l\($0)" }.joined(separator: "/"), limits: .none)
            var draft = Draft(topic: topic, payload: Array("m".utf8), kind: .text)
            draft.contentType = "text/plain"
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            func publish() {
                for stub in stubs { stub.drain(into: &buffer) }
                harness.shard.publish(draft, from: nil)
            }
            // Until as much waits as may.
            for _ in 0..<50 {
                publish()
                harness.turns(1)
            }
            let isAsItShouldBe = harness.shard.everybody.allSatisfy { session in
                session.subscriptions.count == filtersOfEach && session.subscriptions.isBehind == (name != "live")
            }
            guard isAsItShouldBe else { throw Harness.Failure(what: name) }
            try tally.record(
                "behind/\(name)", operations: clients * filtersOfEach, rounds: 5, before: publish
            ) { harness.turns(1) }
            harness.close(stubs)
        }
    }

    private static func subscribe(_ policy: String, _ harness: Harness) throws -> StubClient {
        let stub = try harness.open("/ws")
        let filters = (0..<filtersOfEach).map { "\"\(filter($0))\"" }.joined(separator: ",")
        let options = "\"slow\":\"\(policy)\",\"snapshot\":false"
        try stub.send(ClientFrame.text("{\"op\":\"subscribe\",\"id\":1,\"filter\":[\(filters)],\(options)}"))
        harness.turns(8)
        return stub
    }

    /// One of 31 levels, of which eight are `+`.
    private static func filter(_ number: Int) -> String {
        var names = (0..<levels).map { "l\($0)" }
        var (state, left) = (number &* 2_654_435_761 &+ 12_345, 8)
        while left > 0 {
            state = (state &* 6_364_136_223_846_793_005) &+ 1_442_695_040_888_963_407
            let level = (state >> 33) & 31
            guard level < levels, names[level] != "+" else { continue }
            names[level] = "+"
            left -= 1
        }
        return names.joined(separator: "/")
    }
}
