/// Bytes that came and that a driver has not taken yet, in order.
///
/// Nothing more is read while its driver may go on with these, so that they are at most the unfinished thing that a reading
/// began with (a head, a line) and one reading. Runs on the reactor's thread.
final class Carry {
    private var bytes: [UInt8]
    /// How many of them are taken, from the first on.
    private var taken = 0
    private let counters: ReactorCounters

    /// - Parameter counters: where what it takes is counted, as long as it lives.
    init(_ bytes: UnsafeRawBufferPointer, _ counters: ReactorCounters) {
        self.bytes = unsafe Array(bytes)
        self.counters = counters
        counters.heldBytes.add(capacity)
    }

    deinit { counters.heldBytes.add(-capacity) }

    var isEmpty: Bool { taken == bytes.count }

    /// What it takes of the memory, in bytes.
    var capacity: Int { bytes.capacity }

    func append(_ more: UnsafeRawBufferPointer) {
        compact()
        let before = capacity
        defer { counters.heldBytes.add(capacity - before) }
        // Exactly: growth by halves would be kept for as long as the peer makes its driver wait.
        bytes.reserveCapacity(bytes.count + more.count)
        unsafe bytes.append(contentsOf: more)
    }

    /// Has `take` look at all that is not taken; it says how much of that it takes.
    func hand(to take: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        var count = 0
        unsafe bytes.withUnsafeMutableBytes {
            unsafe count = take(UnsafeMutableRawBufferPointer(rebasing: $0[taken...]))
        }
        taken += count
        return count
    }

    /// Gives back the memory of what is taken where that is more than the rest, so that all of it together costs little.
    func trim() {
        if taken > bytes.count / 2 { compact() }
    }

    private func compact() {
        guard taken > 0 else { return }
        let before = capacity
        bytes = Array(bytes[taken...])
        counters.heldBytes.add(capacity - before)
        taken = 0
    }
}
