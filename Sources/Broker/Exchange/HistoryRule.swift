/// How many messages of a topic are kept, for the topics that a filter matches.
///
/// Each limit applies to one topic; `nil` means no limit. The newest message of a topic is kept whatever its size.
package final class HistoryRule: Sendable {
    package let filter: TopicFilter
    /// The maximum number of messages.
    package let maximumMessages: Int?
    /// The maximum age, in milliseconds.
    package let maximumAge: Int64?
    /// The maximum size of their payloads together, in bytes.
    package let maximumBytes: Int?

    package init(filter: TopicFilter, messages: Int? = nil, age: Int64? = nil, bytes: Int? = nil) {
        self.filter = filter
        maximumMessages = messages
        maximumAge = age
        maximumBytes = bytes
    }

    /// When a message of the time `time` becomes too old, in Unix milliseconds; `nil` if never.
    func end(of time: Int64) -> Int64? {
        guard let maximumAge else { return nil }
        let (end, isNever) = time.addingReportingOverflow(maximumAge)
        return isNever ? .max : end
    }

    /// Whether a topic with this content must lose its oldest message, which was accepted at `time`.
    func isOver(messages: Int, bytes: Int, oldest time: Int64, now: Int64) -> Bool {
        if let maximumMessages, messages > maximumMessages { return true }
        if let maximumBytes, bytes > maximumBytes, messages > 1 { return true }
        return end(of: time).map { $0 <= now } ?? false
    }
}

/// The rules, in order: a topic's rule is the first whose filter matches it.
package struct HistoryRules: Sendable {
    package let rules: [HistoryRule]

    package init(_ rules: [HistoryRule] = []) { self.rules = rules }

    package var isEmpty: Bool { rules.isEmpty }

    /// The rule of `topic`; `nil` if its messages are not kept.
    package func rule(for topic: Topic) -> HistoryRule? { rules.first { $0.filter.matches(topic) } }

    /// Whether a rule may keep messages that `filter` matches.
    func mayKeep(_ filter: TopicFilter) -> Bool { rules.contains { $0.filter.overlaps(filter) } }
}
