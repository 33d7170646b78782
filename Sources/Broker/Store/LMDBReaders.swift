internal import CLMDB
internal import Glibc
internal import Synchronization
internal import WSTransport

/// The opened file and the read transactions on it, which are lent and returned.
///
/// LMDB allows one environment for a file in a process. So after a failure that LMDB does not recover from, the file
/// can be opened again only when nobody reads it any more; this class counts its users. Any thread.
final class LMDBReaders: Sendable {
    private struct State {
        /// The opened file; `nil` while it is being opened again, and after that has failed.
        var environment: LMDBEnvironment?
        /// Whether the file is about to be opened again, so that it is no longer lent.
        var isReopening = false
        var idle: [LMDBReader] = []
        /// How many readers and other users the file has now.
        var lent = 0
        var views: [Int: KnownView] = [:]
        var nextView = 0
        /// The environment that was released last; no other is opened while it exists.
        weak var closing: LMDBEnvironment?
    }

    private struct KnownView {
        weak var view: LMDBView?
        let begin: MonotonicTime
        /// The value of ``LMDBReaders/written`` when the view began, in bytes.
        let written: Int
    }

    private let state: Mutex<State>
    private let database: LMDBDatabase
    private let maximumViews: Int
    private let viewGrowth: Int
    private let takenBack = Atomic<Int>(0)
    /// Approximately how much was written since the start, in bytes.
    private let written = Atomic<Int>(0)

    private static let maximumIdle = 16
    /// How long reopening waits for readers, in milliseconds.
    private static let reopenPatience = 2000

    /// - Parameters:
    ///   - database: the database of the readers' cursors.
    ///   - maximumViews: the maximum number of views at a time; the file has many more readers, each used for a moment.
    ///   - viewGrowth: how much may be written after a view began before its reader is taken back, in bytes.
    init(_ environment: LMDBEnvironment, cursorOver database: LMDBDatabase, maximumViews: Int, viewGrowth: Int) {
        self.database = database
        self.maximumViews = maximumViews
        self.viewGrowth = viewGrowth
        state = Mutex(State(environment: environment))
    }

    /// The opened file for the writer; it must not be kept.
    func environment() throws(StorageError) -> LMDBEnvironment {
        guard let environment = state.withLock({ $0.environment }) else { throw Self.closed }
        return environment
    }

    /// The maximum size of the file, in bytes.
    func mapSize() throws(StorageError) -> Int { try environment().mapSize }

    /// The error for all callers while the file cannot be opened again.
    static let closed = StorageError.system(code: EIO, what: "the store's file could not be opened again")

    private static let reopening = StorageError.busy("its file is being reopened after a disk failure")

    // MARK: Lending

    /// A reader of what is committed now; the caller must return it.
    ///
    /// Never blocks, because reactors call it; throws a `busy` error while the file is being opened again.
    func take() throws(StorageError) -> LMDBReader {
        let (environment, idle) = try lend { $0.idle.popLast() }
        do throws(StorageError) {
            guard let idle else { return try LMDBReader(environment, cursorOver: database) }
            try idle.renew()
            return idle
        } catch {
            state.withLock { $0.lent -= 1 }
            // The writer sees the same error, and opens the file again.
            throw error.isPanic ? Self.reopening : error
        }
    }

    /// Counts one more user of the file, which must sign off later.
    private func lend<Share>(
        _ share: (inout State) -> Share
    ) throws(StorageError) -> (environment: LMDBEnvironment, share: Share) {
        try state.withLock { (state) throws(StorageError) in
            guard !state.isReopening else { throw Self.reopening }
            guard let environment = state.environment else { throw Self.closed }
            state.lent += 1
            return (environment, share(&state))
        }
    }

    func giveBack(_ reader: LMDBReader) {
        reader.reset()
        state.withLock { state in
            state.lent -= 1
            if state.idle.count < Self.maximumIdle { state.idle.append(reader) }
        }
    }

    /// Calls `body` with the file, which stays open meanwhile.
    func use<Result>(_ body: (LMDBEnvironment) throws(StorageError) -> Result) throws(StorageError) -> Result {
        let environment = try lend { _ in }.environment
        defer { state.withLock { $0.lent -= 1 } }
        return try body(environment)
    }

