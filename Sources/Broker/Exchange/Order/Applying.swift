internal import WSTransport

/// Decides about the next draft, at one position in the order, by the values set before it and the rules.
///
/// A value without a lock, a disk or a clock. Numbers and times come from the order, so two equal values that apply the
/// same drafts get the same results.
struct Applying {
    /// The newest value of each topic that the store does not have yet.
    var overlay = OverlayTable()
    var rules = HistoryRules()
    var keys = KeyTable()
    /// The ephemeral values, which live as long as their publishers' connections.
    ///
    /// A topic with an ephemeral value has none on disk.
    var ephemerals = EphemeralTable()
    /// Their latest changes, on topics that a rule keeps.
    var recent = RecentEphemerals()
    /// The time of a log that several brokers share, by which values expire, in Unix milliseconds; `nil` for the time
    /// of this process.
    var logTime: Int64?

    /// The jumps in the numbers of that log.
    var jumps = LogJumps()

    /// The time by which values expire, in Unix milliseconds.
    var now: Int64 { logTime ?? Lifetime.now }

    /// The newest value of a topic, or its removal, if it may not be in the store yet; `nil` if the store has it.
    func newest(of topic: Topic) -> Message? { ephemerals[topic] ?? overlay[topic] }

    /// The number of the value of a topic; `nil` if there is none.
    ///
    /// - Parameters:
    ///   - now: the time by which values expire, in Unix milliseconds.
    ///   - stored: returns the number in the store; called if no newer value is known.
    func value(of topic: Topic, now: Int64, stored: () throws(Refusal) -> UInt64?) throws(Refusal) -> UInt64? {
        guard let message = newest(of: topic) else { return try stored() }
        return message.isValue(at: now) ? message.number : nil
    }

    /// Refuses a draft whose condition on the topic's value does not hold.
    ///
    /// - Parameter current: the number of the value; `nil` if there is none.
    static func check(_ condition: Draft.Condition, of topic: Topic, current: UInt64?) throws(Refusal) {
        switch condition {
        case .none: break
        case .present:
            if current == nil { throw Refusal(.notFound, "\(topic) has no retained value.") }
        case .absent:
            if let current {
                throw Refusal(.conflict, "\(topic) already has a retained value, with seq \(current).")
            }
        case .matches(let seqs):
            guard let current else { throw Refusal(.conflict, "\(topic) has no retained value.") }
            guard seqs.isEmpty || seqs.contains(current) else {
                throw Refusal(.conflict, "The retained value of \(topic) has seq \(current).")
            }
        case .ephemeral(let lease): try check(lease.wanted, of: topic, current: current)
        case .ended(let seq):
            guard current == seq else { throw Refusal(.conflict, "\(topic) has another value by now.") }
        case .expired(let seq):
            guard current == seq else { throw Refusal(.conflict, "\(topic) has another retained value by now.") }
        }
    }

    /// The rule that keeps a topic's messages; `nil` if none does.
    func rule(for topic: Topic) -> HistoryRule? { rules.isEmpty ? nil : rules.rule(for: topic) }

    /// Makes the message of a draft: the draft's own, with its number.
    ///
    /// - Parameters:
    ///   - time: when the draft got its place, in Unix milliseconds.
    ///   - nature: the nature of the message.
    ///   - now: the same by the clock of ``Lifetime``; called only if the message has a time to live.
    static func message(
        of drafts: Span<Draft>, at place: Int, seq: UInt64, number: UInt64, time: Int64,
        nature: Message.Nature = .plain, now: () -> Int64
    ) -> Message {
        drafts[place].message.numbered(
            seq, number: number, at: time,
            expiry: drafts[place].timeToLive.map { now().addingReportingOverflow($0).partialValue } ?? 0,
            nature: nature)
    }
}

extension Message {
    /// Whether it is a value: neither a removal nor expired.
    func isValue(at now: Int64) -> Bool { !payload.isEmpty && !isExpired(at: now) }
}
