/// What a client that resumes at a position in several logs has.
///
/// Its subscription begins at one place of the line, which is that of the earliest log; of the others it has more.
final class ResumeParts {
    private let partitions: Partitions
    /// The newest number of each log that the client has.
    private let numbers: [UInt64]
    /// The places up to which it has everything of each log; rounded down.
    private let places: [UInt64]

    /// The place at which the logs went on, if the client knows what is in none of them any more; otherwise 0.
    let undoneUpTo: UInt64

    init(_ partitions: Partitions, numbers: [UInt64], places: [UInt64], undoneUpTo: UInt64 = 0) {
        (self.partitions, self.numbers, self.places) = (partitions, numbers, places)
        self.undoneUpTo = undoneUpTo
    }

    /// Whether the client has a message.
    func has(_ message: Message) -> Bool { message.number <= numbers[partitions.partition(of: message.topic)] }

    /// The place up to which it has everything of a topic.
    func place(of topic: Topic) -> UInt64 { places[partitions.partition(of: topic)] }
}
