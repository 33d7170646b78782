/// The ephemeral values that are about to end, a bounded number each turn, so that other clients do not wait.
///
/// Thousands of clients may leave at once, each with a hundred values, and the grace of thousands may be over at once.
/// A value that has not ended yet is shown to subscribers, and counts, as before. Runs on the reactor's thread.
struct LeaseEnds {
    /// The end of one value.
    struct End {
        let topic: Topic
        /// The number of the message that set it.
        let seq: UInt64
        let client: UInt64
        /// What its removal carries; `nil` if its payload is empty.
        let farewell: Lease.Farewell?
        /// How long the value stays yet, in milliseconds.
        var grace: Int64 = 0
    }

    private var waiting: ArraySlice<End> = []

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ end: End) { waiting.append(end) }

    /// Takes those that end in this turn, oldest first.
    mutating func take(atMost most: Int) -> ArraySlice<End> {
        let taken = waiting.prefix(most)
        waiting = taken.count < waiting.count ? waiting.dropFirst(taken.count) : []
        return taken
    }
}
