/// zlib's memory, lent to the connections of one thread while they handle a message.
///
/// Keeps at most one inflater and two deflaters, 350 KiB, however many connections there are.
@safe package final class DeflatePool {
    private static let scratchCount = 16 * 1024

    /// zlib's output, before it is copied to its destination.
    let scratch: UnsafeMutableRawBufferPointer
    /// How much may be inflated in one turn of the thread, in bytes, before the next message waits for the next turn.
    ///
    /// Inflating 1 MiB takes about a millisecond, and needs only 1 KiB on the wire.
    package static let inflatedPerTurn = 2 << 20

    private var turn: Int64 = 0
    private var inflated = 0
    private var spareInflater: Inflater?
    private var wideDeflater: Deflater?
    private var narrowDeflater: Deflater?

    /// Makes an empty pool.
    package init() {
        unsafe scratch = .allocate(byteCount: Self.scratchCount, alignment: 16)
    }

    deinit { unsafe scratch.deallocate() }

    /// Counts inflated bytes.
    func countInflated(_ count: Int) { inflated += count }

    /// Whether another message may be inflated in this turn, which is identified by its time.
    func mayInflate(inTurn turn: Int64) -> Bool {
        if turn != self.turn { (self.turn, inflated) = (turn, 0) }
        return inflated < Self.inflatedPerTurn
    }

    /// An inflater for any window; `nil` if memory ran out.
    func takeInflater() -> Inflater? {
        if let spare = spareInflater.take() { return spare }
        return Inflater(windowBits: DeflateParameters.windowBits.upperBound)
    }

    /// Takes back an inflater whose message ended without an error.
    func putBack(_ inflater: consuming Inflater) { spareInflater = consume inflater }

    /// A message compressed by itself, to be sent with RSV1; `nil` if that saves nothing, or memory ran out.
    ///
    /// `windowBits` from 9 to 15, `level` from 1 to 9.
    package func deflate(_ message: UnsafeRawBufferPointer, windowBits: Int, level: Int) -> [UInt8]? {
        // A message has no references before its own beginning, so a small one needs no wide window.
        let needed = max(Deflater.windowBits.lowerBound, Int.bitWidth - message.count.leadingZeroBitCount)
        let isWide = windowBits == DeflateParameters.windowBits.upperBound && needed > Self.narrowWindowBits
        let bits = isWide ? windowBits : min(windowBits, Self.narrowWindowBits)
        guard var deflater = takeDeflater(isWide: isWide, windowBits: bits, level: level) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(message.count / 2 + 16)
        guard unsafe deflater.deflate(message, keepsContext: false, scratch: scratch, to: &bytes) else { return nil }
        if isWide { wideDeflater = consume deflater } else { narrowDeflater = consume deflater }
        return bytes.count < message.count ? bytes : nil
    }

    private func takeDeflater(isWide: Bool, windowBits: Int, level: Int) -> Deflater? {
        var kept = isWide ? wideDeflater.take() : narrowDeflater.take()
        let isSuitable =
            switch kept {
            case .some(let deflater): deflater.windowBits == windowBits && deflater.level == level
            case .none: false
            }
        return isSuitable ? kept.take() : Deflater(windowBits: windowBits, level: level)
    }

    /// Enough for messages up to 4 KiB, and faster to reset than the widest window.
    private static let narrowWindowBits = 12
}
