internal import Synchronization
internal import WSTransport

/// What answers administrators on one reactor: it asks the others where it must, and keeps nothing between two questions.
///
/// Runs on its reactor's thread.
final class AdminDesk {
    let shard: Shard
    let everyone: ShardGroup
    let facts: BrokerFacts

    init(shard: Shard, everyone: ShardGroup, facts: BrokerFacts) {
        self.shard = shard
        self.everyone = everyone
        self.facts = facts
    }

    /// The most rows of one answer.
    static let maximumRows = 10_000
    /// How many keys of the store are looked at in one turn.
    static let visits = 1_000
    /// How often a busy store is asked, and after how long again, in nanoseconds.
    private static let attempts = 100
    private static let pause: Int64 = 20_000_000

    /// A filter of a question; `nil`: it names none.
    func filter(_ name: String?) throws(Refusal) -> TopicFilter? {
        guard let name else { return nil }
        do throws(TopicError) {
            // What was taken before a limit was lowered can still be named.
            return try TopicFilter(name, limits: .none)
        } catch {
            throw Refusal(.badFilter, "filter: \(error)")
        }
    }

    /// The topic of a question about what is there; a new value has to keep `limits`.
    func topic(_ name: String, limits: TopicLimits = .none) throws(Refusal) -> Topic {
        do throws(TopicError) {
            return try Topic(name, limits: limits)
        } catch {
            throw Refusal(.badTopic, "topic: \(error)")
        }
    }

    /// Shows `body` what matches, some a turn; `then` gets whether that was all.
    func scan(
        _ filter: TopicFilter, after position: Topic?, attempt: Int = 1, _ body: @escaping (Message) -> Bool,
        then: @escaping (Result<Bool, Refusal>) -> Void
    ) {
        var goesOn = true
        do throws(StorageError) {
            let end = try shard.store.scan(
                filter, after: position, visiting: Self.visits, now: Lifetime.now
            ) { message in
                goesOn = body(message)
                return goesOn
            }
            switch end {
            case .finished: then(.success(true))
            case .stopped where !goesOn: then(.success(false))
            case .stopped(let topic):
                shard.reactor.runSoon { [self] in scan(filter, after: topic, body, then: then) }
            }
        } catch {
            // It is busy before the first value is shown, never in the middle.
            guard error.isBusy, attempt < Self.attempts else { return then(.failure(Refusal(error))) }
            shard.reactor.run(afterNanoseconds: Self.pause) { [self] in
                scan(filter, after: position, attempt: attempt + 1, body, then: then)
            }
        }
    }

    /// Publishes a retained value, or its removal; `then` gets the receipt when it is on disk.
    ///
    /// - Parameter source: what is not read on while the broker cannot keep up with what it publishes.
    func publish(
        _ draft: Draft, from source: StreamConnection, _ then: @escaping (Result<Receipt, Refusal>) -> Void
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

/// What administrators share, whatever reactor answers them.
///
/// Any thread.
package final class AdminState: Sendable {
    /// Whether a copy of the store is being written: one at a time.
    let isBackingUp = Atomic<Bool>(false)
    /// The number of the last ``TopicMeter`` that was asked for.
    let lastMeter = Atomic<Int>(0)

    package init() {}
}
