internal import Synchronization
package import WSTransport

/// The log of several brokers in Redis or Valkey: appends at its primary, reads at a replica.
///
/// It has its own thread, with two links, and never stops trying. Each failure of the engine is reported to the order
/// (``LogOrder/disengage()``, then ``LogOrder/giveUp()``) and in the status. Any thread.
package final class RedisLog: LogEngine {
    /// The engine's addresses, and how it is used.
    package struct Options: Sendable {
        /// The cluster's name: all keys are `broker:{NAME}:…`.
        package var cluster: String
        /// The number of this broker; the same as the order's.
        package var node: UInt64
        package var place: EngineRoute.Place
        package var access: EngineLink.Access
        package var limits = EngineLink.Limits()
        /// The role of the server that it reads from.
        ///
        /// With the primary, acknowledged messages are in one process of the engine only.
        package var readsAt = EngineRoute.Role.replica
        /// Whether an engine that keeps nothing on disk is refused.
        package var needsPersistence = true
        /// How long publications wait for the engine before they are refused, in nanoseconds.
        package var patience: Int64 = 5_000_000_000
        /// How long the brokers wait for one another before a term begins, in nanoseconds.
        package var grace: Int64 = 1_500_000_000
        /// How many brokers must have said how far they have read before a term begins, unless the grace ends; `nil` if
        /// those count that were heard of late.
        package var brokers: Int?
        /// How long a silent broker counts as alive, in nanoseconds.
        package var absence: Int64 = 5_000_000_000
        /// The size of the last entries that are kept to be restored, in bytes.
        package var ring = 64 << 20
        /// How much of the log the engine keeps, in bytes.
        package var keptBytes = 1 << 30
        /// The maximum age of an entry, in milliseconds.
        package var keptAge: Int64 = 3_600_000
        /// The facts about this broker for the others, each second: a short JSON object, with the newest format of
        /// records that it reads (``RecordFormat``).
        package var facts: @Sendable () -> String = { "{}" }
        /// Receives letters of other brokers; on the log's thread.
        var onLetter: @Sendable (NodeLetter) -> Void = { _ in }
        /// Receives the status whenever its state changes; on the log's thread.
        package var onChange: @Sendable (Status) -> Void = { _ in }
        /// Receives the time of each applied record, in Unix milliseconds; on the log's thread.
        package var onTime: @Sendable (Int64) -> Void = { _ in }
        /// Whether reading must pause, because the store cannot keep up; asked before each read.
        package var isCongested: @Sendable () -> Bool = { false }
        /// How stores are copied from one broker to another; `nil` if they are not copied.
        package var copies: StoreCopies?
        /// Whether this broker's store has everything that a copy of it must have.
        package var mayGiveCopies: @Sendable () -> Bool = { true }
        /// The number of logs of the cluster, and the key with which its brokers compare it; `nil` if another log does
        /// so.
        package var partitions: (count: Int, key: String)?
        /// The epoch of the broker's other logs, which this one must also have; 0 if none is known.
        package var epoch: @Sendable () -> UInt64 = { 0 }

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

    /// The current status.
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

    /// Begins to end its links and its thread; several logs need no more time for it than one.
    package func end() {
        link.withLock { $0.remote.take() }?.run { reactor in
            guard let session = reactor[RedisSession.self] else { return reactor.stop() }
            session.leave {
                session.stop()
                reactor.stop()
            }
        }
    }

    /// Ends its links and its thread, and waits for their end; it reports nothing more to the order.
    package func stop() {
        end()
        link.withLock { $0.thread.take() }?.join()
        current.withLock { $0.state = .stopped }
    }

    package func call(_ order: LogOrder) { link.withLock { $0.remote }?.run { _ in order.send() } }

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

    /// Makes the engine forget another broker, which will not come back.
    package func forget(_ node: UInt64) {
        link.withLock { $0.remote }?.run { $0[RedisSession.self]?.forget(node) }
    }

    /// Requests a copy of another broker's store, because another of this broker's logs cannot be followed without one.
    func takeCopy() {
        link.withLock { $0.remote }?.run { $0[RedisSession.self]?.takeCopy() }
    }

    func publish(_ status: Status, isChanged: Bool) {
        current.withLock { $0 = status }
        if isChanged { options.onChange(status) }
    }
}

extension RedisLog {
    /// The status of the log at one moment.
    package struct Status: Sendable {
        /// What the log is doing.
        package enum State: Equatable, Sendable {
            /// It has not begun, or has ended.
            case stopped
            /// The engine cannot be used; ``Status/failure`` says why, and it keeps trying.
            case away
            /// The brokers are agreeing on how far they have read; then a term begins.
            case arming
            /// Publications wait, or are refused, until this broker has read everything that the engine has.
            case catchingUp
            /// Everything works.
            case active
            /// This broker can no longer follow the log; permanent.
            case lost(LogTrouble)
        }

        package var state = State.stopped
        /// When that began.
        package var since = MonotonicTime.now
        /// Why it is away, or was last away, as a sentence or a phrase; `nil` if it never was.
        package var failure: String?
        /// What should be set differently at the servers that it uses, or used last.
        package var warnings: [EngineWarning] = []
        /// The term for which the engine accepts records; 0 if none is known.
        package var term: UInt64 = 0
        /// The position up to which the log is applied here.
        package var position = LogPosition.start
        /// The last position of the engine, as far as it is known here.
        package var top = LogPosition.start
        /// The format of the records that it appends.
        package var format = RecordFormat.plain
        /// The server that it appends to, and that server's version; `nil` without a link.
        package var primary: Endpoint?
        package var version: String?
        /// The server that it reads from; `nil` without a link.
        package var replica: Endpoint?
        /// How long the last canary took from the append until it came back, in nanoseconds; `nil` if none has come
        /// back.
        package var lag: Int64?
        /// When a canary last came back; `nil` if none has.
        package var heard: MonotonicTime?
        /// The brokers that the engine knows of, with this one.
        package var members: [Member] = []
        /// The progress of the copy that will replace the store; `nil` if none is needed.
        package var copy: CopyProgress?
        package var counts = Counts()

        package init() {}
    }

    /// The progress of a copy of another broker's store, with which this broker will restart.
    package enum CopyProgress: Equatable, Sendable {
        /// No broker provides one yet; the value is the error of the last attempt, if there was one.
        case waiting(String?)
        /// Another broker provides one: its number, the received bytes, and the size in bytes, or 0 if that is not
        /// known yet.
        case coming(from: UInt64, have: Int, size: Int)
        /// It is on disk.
        case complete
    }

    /// One of the brokers.
    package struct Member: Equatable, Sendable {
        package var node: UInt64
        /// Its report about itself.
        package var facts: String
        /// When its last record arrived; `nil` if none has since this broker's start.
        package var heard: MonotonicTime?
        /// How far it has read the log, according to its last record.
        package var position = LogPosition.start
        /// Whether it is in the engine's list of brokers, as far as is known: it has not left, and was not forgotten.
        package var isListed = false
    }

    /// Counts since the start.
    package struct Counts: Equatable, Sendable {
        /// Sent records, including repeated ones, and their bytes.
        package var appends: UInt64 = 0
        package var appendedBytes: UInt64 = 0
        /// Entries that were read, and their bytes.
        package var entries: UInt64 = 0
        package var readBytes: UInt64 = 0
        /// How often the engine was lost.
        package var failures: UInt64 = 0
        /// How many terms this broker has seen.
        package var terms: UInt64 = 0
        /// Entries that this broker has restored.
        package var restored: UInt64 = 0
        /// How often waiting publications were refused, because there was no engine.
        package var surrenders: UInt64 = 0
        /// How often this broker has begun to give another broker a copy of its store.
        package var copies: UInt64 = 0
        /// Requests and answers that were too large to be sent to another broker.
        package var oversized = 0
    }
}
