internal import Synchronization
package import WSTransport

/// The log of several brokers in Redis or Valkey: appends at its primary, reads at a replica.
///
/// It has a thread of its own, with two links, and never stops trying. Each failure of the engine is told the order
/// (``LogOrder/disengage()``, then ``LogOrder/giveUp()``) and the status. Any thread.
package final class RedisLog: LogEngine {
    /// Where the engine is, and how it is used.
    package struct Options: Sendable {
        /// The cluster's name: all keys are `broker:{NAME}:…`.
        package var cluster: String
        /// Which of the brokers this is; the same as the order's.
        package var node: UInt64
        package var place: EngineRoute.Place
        package var access: EngineLink.Access
        package var limits = EngineLink.Limits()
        /// Where it reads.
        ///
        /// At the primary what is acknowledged is in one process of the engine only.
        package var readsAt = EngineRoute.Role.replica
        /// Whether an engine that keeps nothing on disk is refused.
        package var needsPersistence = true
        /// How long what is published waits for the engine before it is refused, in nanoseconds.
        package var patience: Int64 = 5_000_000_000
        /// How long the brokers wait for one another before a term begins, in nanoseconds.
        package var grace: Int64 = 1_500_000_000
        /// How long a broker that says nothing counts as there, in nanoseconds.
        package var absence: Int64 = 5_000_000_000
        /// The size of the last entries that are kept to be put back, in bytes.
        package var ring = 64 << 20
        /// How much of the log the engine keeps, in bytes.
        package var keptBytes = 1 << 30
        /// How long it keeps an entry at most, in milliseconds.
        package var keptAge: Int64 = 3_600_000
        /// What others are told of this broker, each second, as a short text.
        package var facts: @Sendable () -> String = { "{}" }
        /// Gets letters of other brokers; on the log's thread.
        var onLetter: @Sendable (NodeLetter) -> Void = { _ in }
        /// Gets the status whenever its state changes; on the log's thread.
        package var onChange: @Sendable (Status) -> Void = { _ in }
        /// Gets the time of each record that is applied, in Unix milliseconds; on the log's thread.
        package var onTime: @Sendable (Int64) -> Void = { _ in }
        /// Whether entries are to wait, because what they lead to is not stored fast enough; asked before each read.
        package var isCongested: @Sendable () -> Bool = { false }
        /// How stores are copied from one broker to another; `nil`: they are not.
        package var copies: StoreCopies?

        package init(cluster: String, node: UInt64, place: EngineRoute.Place, access: EngineLink.Access = .init()) {
            (self.cluster, self.node, self.place, self.access) = (cluster, node, place, access)
        }
    }

    private struct Link {
        var remote: Remote?
        var thread: ThreadHandle?
        var unsent: [Unsent] = []
    }

    /// A record on its way to the thread that sends it.
    struct Unsent: Sendable {
        let record: [UInt8]
        let numbers: Int
        let term: UInt64
    }

    private let options: Options
    private let link = Mutex(Link())
    private let current = Mutex(Status())

    package init(_ options: Options) { self.options = options }

    /// How it is now.
    package var status: Status { current.withLock { $0 } }

    /// Begins to follow the log from the order's position; once.
    ///
    /// The order is held until ``stop()``.
    package func start(_ order: LogOrder) throws(Errno) {
        let remote = try Remote()
        let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: remote, backend: .epoll)
        let thread = try startThread(named: "cluster") { reactor.run() }
        link.withLock { ($0.remote, $0.thread) = (remote, thread) }
        remote.run { [self, options] reactor in
            let session = RedisSession(options, self, order, on: reactor)
            reactor[RedisSession.self] = session
            session.start()
        }
    }

    /// Ends its links and its thread, and waits for that; the order gets nothing more from it.
    package func stop() {
        let (remote, thread) = link.withLock { ($0.remote.take(), $0.thread.take()) }
        remote?.run { reactor in
            guard let session = reactor[RedisSession.self] else { return reactor.stop() }
            session.leave {
                session.stop()
                reactor.stop()
            }
        }
        thread?.join()
        current.withLock { $0.state = .stopped }
    }

    package func append(_ record: [UInt8], numbers: Int, term: UInt64) {
        let unsent = Unsent(record: record, numbers: numbers, term: term)
        let (remote, isFirst) = link.withLock { link in
            guard link.remote != nil else { return (link.remote, false) }
            link.unsent.append(unsent)
            return (link.remote, link.unsent.count == 1)
        }
        guard isFirst else { return }
        remote?.run { [self] reactor in
            let records = link.withLock { link in
                defer { link.unsent = [] }
                return link.unsent
            }
            reactor[RedisSession.self]?.send(records)
        }
    }

    /// Sends a letter to another broker, which may be lost.
    func send(_ letter: NodeLetter, to node: UInt64) {
        link.withLock { $0.remote }?.run { $0[RedisSession.self]?.send(letter, to: node) }
    }

    /// Has the engine forget another broker, which does not come back.
    package func forget(_ node: UInt64) {
        link.withLock { $0.remote }?.run { $0[RedisSession.self]?.forget(node) }
    }

    func publish(_ status: Status, isChanged: Bool) {
        current.withLock { $0 = status }
        if isChanged { options.onChange(status) }
    }
}

