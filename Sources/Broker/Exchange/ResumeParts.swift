/// What a client that resumes at a position in several logs has.
///
/// Its subscription begins at one place of the line, which is that of the earliest log; of the others it has more.
final class ResumeParts {
    private let partitions: Partitions
    /// The newest number of each log that the client has.
    private let numbers: [UInt64]
    /// The places up to which it has everything of each log; rounded down.
    let places: [UInt64]

    /// The place at which the logs went on, if the client knows what is in none of them any more; otherwise 0.
    private(set) var undoneUpTo: UInt64 = 0
    /// The numbers of each log that were left out there.
    private(set) var undone: Gap.Parts?

    init(_ partitions: Partitions, numbers: [UInt64], places: [UInt64]) {
        (self.partitions, self.numbers, self.places) = (partitions, numbers, places)
    }

    /// Notes where logs went on: at the numbers `begun`, which are 0 where nothing was left out, and at these places.
    func note(begun: [UInt64], at begins: [UInt64]) {
        undoneUpTo = max(1, begun.indices.map { begun[$0] > 0 ? begins[$0] : 0 }.max() ?? 0)
        undone = Gap.Parts(since: numbers, seq: zip(numbers, begun).map { max($0, $1) })
    }

    /// Whether the client has a message.
    func has(_ message: Message) -> Bool { message.number <= numbers[partitions.partition(of: message.topic)] }

    /// The place up to which it has everything of a topic.
    func place(of topic: Topic) -> UInt64 { places[partitions.partition(of: topic)] }
}
