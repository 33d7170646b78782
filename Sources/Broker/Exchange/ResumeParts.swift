/// The messages that a client has when it resumes at a position in several logs.
///
/// Its subscription begins at one place in the broker's sequence, that of the earliest log; of the other logs, the
/// client has more.
final class ResumeParts {
    private let partitions: Partitions
    /// The newest number of each log that the client has.
    private let numbers: [UInt64]
    /// The places up to which the client has all messages of each log; rounded down.
    let places: [UInt64]

    /// The place at which the logs continued, if the client has received messages that are no longer in any log;
    /// otherwise 0.
    private(set) var undoneUpTo: UInt64 = 0
    /// The numbers of each log that were skipped there.
    private(set) var undone: Gap.Parts?

    init(_ partitions: Partitions, numbers: [UInt64], places: [UInt64]) {
        (self.partitions, self.numbers, self.places) = (partitions, numbers, places)
    }

    /// Records where logs continued: at the numbers `begun`, which are 0 for logs that skipped none, and at these
    /// places.
    func note(begun: [UInt64], at begins: [UInt64]) {
        undoneUpTo = max(1, begun.indices.map { begun[$0] > 0 ? begins[$0] : 0 }.max() ?? 0)
        undone = Gap.Parts(since: numbers, seq: zip(numbers, begun).map { max($0, $1) })
    }

    /// Whether the client has a message.
    func has(_ message: Message) -> Bool { message.number <= numbers[partitions.partition(of: message.topic)] }

    /// The place up to which the client has all messages of a topic.
    func place(of topic: Topic) -> UInt64 { places[partitions.partition(of: topic)] }
}
