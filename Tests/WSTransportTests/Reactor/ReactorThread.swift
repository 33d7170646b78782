import Foundation
import Synchronization

@testable import WSTransport

/// A reactor that runs on its own thread until this value ends.
final class ReactorThread: Sendable {
    let remote: Remote
    let counters = ReactorCounters()
    /// The result that ``run(_:)`` waits for.
    private final class Outcome<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
        let done = DispatchSemaphore(value: 0)
    }
    /// The reactor did not answer in time, or the awaited event did not come.
    struct Stuck: Error {}

    /// How long a test waits, in seconds: much longer than anything takes even if many tests run on a slow machine.
    static let patience = 60.0

    private let thread: ThreadHandle

    /// Sends through io_uring, if the kernel has it, even the output of a single connection.
    init(backend: ReactorBackend = .auto) throws {
        remote = try Remote()
        let reactor = try Reactor(index: 0, counters: counters, remote: remote, backend: backend)
        reactor.ringMinimum = 1
        reactor[Stage.self] = Stage()
        // Nothing else refers to the reactor from here on.
        nonisolated(unsafe) let owned = reactor
        thread = try startThread(named: "reactor") { owned.run() }
    }

    deinit {
        remote.run { $0.stop() }
        thread.join()
    }

    /// Runs `body` in a turn of the reactor and waits for what it returns.
    @discardableResult
    func run<Value: Sendable>(_ body: @escaping @Sendable (Reactor, Stage) -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        remote.run { reactor in
            guard let stage = reactor[Stage.self] else { return }
            let value = body(reactor, stage)
            outcome.value.withLock { $0 = value }
            outcome.done.signal()
        }
        guard outcome.done.wait(timeout: .now() + Self.patience) == .success, let value = outcome.value.withLock({ $0 })
        else {
            throw Stuck()
        }
        return value
    }

    /// Lets several turns pass.
    func turns(_ count: Int = 5) throws { for _ in 0..<count { try run { _, _ in } } }

    /// Lets turns pass until `condition` holds, one a millisecond: only for conditions that no event reports.
    func wait(until condition: () throws -> Bool) throws {
        let limit = MonotonicTime.now.advanced(byNanoseconds: Int64(Self.patience * 1e9))
        while try !condition() {
            guard MonotonicTime.now < limit else { throw Stuck() }
            let passed = DispatchSemaphore(value: 0)
            remote.run { $0.run(afterNanoseconds: 1_000_000) { passed.signal() } }
            guard passed.wait(timeout: .now() + Self.patience) == .success else { throw Stuck() }
        }
    }

    /// Adopts one end of a pair of sockets and returns the other one.
    func adopt(
        log: EventLog = EventLog(), sendBytes: Int32? = nil,
        _ configure: @escaping @Sendable (TestDriver) -> Void = { _ in }
    ) throws -> SocketPeer {
        let (peer, other) = SocketPeer.pair(sendBytes: sendBytes)
        try run { reactor, stage in
            let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
            let driver = TestDriver(stream, log)
            stream.driver = driver
            stage.drivers.append(driver)
            configure(driver)
        }
        return peer
    }
}

/// The state that belongs to the reactor's thread.
final class Stage {
    var drivers: [TestDriver] = []
    var kept: [AnyObject] = []
    var pending: [() -> Void] = []
}

/// A driver that logs its calls and follows the test's orders.
final class TestDriver: StreamDriver {
    let stream: StreamConnection
    let log: EventLog
    /// Logs the bytes, and returns how many are consumed.
    var onReceived: (TestDriver, [UInt8]) -> Int = { $1.count }
    var onEnd: (TestDriver) -> Void = { _ in }
    var onClosed: (TestDriver) -> Void = { _ in }
    var onDeadline: (TestDriver) -> Void = { _ in }

    init(_ stream: StreamConnection, _ log: EventLog) {
        self.stream = stream
        self.log = log
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let taken = onReceived(self, Array(bytes))
        log.add("received " + String(decoding: bytes.prefix(taken), as: UTF8.self))
        return taken
    }

    func receivedEnd() {
        log.add("end")
        onEnd(self)
    }

    func deadlinePassed() {
        onDeadline(self)
        log.add("deadline")
    }

    func fellBehind() { log.add("behind") }
    func drained() { log.add("drained") }
    func overflowed() { log.add("overflowed") }

    func closed() {
        onClosed(self)
        log.add("closed")
    }
}
