import Counting
import Synchronization
import WSTransport

/// The cost of Swift's concurrency itself on a reactor's thread: the minimum of the library's figures.
enum FloorFigures {
    private static let count = 50

    static func record(in tally: Tally, _ harness: LibraryHarness) throws {
        let remote = harness.remote
        try recordTurns("library/floor/task", in: tally, harness) {
            for _ in 0..<count { Task(executorPreference: remote) {} }
        }
        guard tally.wants("library/floor/") else { return }
        let parked = Parked()
        for _ in 0..<count { Task(executorPreference: remote) { await parked.loop() } }
        harness.turns(1)
        try recordTurns("library/floor/resume", in: tally, harness) { parked.resumeAll() }
        parked.end()
        harness.turns(1)
        let once = Parked()
        for (name, isHopping) in [("call", false), ("call-and-hop", true)] {
            Task(executorPreference: remote) { await calls(once, isHopping) }
            harness.turns(1)
            try recordTurns("library/floor/\(name)", in: tally, harness) { once.resumeAll() }
            once.end()
            harness.turns(1)
        }
    }

    private static func recordTurns(
        _ name: String, in tally: Tally, _ harness: LibraryHarness, _ body: () -> Void
    ) throws {
        guard tally.wants(name) else { return }
        try tally.record(name, operations: count, rounds: 20, before: {}) {
            body()
            harness.turns(1)
        }
    }

    /// Calls asynchronous functions that do nothing whenever it is resumed.
    private static func calls(_ parked: Parked, _ isHopping: Bool) async {
        while await parked.park() {
            for _ in 0..<count { if isHopping { await hop() } else { await stay() } }
        }
    }

    /// Runs on the task's executor, which it looks up.
    @inline(never) @concurrent private static func hop() async { blackHole() }

    /// Runs where its caller does.
    @inline(never) private nonisolated(nonsending) static func stay() async { blackHole() }

    @inline(never) @_optimize(none) private static func blackHole() {}
}

/// Tasks that wait to be resumed, all of them at once.
private final class Parked: Sendable {
    private let waiting = Mutex<[UnsafeContinuation<Bool, Never>]>([])

    func park() async -> Bool { await withUnsafeContinuation { waiter in waiting.withLock { $0.append(waiter) } } }

    func loop() async { while await park() {} }

    func resumeAll() { take().forEach { $0.resume(returning: true) } }

    func end() { take().forEach { $0.resume(returning: false) } }

    private func take() -> [UnsafeContinuation<Bool, Never>] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}
