/// Received bytes that a driver has not taken yet, in order.
///
/// Nothing more is read while the driver may continue with these. So there are at most one unfinished item (a head, a
/// line) and one read. Runs on the reactor's thread.
final class Carry {
    private var bytes: [UInt8]
    /// How many bytes have been taken, from the front.
    private var taken = 0
    private let counters: ReactorCounters

    /// - Parameter counters: count its memory while it exists.
    init(_ bytes: UnsafeRawBufferPointer, _ counters: ReactorCounters) {
        self.bytes = unsafe Array(bytes)
        self.counters = counters
        counters.heldBytes.add(capacity)
    }

    deinit { counters.heldBytes.add(-capacity) }

    var isEmpty: Bool { taken == bytes.count }

    /// The size of its memory, in bytes.
    var capacity: Int { bytes.capacity }

    func append(_ more: UnsafeRawBufferPointer) {
        compact()
        let before = capacity
        defer { counters.heldBytes.add(capacity - before) }
        // Exactly that much: geometric growth would be kept for as long as the peer makes its driver wait.
        bytes.reserveCapacity(bytes.count + more.count)
        unsafe bytes.append(contentsOf: more)
    }

    /// Passes all bytes that have not been taken to `take`, which returns how many it takes.
    func hand(to take: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        var count = 0
        unsafe bytes.withUnsafeMutableBytes {
            unsafe count = take(UnsafeMutableRawBufferPointer(rebasing: $0[taken...]))
        }
        taken += count
        return count
    }

    /// Releases the memory of taken bytes if they are more than the rest, so that the total cost stays small.
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
