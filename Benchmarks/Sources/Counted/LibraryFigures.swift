import Counting
import WSTransport

/// What the library's public face costs: an echo by a closure that reads, by one that listens, and by the machine
/// beneath them; and the heap that an idle socket of each kind takes.
enum LibraryFigures {
    static func record(in tally: Tally, _ harness: LibraryHarness) throws {
        try FloorFigures.record(in: tally, harness)
        for kind in ["machine", "closure", "listener"] {
            for (pace, count) in [("one", 1), ("fifty", 50)] {
                try recordEcho("library/echo-64B/\(kind)/\(pace)-a-turn", "/\(kind)", count, in: tally, harness)
            }
        }
        for kind in ["machine", "closure", "request", "listener"] {
            try recordMemory("memory/library-\(kind)", "/\(kind)", in: tally, harness)
        }
    }

    /// From the kernel's queue to the kernel's queue.
    private static func recordEcho(
        _ name: String, _ target: String, _ count: Int, in tally: Tally, _ harness: LibraryHarness
    ) throws {
        guard tally.wants(name) else { return }
        let stub = try harness.open(target)
        let frames = ClientFrame.repeated(ClientFrame.text(String(repeating: "e", count: 64)), count)
        var echoed = 0
        try tally.record(
            name, operations: count, rounds: 20,
            before: {
                echoed += harness.drain(stub)
                try stub.send(frames)
            }
        ) { harness.turns(2) }
        echoed += harness.drain(stub)
        guard echoed == 22 * count * 66 else { throw Harness.Failure(what: "\(name): \(echoed) bytes came back") }
        harness.close([stub])
    }

    /// What a socket takes that has echoed a message and is left alone.
    private static func recordMemory(
        _ name: String, _ target: String, in tally: Tally, _ harness: LibraryHarness
    ) throws {
        guard tally.wants(name) else { return }
        var stubs: [StubClient] = []
        // What the first thousand make the tables grow is not theirs alone.
        for _ in 0..<1000 { stubs.append(try idle(target, harness)) }
        harness.close(stubs)
        stubs = []
        stubs.reserveCapacity(1000)
        try tally.recordMemory(name, count: 1000) {
            for _ in 0..<1000 { stubs.append(try idle(target, harness)) }
        }
        harness.close(stubs)
    }

    private static func idle(_ target: String, _ harness: LibraryHarness) throws -> StubClient {
        let stub = try harness.open(target)
        try stub.send(ClientFrame.text("hello"))
        harness.turns(3)
        guard harness.drain(stub) == 7 else { throw Harness.Failure(what: "\(target): no echo") }
        return stub
    }
}
