internal import CZlib

/// Compresses messages with one window size (RFC 7692 §7.2.1).
///
/// Uses 256 KiB with a window of 15 bits, 4 KiB with one of 9. The corresponding C type is `z_stream`.
@safe struct Deflater: ~Copyable {
    /// The window bits for which zlib makes raw streams; it refuses 8.
    static let windowBits = 9...15

    // zlib keeps the address of the stream, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    let windowBits: Int
    let level: Int

    /// `windowBits` within ``windowBits``, `level` from 1 to 9; `nil` for other values, or if memory ran out.
    init?(windowBits: Int, level: Int) {
        guard Self.windowBits.contains(windowBits), (1...9).contains(level) else { return nil }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // A hash table as large as the window: 8 is zlib's default for 15 bits.
        let memoryLevel = Int32(windowBits - 7)
        let status = unsafe deflateInit2_(
            stream, Int32(level), Z_DEFLATED, -Int32(windowBits), memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            return nil
        }
        unsafe self.stream = stream
        self.windowBits = windowBits
        self.level = level
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Appends `message`, compressed, to `bytes`; the result is the payload of a frame with RSV1.
    ///
    /// - Parameters:
    ///   - keepsContext: the next message may refer to this one.
    ///   - isLast: whether the message ends here; otherwise the next call continues it.
    /// - Returns: whether it succeeded; if not, memory ran out, and the deflater must not be used again.
    mutating func deflate(
        _ message: UnsafeRawBufferPointer, keepsContext: Bool, isLast: Bool = true,
        scratch: UnsafeMutableRawBufferPointer, to bytes: inout [UInt8]
    ) -> Bool {
        // §7.2.3.6: zlib writes nothing for a second flush in a row; an empty block is a single zero.
        guard unsafe !message.isEmpty else {
            bytes.append(0)
            return true
        }
        let start = bytes.count
        var rest = unsafe message
        repeat {
            // zlib counts in 32 bits.
            let part = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
            let flush = unsafe rest.isEmpty ? Z_SYNC_FLUSH : Z_NO_FLUSH
            guard unsafe feed(part, flush, scratch, &bytes) else { return false }
        } while unsafe !rest.isEmpty
        guard isLast else { return true }
        // §7.2.1: leave out the empty block at the end of a flush, which the peer adds.
        guard bytes.count >= start + 4, bytes.suffix(4).elementsEqual(Inflater.tail) else { return false }
        bytes.removeLast(4)
        return keepsContext ? true : unsafe deflateReset(stream) == Z_OK
    }

    private mutating func feed(
        _ part: UnsafeRawBufferPointer, _ flush: Int32, _ scratch: UnsafeMutableRawBufferPointer,
        _ bytes: inout [UInt8]
    ) -> Bool {
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: part.bindMemory(to: UInt8.self).baseAddress)
        unsafe stream.pointee.avail_in = UInt32(truncatingIfNeeded: part.count)
        repeat {
            unsafe stream.pointee.next_out = scratch.bindMemory(to: UInt8.self).baseAddress
            unsafe stream.pointee.avail_out = UInt32(truncatingIfNeeded: scratch.count)
            let status = unsafe CZlib.deflate(stream, flush)
            guard status == Z_OK || status == Z_BUF_ERROR else { return false }
            let made = unsafe scratch.count - Int(stream.pointee.avail_out)
            unsafe bytes.append(contentsOf: scratch[..<made])
        } while unsafe stream.pointee.avail_out == 0
        return unsafe stream.pointee.avail_in == 0
    }
}