extension RedisLog {
    /// How the log is, as of a moment.
    package struct Status: Sendable {
        /// What it is about.
        package enum State: Equatable, Sendable {
            /// It has not begun, or has ended.
            case stopped
            /// The engine cannot be used; ``Status/failure`` says why, and it goes on trying.
            case away
            /// The brokers agree on how far they have read; then a term begins.
            case arming
            /// Publications wait, or are refused, until this broker has read what the engine has.
            case catchingUp
            /// Everything works.
            case active
            /// For good: this broker cannot follow the log any longer as it is.
            case lost(LogTrouble)
        }

        package var state = State.stopped
        /// When that began.
        package var since = MonotonicTime.now
        /// Why it is away, or was last, as a sentence or a phrase; `nil`: it never was.
        package var failure: String?
        /// The term that the engine takes records for; 0: none is known.
        package var term: UInt64 = 0
        /// Up to where the log is applied here.
        package var position = LogPosition.start
        /// The engine's last position as far as is known here.
        package var top = LogPosition.start
        /// Where it appends, and that server's version; `nil`: it has no link.
        package var primary: Endpoint?
        package var version: String?
        /// Where it reads; `nil`: it has no link.
        package var replica: Endpoint?
        /// How long the last canary took from the append until it came back, in nanoseconds; `nil`: none has come back.
        package var lag: Int64?
        /// When a canary last came back; `nil`: none has.
        package var heard: MonotonicTime?
        /// The brokers that the engine knows of, with this one.
        package var members: [Member] = []
        /// How far the copy is that is to take the place of the store; `nil`: none is needed.
        package var copy: CopyProgress?
        package var counts = Counts()

        package init() {}
    }

    /// How far a copy of another broker's store is, with which this one is to begin again.
    package enum CopyProgress: Equatable, Sendable {
        /// No broker gives one yet; why the last attempt came to nothing, if there was one.
        case waiting(String?)
        /// Another gives one: its number, how much has come of it, and how large it is, in bytes; 0: not known yet.
        case coming(from: UInt64, have: Int, size: Int)
        /// It is on disk.
        case complete
    }

    /// One of the brokers.
    package struct Member: Equatable, Sendable {
        package var node: UInt64
        /// What it says of itself.
        package var facts: String
        /// When a record of it last came; `nil`: none has, since this broker began.
        package var heard: MonotonicTime?
        /// How far it has read the log, by its last record.
        package var position = LogPosition.start
    }

    /// What has happened since the start.
    package struct Counts: Equatable, Sendable {
        /// Records that were sent, with those that were sent again, and the bytes of them.
        package var appends: UInt64 = 0
        package var appendedBytes: UInt64 = 0
        /// Entries that were read, and the bytes of them.
        package var entries: UInt64 = 0
        package var readBytes: UInt64 = 0
        /// How often the engine was lost.
        package var failures: UInt64 = 0
        /// How many terms this broker has met.
        package var terms: UInt64 = 0
        /// Entries that this broker has put back.
        package var restored: UInt64 = 0
        /// How often what waited was refused, for want of an engine.
        package var surrenders: UInt64 = 0
        /// How often this broker has begun to give another a copy of its store.
        package var copies: UInt64 = 0
    }
}
