/// What was published to each topic while somebody wants to know.
///
/// One for each shard, and only while a question is open: nobody pays for it else. Runs on the reactor's thread.
package final class TopicMeter {
    /// What one topic got.
    package struct Count: Sendable {
        package var messages = 0
        /// Payload, in bytes.
        package var bytes = 0
    }

    /// So many topics are told apart; more are not counted.
    package static let maximumTopics = 100_000

    package private(set) var counts: [Topic: Count] = [:]
    private let filter: TopicFilter?

    /// - Parameter filter: only topics that it matches; `nil`: all.
    package init(filter: TopicFilter?) { self.filter = filter }

    func count(_ draft: Draft) {
        guard filter?.matches(draft.topic) ?? true else { return }
        guard counts.count < Self.maximumTopics || counts[draft.topic] != nil else { return }
        counts[draft.topic, default: Count()].messages += 1
        counts[draft.topic, default: Count()].bytes += draft.payload.count
    }
}
