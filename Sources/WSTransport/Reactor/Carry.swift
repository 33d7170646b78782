/// Bytes that have arrived and that a driver has not taken yet, in order.
///
/// Nothing more is read while the driver may continue with these, so they are at most the unfinished item with which a
/// reading began (a head, a line) and one reading. Runs on the reactor's thread.
final class Carry {
    private var bytes: [UInt8]
    /// How many of them have been taken, from the first on.
    private var taken = 0
    private let counters: ReactorCounters

    /// - Parameter counters: count its memory as long as it exists.
    init(_ bytes: UnsafeRawBufferPointer, _ counters: ReactorCounters) {
        self.bytes = unsafe Array(bytes)
        self.counters = counters
        counters.heldBytes.add(capacity)
    }

    deinit { counters.heldBytes.add(-capacity) }

    var isEmpty: Bool { taken == bytes.count }

    /// Its memory, in bytes.
    var capacity: Int { bytes.capacity }

    func append(_ more: UnsafeRawBufferPointer) {
        compact()
        let before = capacity
        defer { counters.heldBytes.add(capacity - before) }
        // Exactly: growth by halves would be kept for as long as the peer makes its driver wait.
        bytes.reserveCapacity(bytes.count + more.count)
        unsafe bytes.append(contentsOf: more)
    }

    /// Passes everything that is not taken to `take`, which returns how much it takes.
    func hand(to take: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        var count = 0
        unsafe bytes.withUnsafeMutableBytes {
            unsafe count = take(UnsafeMutableRawBufferPointer(rebasing: $0[taken...]))
        }
        taken += count
        return count
    }

    /// Releases the memory of what has been taken if it is more than the rest, so that the total cost is small.
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
