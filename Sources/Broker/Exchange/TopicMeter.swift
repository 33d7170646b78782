/// Counts the publications to each topic while an administrator asks for it.
///
/// A shard has one only while a request is open, so it costs nothing otherwise. Runs on the reactor's thread.
package final class TopicMeter {
    /// The count of one topic.
    package struct Count: Sendable {
        package var messages = 0
        /// Payload, in bytes.
        package var bytes = 0
    }

    /// The maximum number of topics; further ones are not counted.
    package static let maximumTopics = 100_000

    package private(set) var counts: [Topic: Count] = [:]
    private let filter: TopicFilter?

    /// - Parameter filter: counts only topics that it matches; `nil`: all.
    package init(filter: TopicFilter?) { self.filter = filter }

    func count(_ draft: Draft) {
        guard filter?.matches(draft.topic) ?? true else { return }
        guard counts.count < Self.maximumTopics || counts[draft.topic] != nil else { return }
        counts[draft.topic, default: Count()].messages += 1
        counts[draft.topic, default: Count()].bytes += draft.payload.count
    }
}
