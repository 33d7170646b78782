internal import CLMDB
internal import Glibc
internal import Synchronization
internal import WSTransport

/// The opened file and the read transactions over it, lent out and taken back.
///
/// LMDB allows one environment for a file in a process. So the file can be opened again, after a failure that LMDB
/// does not get over, only when nobody reads it any more; this knows who does. Any thread.
final class LMDBReaders: Sendable {
    private struct State {
        /// `nil`: it could not be opened again.
        var environment: LMDBEnvironment?
        /// Whether it is about to be opened again.
        var isReopening = false
        var idle: [LMDBReader] = []
        /// Readers and others that use the file now.
        var lent = 0
        var views: [Int: WeakView] = [:]
        var nextView = 0
        /// The environment that was let go of last; while it lives nobody opens another.
        weak var closing: LMDBEnvironment?
    }

    private struct WeakView { weak var view: LMDBView? }

    private let state: Mutex<State>
    private let database: LMDBDatabase

    private static let maximumIdle = 16
    /// How often, a millisecond apart, a reader asks again while the file is opened again.
    private static let readerPatience = 500
    /// And how long the file waits for its readers, in milliseconds.
    private static let reopenPatience = 2000

    /// - Parameter database: what the readers' cursors move over.
    init(_ environment: LMDBEnvironment, cursorOver database: LMDBDatabase) {
        self.database = database
        state = Mutex(State(environment: environment))
    }

    /// The opened file; it must not be kept.
    func environment() throws(StorageError) -> LMDBEnvironment {
        guard let environment = state.withLock({ $0.environment }) else { throw Self.closed }
        return environment
    }

    /// What the file may grow to, in bytes.
    func mapSize() throws(StorageError) -> Int { try environment().mapSize }

    /// What everybody is told while the file cannot be opened again.
    static let closed = StorageError.system(code: EIO, what: "the store's file could not be opened again")

    private static let reopening = StorageError.system(code: EAGAIN, what: "the store's file is being opened again")

    // MARK: Lending

    /// A reader of what is committed now, to be given back.
    func take() throws(StorageError) -> LMDBReader {
        var attempts = 1
        while true {
            do throws(StorageError) {
                return try takeNow()
            } catch {
                // The writer opens it again just now.
                guard error.isPanic || error == Self.reopening, attempts < Self.readerPatience else { throw error }
                attempts += 1
                pause(milliseconds: 1)
            }
        }
    }

    private func takeNow() throws(StorageError) -> LMDBReader {
        let (environment, idle) = try state.withLock { (state) throws(StorageError) in
            guard let environment = state.environment else { throw state.isReopening ? Self.reopening : Self.closed }
            state.lent += 1
            return (environment, state.idle.popLast())
        }
        do throws(StorageError) {
            guard let idle else { return try LMDBReader(environment, cursorOver: database) }
            try idle.renew()
            return idle
        } catch {
            state.withLock { $0.lent -= 1 }
            throw error
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
        let environment = try state.withLock { (state) throws(StorageError) in
            guard let environment = state.environment else { throw Self.closed }
            state.lent += 1
            return environment
        }
        defer { state.withLock { $0.lent -= 1 } }
        return try body(environment)
    }

    // MARK: Views

    /// Takes note of a view, whose reader can be asked back; `forget(view:)` takes the number.
    func remember(_ view: LMDBView) -> Int {
        state.withLock { state in
            state.nextView += 1
            state.views[state.nextView] = WeakView(view: view)
            return state.nextView
        }
    }

    func forget(view number: Int) { state.withLock { _ = $0.views.removeValue(forKey: number) } }

    // MARK: Opening again

    /// Waits until nobody reads the file, closes it, and has `open` open it.
    ///
    /// The writer's thread, which must not hold the file.
    func reopen(_ open: () throws(StorageError) -> LMDBEnvironment) throws(StorageError) {
        state.withLock { $0.isReopening = true }
        defer { state.withLock { $0.isReopening = false } }
        for _ in 0..<Self.reopenPatience {
            let views = state.withLock { $0.views.values.compactMap(\.view) }
            for view in views { view.letGo() }
            if try reopenNow(open) { return }
            pause(milliseconds: 1)
        }
        throw .system(code: EBUSY, what: "the store's file is still read, so it cannot be opened again")
    }

    private func reopenNow(_ open: () throws(StorageError) -> LMDBEnvironment) throws(StorageError) -> Bool {
        try state.withLock { (state) throws(StorageError) in
            guard state.lent == 0 else { return false }
            state.idle = []
            if let environment = state.environment { state.closing = environment }
            state.environment = nil
            guard state.closing == nil else { return false }
            state.environment = try open()
            return true
        }
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
