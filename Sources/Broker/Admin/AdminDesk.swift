internal import Synchronization
internal import WSTransport

/// Answers administrators' questions, asking the other reactors where it must.
///
/// Runs on the first reactor's thread.
final class AdminDesk {
    typealias Completion = (Result<AdminAnswer, Refusal>) -> Void

    let shard: Shard
    let everyone: [Remote]
    let facts: BrokerFacts
    /// The copy of the store that is under way.
    var backup: Backup?
    /// The number of the last backup.
    var nextBackup = 0
    /// The number of the last ``TopicMeter`` that was asked for.
    var nextMeter = 0

    init(shard: Shard, everyone: [Remote], facts: BrokerFacts) {
        self.shard = shard
        self.everyone = everyone
        self.facts = facts
    }

    func answer(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        switch question.verb {
        case "status":
            Readiness.of(shard).look { [facts, shard] failure in
                then(.success(facts.status(shard, failure: failure)))
            }
        case "clients": try clients(question, then)
        case "client": try client(question, then)
        case "kick": try kick(question, then)
        case "topics": try topics(question, then)
        case "subscriptions": try subscriptions(question, then)
        case "retained.list": try listRetained(question, then)
        case "retained.get": try readRetained(question, then)
        case "retained.set": try setRetained(question, then)
        case "retained.delete": try deleteRetained(question, then)
        case "retained.export": try exportRetained(question, then)
        default: throw Refusal(.badRequest, "verb: there is no \"\(question.verb)\".")
        }
    }

    func filter(_ question: AdminQuestion) throws(Refusal) -> TopicFilter? {
        guard let name = question.filter else { return nil }
        do throws(TopicError) {
            // What was taken before a limit was lowered can still be named.
            return try TopicFilter(name, limits: .none)
        } catch {
            throw Refusal(.badFilter, "filter: \(error)")
        }
    }

    /// The topic of a question about what is there; a new value has to keep `limits`.
    func topic(_ question: AdminQuestion, limits: TopicLimits = .none) throws(Refusal) -> Topic {
        do throws(TopicError) {
            return try Topic(question.topic ?? "", limits: limits)
        } catch {
            throw Refusal(.badTopic, "topic: \(error)")
        }
    }

    /// Asks every shard on its own thread and hands over all their answers here.
    func gather(_ ask: @escaping @Sendable (Shard) -> [[UInt8]], _ then: @escaping ([[UInt8]]) -> Void) {
        let gathering = Gathering(expected: everyone.count)
        let token = shard.park { _ in then(gathering.answers) }
        let here = shard.reactor.remote
        for remote in everyone {
            remote.run { reactor in
                let answers = (reactor.attachment as? Shard).map(ask) ?? []
                if gathering.add(answers) {
                    here.run { reactor in (reactor.attachment as? Shard)?.unpark(token, nil) }
                }
            }
        }
    }
}

/// The answers of several reactors.
private final class Gathering: Sendable {
    private struct State {
        var missing: Int
        var answers: [[UInt8]] = []
    }

    private let state: Mutex<State>

    init(expected: Int) { state = Mutex(State(missing: expected)) }

    var answers: [[UInt8]] { state.withLock { $0.answers } }

    /// Whether these were the last.
    func add(_ answers: [[UInt8]]) -> Bool {
        state.withLock { state in
            state.answers += answers
            state.missing -= 1
            return state.missing == 0
        }
    }
}