    // MARK: Views

    /// How long a view may last, in nanoseconds.
    static let viewPatience: Int64 = 5_000_000_000
    private static let tooManyViews = StorageError.busy("too many snapshots of it are open")

    /// A reader for a view and the view's number, for ``forget(view:)``; throws `busy` if there are too many views.
    func takeForView() throws(StorageError) -> (reader: LMDBReader, number: Int) {
        let reader = try take()
        let number = state.withLock { state -> Int? in
            guard state.views.count < maximumViews else { return nil }
            state.nextView += 1
            state.views[state.nextView] = KnownView(
                view: nil, begin: .now, written: written.load(ordering: .relaxed))
            return state.nextView
        }
        guard let number else {
            giveBack(reader)
            throw Self.tooManyViews
        }
        return (reader, number)
    }

    /// Counts written bytes: a view prevents the reuse of that much.
    func count(written bytes: Int) { written.add(bytes, ordering: .relaxed) }

    /// Registers a view, whose reader can be taken back.
    func remember(_ view: LMDBView, as number: Int) {
        state.withLock { $0.views[number]?.view = view }
    }

    func forget(view number: Int) { state.withLock { _ = $0.views.removeValue(forKey: number) } }

    /// How many views have a reader, and how many readers were taken back.
    var viewFigures: (now: Int, takenBack: Int) {
        (state.withLock { $0.views.count }, takenBack.load(ordering: .relaxed))
    }

    /// Takes the readers of views back, so that pages freed since they began can be reused.
    ///
    /// The writer's thread, between transactions. Waits for a view that is being scanned.
    ///
    /// - Parameter all: whether young views that prevent little reuse lose their readers, too.
    /// - Returns: how many readers were taken back.
    @discardableResult
    func takeViewsBack(all: Bool = false, now: MonotonicTime = .now) -> Int {
        let known = state.withLock { Array($0.views.values) }
        let written = written.load(ordering: .relaxed)
        var count = 0
        for item in known {
            let isOld = now.nanoseconds(since: item.begin) > Self.viewPatience
            guard all || isOld || written &- item.written > viewGrowth else { continue }
            if item.view?.letGo() ?? false { count += 1 }
        }
        takenBack.add(count, ordering: .relaxed)
        return count
    }

    // MARK: Opening again

    /// Waits until nobody reads the file, closes it, and lets `open` open it.
    ///
    /// No reader is lent meanwhile, so the present ones are returned soon, however many are requested. Runs on the
    /// writer's thread, which must not hold the file.
    func reopen(_ open: () throws(StorageError) -> LMDBEnvironment) throws(StorageError) {
        state.withLock { $0.isReopening = true }
        defer { state.withLock { $0.isReopening = false } }
        try close()
        // It may include a sync, for which nobody should wait at the lock.
        let environment = try open()
        state.withLock { $0.environment = environment }
    }

    /// Withdraws the file from all users, and closes it.
    private func close() throws(StorageError) {
        for _ in 0..<Self.reopenPatience {
            let views = state.withLock { $0.views.values.compactMap(\.view) }
            for view in views { view.letGo() }
            // A reader that was just returned may still be inside LMDB.
            if takeAway(), state.withLock({ $0.closing == nil }) { return }
            pause(milliseconds: 1)
        }
        throw .busy("its file must be reopened and is still being read")
    }

    /// Releases the file, outside the lock because closing takes time; returns `false` if the file is in use.
    private func takeAway() -> Bool {
        let taken: (environment: LMDBEnvironment?, idle: [LMDBReader])? = state.withLock { state in
            guard state.lent == 0 else { return nil }
            if let environment = state.environment { state.closing = environment }
            defer { (state.environment, state.idle) = (nil, []) }
            return (state.environment, state.idle)
        }
        return taken != nil
    }
}

extension StorageError {
    /// Whether LMDB refuses reads and writes until the file is opened again.
    var isPanic: Bool {
        if case .system(MDB_PANIC, _) = self { return true }
        return false
    }

    /// Whether the last attempt to open the file again failed.
    var isClosed: Bool { self == LMDBReaders.closed }
}
