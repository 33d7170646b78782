/// The order of a broker that is alone: one number after the other, within those that are reserved on disk.
///
/// It decides nothing about what gets a number; ``Applying`` does. A value, used under the sequencer's lock.
struct LocalOrder {
    /// Numbers are reserved on disk in blocks, so that after a crash none is used twice.
    ///
    /// 2²⁴ of 2⁵³ (what JSON can hold).
    static let block: UInt64 = 1 << 24

    /// The number of the newest message; 0 before the first.
    private(set) var newest: UInt64
    /// No number above this is given.
    private var reserved: UInt64
    private var isReserving = false
    private var isClosed = false

    /// Begins after `newest`, and gives no numbers until some are reserved.
    init(after newest: UInt64) {
        self.newest = newest
        reserved = newest
    }

    /// The number that the next message gets if it is accepted, or why there is none.
    func next() throws(Refusal) -> UInt64 {
        guard newest < reserved, !isClosed else {
            if isClosed { throw Refusal(.unavailable, "The broker is shutting down.") }
            throw Refusal(.storageFull, "The store takes no writes, so there are no more sequence numbers.")
        }
        return newest + 1
    }

    /// Takes note that the message with the number ``next()`` is accepted.
    mutating func advance() { newest += 1 }

    /// Gives no more numbers.
    mutating func close() { isClosed = true }

    // MARK: Reservation

    /// What all numbers are to be reserved up to at the start.
    var firstTarget: UInt64 { newest + 1 + Self.block }

    /// Up to which number to reserve now, half a block ahead; `nil`: there are enough, or it is under way.
    mutating func takeTarget() -> UInt64? {
        guard !isReserving, !isClosed, newest + 1 + Self.block / 2 > reserved else { return nil }
        isReserving = true
        return reserved + Self.block
    }

    /// Takes note of a reservation that has ended; after a failure ``takeTarget()`` asks again.
    mutating func reserve(upTo target: UInt64, isReserved: Bool) {
        isReserving = false
        if isReserved { reserved = max(reserved, target) }
    }
}
