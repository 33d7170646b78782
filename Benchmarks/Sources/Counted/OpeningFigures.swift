import Counting
import WSTransport

/// From the kernel's queue to an open, subscribed connection; and the heap that an idle one takes.
enum OpeningFigures {
    private static let ways = [("topic", "/t/bench/open"), ("json", "/ws")]

    static func record(in tally: Tally, _ harness: Harness) throws {
        for (name, target) in ways {
            try recordOpening(name, target, in: tally, harness)
            try recordMemory(name, target, in: tally, harness)
        }
    }

    /// What an idle, subscribed connection takes of the heap.
    static func recordMemory(_ name: String, _ target: String, in tally: Tally, _ harness: Harness) throws {
        guard tally.wants("memory/idle-\(name)") else { return }
        var stubs: [StubClient] = []
        // What the first thousand make the tables grow is not theirs alone.
        for _ in 0..<1000 { stubs.append(try harness.open(target)) }
        harness.close(stubs)
        stubs = []
        stubs.reserveCapacity(1000)
        try tally.recordMemory("memory/idle-\(name)", count: 1000) {
            for _ in 0..<1000 { stubs.append(try idle(target, harness)) }
        }
        harness.close(stubs)
    }

    /// A connection that subscribes to a filter all share, and is left alone.
    private static func idle(_ target: String, _ harness: Harness) throws -> StubClient {
        let stub = try harness.open(target)
        guard target == "/ws" else { return stub }
        try stub.send(ClientFrame.text(#"{"op":"subscribe","filter":"bench/+"}"#))
        harness.turns(3)
        return stub
    }

    private static func recordOpening(_ name: String, _ target: String, in tally: Tally, _ harness: Harness) throws {
        var stubs: [StubClient] = []
        try tally.record(
            "open/\(name)", operations: 50,
            before: {
                harness.close(stubs)
                stubs = try (0..<50).map { _ in try harness.call(Harness.upgrade(target)) }
            }
        ) { harness.turns(3) }
        for stub in stubs {
            guard try stub.text().hasPrefix("HTTP/1.1 101 ") else { throw Harness.Failure(what: "open") }
        }
        harness.close(stubs)
    }
}
