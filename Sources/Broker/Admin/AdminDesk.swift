internal import Synchronization
internal import WSTransport

/// Answers administrators on one reactor: it asks the other reactors where necessary, and keeps no state between two
/// requests.
///
/// Runs on its reactor's thread.
final class AdminDesk {
    let shard: Shard
    let everyone: ShardGroup
    let facts: BrokerFacts
    /// Whether a timer checks for bans that end.
    var isWatchingBans = false
    /// How many requests wait for a line of the audit log, or for an event.
    var lineReaders = 0

    init(shard: Shard, everyone: ShardGroup, facts: BrokerFacts) {
        self.shard = shard
        self.everyone = everyone
        self.facts = facts
    }

    /// The maximum number of rows in one answer.
    static let maximumRows = 10_000
    /// The maximum number of clients in one answer; client rows are short, and there may be that many clients.
    static let maximumClients = 100_000
    /// How long an answer waits for a busy event loop, in nanoseconds; then the answer contains the data of the others.
    static let patience: Int64 = 2_000_000_000
    /// How many keys of the store are read in one turn.
    static let visits = 1_000
    /// How many times a busy store is tried, and the pause between two attempts, in nanoseconds.
    private static let attempts = 100
    private static let pause: Int64 = 20_000_000

    /// Parses the filter of a request; `nil` if the request has none.
    func filter(_ name: String?) throws(Refusal) -> TopicFilter? {
        guard let name else { return nil }
        do throws(TopicError) {
            // Topics stored before a limit was lowered can still be named.
            let filter = try TopicFilter(name, limits: .none)
            if !filter.isPrivate { return filter }
        } catch {
            throw Refusal(.badFilter, "filter: \(error)")
        }
        throw Refusal(.forbidden, "\(name) belongs to the broker.")
    }

    /// Parses the topic of a request; `limits` apply to new values only.
    func topic(_ name: String, limits: TopicLimits = .none) throws(Refusal) -> Topic {
        do throws(TopicError) {
            let topic = try Topic(name, limits: limits)
            if !topic.isPrivate { return topic }
        } catch {
            throw Refusal(.badTopic, "topic: \(error)")
        }
        throw Refusal(.forbidden, "\(name) belongs to the broker.")
    }

    /// Passes matching values to `body`, some in each turn, until it returns `false`; `then` gets whether the end was
    /// reached.
    func scan(
        _ filter: TopicFilter, after position: Topic?, attempt: Int = 1, _ body: @escaping (Message) -> Bool,
        then: @escaping (Result<Bool, Refusal>) -> Void
    ) {
        var goesOn = true
        do throws(StorageError) {
            let end = try shard.store.scan(
                filter, after: position, visiting: Self.visits, now: Lifetime.now
            ) { message in
                // Users and tokens are read by verbs of their own, which need other rights.
                goesOn = message.topic.isPrivate || body(message)
                return goesOn
            }
            switch end {
            case .finished: then(.success(true))
            case .stopped where !goesOn: then(.success(false))
            case .stopped(let topic):
                shard.reactor.runSoon { [self] in scan(filter, after: topic, body, then: then) }
            }
        } catch {
            // The store reports that it is busy before the first value, never after it.
            guard error.isBusy, attempt < Self.attempts else { return then(.failure(Refusal(error))) }
            shard.reactor.run(afterNanoseconds: Self.pause) { [self] in
                scan(filter, after: position, attempt: attempt + 1, body, then: then)
            }
        }
    }

    /// Merges and sorts what reactors have found, on another thread; calls `then` on this one.
    func work<Answer: Sendable>(
        _ body: @escaping @Sendable () -> Answer, then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        let link = ReactorLink(remote: shard.reactor.remote)
        link.bind(Working(then), on: shard.reactor)
        let isTaken = facts.administration.lists.run {
            let answer = body()
            link.take(Working<Answer>.self) { $0?.then(.success(answer)) }
        }
        guard !isTaken else { return }
        link.release(on: shard.reactor)
        then(.failure(Refusal(.unavailable, "Too many requests for lists are waiting; try again.")))
    }

    /// Publishes a retained value or its removal; calls `then` with the receipt when the change is on disk.
    ///
    /// - Parameter source: the connection that is paused while the broker cannot keep up.
    func publish(
        _ draft: Draft, from source: StreamConnection?, _ then: @escaping (Result<Receipt, Refusal>) -> Void
    ) throws(Refusal) {
        guard !shard.isDraining else { throw Refusal(.unavailable, "The broker is shutting down.") }
        guard !draft.topic.isSystem else { throw Refusal(.forbidden, "\(draft.topic) belongs to the broker.") }
        var draft = draft
        draft.isRetained = true
        draft.acknowledgement = .stored
        draft.completion = then
        shard.publish(draft, from: source)
    }
}

/// The completion that waits for a list, on the reactor's thread.
private final class Working<Answer: Sendable> {
    let then: (Result<Answer, Refusal>) -> Void

    init(_ then: @escaping (Result<Answer, Refusal>) -> Void) { self.then = then }
}

/// The state that all administrators share, on all reactors.
///
/// Any thread.
package final class AdminState: Sendable {
    /// Whether a copy of the store is being written; there is at most one.
    let isBackingUp = Atomic<Bool>(false)
    /// Whether the settings of a plan are being read; there is at most one plan.
    let isPlanning = Atomic<Bool>(false)
    /// The number of the newest ``TopicMeter``.
    let lastMeter = Atomic<Int>(0)
    /// Merges and sorts long lists, which would delay the clients of a reactor.
    let lists = WorkerPool(name: "lists", maximumThreads: 1, maximumWaiting: 64)

    package init() {}
}
