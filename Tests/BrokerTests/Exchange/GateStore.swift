import Dispatch
import Synchronization

@testable import Broker

/// A store whose commits wait while it is shut, and fail on demand.
final class GateStore: MessageStore {
    private struct State {
        var isShut = false
        var isWaiting = false
        /// Commits that may pass although it is shut.
        var permits = 0
        var failure: StorageError?
        var isBusy = false
        var lendsViews = true
        /// How often all views were ended.
        var takings = 0
        var onRead: (@Sendable () -> Void)?
    }

    /// A view that shows the values as they were when it was ended.
    private final class View: RetainedView {
        private let gate: GateStore
        private let inner: any RetainedView
        private let takings: Int

        init(_ gate: GateStore, _ inner: any RetainedView) {
            self.gate = gate
            self.inner = inner
            takings = gate.state.withLock { $0.takings }
        }

        func scan(
            _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
        ) throws(StorageError) -> ScanEnd {
            guard takings == gate.state.withLock({ $0.takings }) else {
                return try gate.scan(filter, after: position, visiting: maximum, now: now, body)
            }
            return try inner.scan(filter, after: position, visiting: maximum, now: now, body)
        }
    }

    let inner: InMemoryStore
    private let state = Mutex(State())
    private let permission = DispatchSemaphore(value: 0)

    init(_ inner: InMemoryStore = InMemoryStore()) { self.inner = inner }

    func shut() { state.withLock { $0.isShut = true } }

    /// Whether a commit waits.
    var hasOneWaiting: Bool { state.withLock { $0.isWaiting } }

    func open() {
        let wakes = state.withLock { state in
            state.isShut = false
            state.permits = 0
            defer { state.isWaiting = false }
            return state.isWaiting
        }
        if wakes { permission.signal() }
    }

    /// Lets one commit pass.
    func letOnePass() {
        let wakes = state.withLock { state in
            defer { state.isWaiting = false }
            if !state.isWaiting, state.isShut { state.permits += 1 }
            return state.isWaiting
        }
        if wakes { permission.signal() }
    }

    /// The error of every commit from now on; `nil` if they succeed again.
    func fail(with error: StorageError?) { state.withLock { $0.failure = error } }

    /// Readers must retry, as while a file is reopened.
    func setBusy(_ isBusy: Bool) { state.withLock { $0.isBusy = isBusy } }

    /// Whether there are views at all from now on.
    func setLendsViews(_ lendsViews: Bool) { state.withLock { $0.lendsViews = lendsViews } }

    /// Ends the views: their holders see the current values from now on.
    func takeViewsBack() { state.withLock { $0.takings += 1 } }

    /// Called whenever something is read.
    func setOnRead(_ onRead: (@Sendable () -> Void)?) { state.withLock { $0.onRead = onRead } }

    private func checkBusy() throws(StorageError) {
        state.withLock({ $0.onRead })?()
        if state.withLock({ $0.isBusy }) { throw .busy("it was told to be") }
    }

    private func pass() throws(StorageError) {
        let waits = state.withLock { state in
            guard state.isShut else { return false }
            if state.permits > 0 {
                state.permits -= 1
                return false
            }
            state.isWaiting = true
            return true
        }
        if waits { permission.wait() }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    var epoch: UInt64 { inner.epoch }
    var reservedSeq: UInt64 { inner.reservedSeq }
    func reserve(seqsUpTo seq: UInt64) throws(StorageError) { try inner.reserve(seqsUpTo: seq) }

    func value(of topic: Topic, now: Int64) throws(StorageError) -> Message? {
        try checkBusy()
        return try inner.value(of: topic, now: now)
    }

    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        try checkBusy()
        return try inner.scan(filter, after: position, visiting: maximum, now: now, body)
    }

    func view() throws(StorageError) -> any RetainedView {
        try checkBusy()
        guard state.withLock({ $0.lendsViews }) else { throw .busy("it was told to lend no view") }
        return View(self, try inner.view())
    }

    func apply(_ entries: [StoreEntry], reserving seq: UInt64?, now: Int64) throws(StorageError) {
        try pass()
        try inner.apply(entries, reserving: seq, now: now)
    }

    var nextExpiry: Int64 { inner.nextExpiry }
    func expired(by now: Int64, atMost maximum: Int) throws(StorageError) -> [ExpiredValue] {
        try inner.expired(by: now, atMost: maximum)
    }

    func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError) { inner.adopt(rules, from: seq) }
    func lose(_ seq: UInt64) { inner.lose(seq) }
    func maintain(now: Int64) throws(StorageError) -> Bool { inner.maintain(now: now) }
    func seal(upTo seq: UInt64?) throws(StorageError) { inner.seal(upTo: seq) }
    func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try checkBusy()
        return try inner.readHistory(body)
    }

    func probe() throws(StorageError) {}
    func statistics() throws(StorageError) -> StoreStatistics { try inner.statistics() }
}
