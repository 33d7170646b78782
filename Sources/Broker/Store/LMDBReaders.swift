internal import CLMDB
internal import Glibc
internal import Synchronization
internal import WSTransport

/// The opened file and the read transactions over it, lent out and taken back.
///
/// LMDB allows one environment for a file in a process. So the file can be opened again, after a failure that LMDB
/// does not recover from, only when nobody reads it any more; this knows who does. Any thread.
final class LMDBReaders: Sendable {
    private struct State {
        /// `nil`: it is being opened again, or could not be.
        var environment: LMDBEnvironment?
        /// Whether it is about to be opened again, and so not lent any more.
        var isReopening = false
        var idle: [LMDBReader] = []
        /// Readers and others that use the file now.
        var lent = 0
        var views: [Int: KnownView] = [:]
        var nextView = 0
        /// The environment that was let go of last; while it lives nobody opens another.
        weak var closing: LMDBEnvironment?
    }

    private struct KnownView {
        weak var view: LMDBView?
        let begin: MonotonicTime
        /// What had been written when it began, in bytes.
        let written: Int
    }

    private let state: Mutex<State>
    private let database: LMDBDatabase
    private let maximumViews: Int
    private let viewGrowth: Int
    private let takenBack = Atomic<Int>(0)
    /// What was written since the start, about, in bytes.
    private let written = Atomic<Int>(0)

    private static let maximumIdle = 16
    /// How long the file waits for its readers, in milliseconds.
    private static let reopenPatience = 2000

    /// - Parameters:
    ///   - database: what the readers' cursors move over.
    ///   - maximumViews: how many views there are at a time; the file has many more readers, which others take for a
    ///     moment.
    ///   - viewGrowth: how much is written before a view that began before it is ended, in bytes.
    init(_ environment: LMDBEnvironment, cursorOver database: LMDBDatabase, maximumViews: Int, viewGrowth: Int) {
        self.database = database
        self.maximumViews = maximumViews
        self.viewGrowth = viewGrowth
        state = Mutex(State(environment: environment))
    }

    /// The opened file for the one who writes; it must not be kept.
    func environment() throws(StorageError) -> LMDBEnvironment {
        guard let environment = state.withLock({ $0.environment }) else { throw Self.closed }
        return environment
    }

    /// What the file may grow to, in bytes.
    func mapSize() throws(StorageError) -> Int { try environment().mapSize }

    /// What everybody is told while the file cannot be opened again.
    static let closed = StorageError.system(code: EIO, what: "the store's file could not be opened again")

    private static let reopening = StorageError.busy("its file is being opened again after a failure of the disk")

    // MARK: Lending

    /// A reader of what is committed now, to be given back.
    ///
    /// Never waits: reactors call this. While the file is opened again, or has to be, it is busy.
    func take() throws(StorageError) -> LMDBReader {
        let (environment, idle) = try lend { $0.idle.popLast() }
        do throws(StorageError) {
            guard let idle else { return try LMDBReader(environment, cursorOver: database) }
            try idle.renew()
            return idle
        } catch {
            state.withLock { $0.lent -= 1 }
            // The writer finds out too, and opens it again.
            throw error.isPanic ? Self.reopening : error
        }
    }

    /// Counts one more user of the file, who takes himself off again.
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

    /// Runs `body` with the file, which is not closed meanwhile.
    func use<Result>(_ body: (LMDBEnvironment) throws(StorageError) -> Result) throws(StorageError) -> Result {
        let environment = try lend { _ in }.environment
        defer { state.withLock { $0.lent -= 1 } }
        return try body(environment)
    }

    // MARK: Views

    /// How long a view is left alone, in nanoseconds.
    static let viewPatience: Int64 = 5_000_000_000
    private static let tooManyViews = StorageError.busy("there are as many views of it as may be")

    /// A reader for a view and the view's number, which ``forget(view:)`` takes; busy where there are too many.
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

    /// Takes note of what was written, in bytes: so much a view keeps from being used again.
    func count(written bytes: Int) { written.add(bytes, ordering: .relaxed) }

    /// Takes note of a view, whose reader can be asked back.
    func remember(_ view: LMDBView, as number: Int) {
        state.withLock { $0.views[number]?.view = view }
    }

    func forget(view number: Int) { state.withLock { _ = $0.views.removeValue(forKey: number) } }

    /// How many views hold a reader, and from how many it was taken back.
    var viewFigures: (now: Int, takenBack: Int) {
        (state.withLock { $0.views.count }, takenBack.load(ordering: .relaxed))
    }

    /// Takes the readers of views back, so that what was freed since they began can be used again.
    ///
    /// The writer's thread, between transactions. A view that is scanned at this moment is waited for.
    ///
    /// - Parameter all: also of those that have kept little and for a short time.
    /// - Returns: how many.
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

    /// Waits until nobody reads the file, closes it, and has `open` open it.
    ///
    /// Nobody gets a reader meanwhile, so that those who have one are soon through, however many ask. The writer's
    /// thread, which must not hold the file.
    func reopen(_ open: () throws(StorageError) -> LMDBEnvironment) throws(StorageError) {
        state.withLock { $0.isReopening = true }
        defer { state.withLock { $0.isReopening = false } }
        try close()
        // A sync may be part of it, for which nobody is to wait at the lock.
        let environment = try open()
        state.withLock { $0.environment = environment }
    }

    /// Takes the file from everybody, and closes it.
    private func close() throws(StorageError) {
        for _ in 0..<Self.reopenPatience {
            let views = state.withLock { $0.views.values.compactMap(\.view) }
            for view in views { view.letGo() }
            // A reader that was just returned may still be inside LMDB.
            if takeAway(), state.withLock({ $0.closing == nil }) { return }
            pause(milliseconds: 1)
        }
        throw .busy("its file has to be opened again and is still read")
    }

    /// Lets go of the file, outside the lock, for closing it takes a while; `false`: somebody has it.
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
    /// Whether LMDB takes neither reads nor writes until the file is opened again.
    var isPanic: Bool {
        if case .system(MDB_PANIC, _) = self { return true }
        return false
    }

    /// Whether it could not be opened again the last time.
    var isClosed: Bool { self == LMDBReaders.closed }
}
