internal import COpenSSL

/// The states of all connections of a thread that make records, side by side.
///
/// A broadcast reads one after another, which the processor foresees; among the other memory of each connection they
/// would be on as many pages. A state stays where it is until it is released. Used by one thread only.
@safe final class TLSRecordStates {
    /// The number of states in a block, as a power of two.
    private let shift: Int
    private var blocks: [UnsafeMutablePointer<TLSRecordState>] = unsafe []
    private var free: [UInt32] = []

    /// The size of a state's place, in bytes.
    private static let stride = 64

    /// Makes room for the states of many connections, or of one.
    init(forOne isForOne: Bool = false) { shift = isForOne ? 0 : 6 }

    deinit { unsafe blocks.forEach { unsafe UnsafeMutableRawPointer($0).deallocate() } }

    /// Keeps `state` at a place; returns that.
    func add(_ state: TLSRecordState) -> UInt32 {
        if free.isEmpty { addBlock() }
        let place = free.removeLast()
        unsafe self[place].initialize(to: state)
        return place
    }

    /// Erases the state at a place, and makes the place available again.
    func release(_ place: UInt32) {
        unsafe OPENSSL_cleanse(self[place], MemoryLayout<TLSRecordState>.size)
        unsafe self[place].initialize(to: .unused)
        free.append(place)
    }

    /// The state at a place.
    subscript(place: UInt32) -> UnsafeMutablePointer<TLSRecordState> {
        unsafe blocks[Int(place) >> shift] + (Int(place) & (1 << shift - 1))
    }

    /// Fetches the state at a place into the processor's cache, in advance.
    @inline(__always)
    func prefetch(_ place: UInt32) { unsafe tls_prefetch(self[place]) }

    private func addBlock() {
        let count = 1 << shift
        // Aligned to lines of the processor's cache.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count * Self.stride, alignment: Self.stride)
        let block = unsafe memory.bindMemory(to: TLSRecordState.self, capacity: count)
        unsafe block.initialize(repeating: .unused, count: count)
        let first = unsafe UInt32(truncatingIfNeeded: blocks.count << shift)
        unsafe blocks.append(block)
        free += (first..<first + UInt32(truncatingIfNeeded: count)).reversed()
    }
}
