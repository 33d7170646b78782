internal import WSTransport

/// Answers administrators' questions, asking the other reactors where it must.
///
/// Runs on the first reactor's thread.
final class AdminDesk {
    typealias Completion = (Result<AdminAnswer, Refusal>) -> Void

    let shard: Shard
    let everyone: ShardGroup
    let facts: BrokerFacts
    /// The copy of the store that is under way.
    var backup: Backup?
    /// The number of the last backup.
    var nextBackup = 0
    /// The number of the last ``TopicMeter`` that was asked for.
    var nextMeter = 0

    init(shard: Shard, everyone: ShardGroup, facts: BrokerFacts) {
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
}
