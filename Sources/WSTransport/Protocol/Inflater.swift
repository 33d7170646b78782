internal import CZlib

/// Inflates messages as their bytes arrive (RFC 7692 §7.2.2).
///
/// Holds 7 KiB, and in addition the window of 32 KiB once a message arrived in more than one piece. The corresponding C
/// type is `z_stream`.
@safe struct Inflater: ~Copyable {
    /// The empty block that a sender leaves out at the end of a message (RFC 7692 §7.2.1).
    static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    // zlib keeps the address of the stream, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    /// Whether the last bytes ended a block marked as the last (RFC 7692 §7.2.3.4).
    private var isAtStreamEnd = false
    /// Whether any byte of the message has arrived.
    private var hasBegun = false

    /// `windowBits` from 8 to 15; `nil` for other values, or if memory ran out.
    init?(windowBits: Int) {
        guard DeflateParameters.windowBits.contains(windowBits) else { return nil }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Some versions of zlib compress with 9 bits when asked for 8; the larger window can read both.
        let bits = -Int32(max(9, windowBits))
        let status = unsafe inflateInit2_(stream, bits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            return nil
        }
        unsafe self.stream = stream
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Appends the inflated `piece` of a message; `nil` if it was valid.
    ///
    /// `message` is the message so far; it grows to at most `limit` bytes, and by one more byte if the limit is
    /// exceeded. After a violation the inflater must not be used again.
    mutating func inflate(
        _ piece: UnsafeRawBufferPointer, limit: Int, scratch: UnsafeMutableRawBufferPointer, to message: inout [UInt8]
    ) -> ProtocolViolation? {
        if unsafe !piece.isEmpty { hasBegun = true }
        var rest = unsafe piece
        while unsafe !rest.isEmpty {
            // zlib counts in 32 bits.
            let part = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
            if let violation = unsafe feed(part, limit, scratch, &message) { return violation }
        }
        return nil
    }

    /// Ends a message after all its pieces have been inflated.
    ///
    /// - Parameter keepsContext: whether the next message may refer to this one.
    mutating func finish(
        limit: Int, keepsContext: Bool, scratch: UnsafeMutableRawBufferPointer, to message: inout [UInt8]
    ) -> ProtocolViolation? {
        // A sender that ended the stream omitted no block, and an input without bytes is an empty message.
        if hasBegun, !isAtStreamEnd {
            let violation = unsafe Self.tail.withUnsafeBytes { tail in
                unsafe feed(tail, limit, scratch, &message)
            }
            if let violation { return violation }
            // A message that was cut short ends within a block.
            guard unsafe stream.pointee.data_type & 128 != 0 else { return .compressedData }
        }
        hasBegun = false
        guard !keepsContext || isAtStreamEnd else { return nil }
        isAtStreamEnd = false
        let status = unsafe keepsContext ? inflateResetKeep(stream) : inflateReset(stream)
        return status == Z_OK ? nil : .noMemoryToInflate
    }

    private mutating func feed(
        _ part: UnsafeRawBufferPointer, _ limit: Int, _ scratch: UnsafeMutableRawBufferPointer,
        _ message: inout [UInt8]
    ) -> ProtocolViolation? {
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: part.bindMemory(to: UInt8.self).baseAddress)
        unsafe stream.pointee.avail_in = UInt32(truncatingIfNeeded: part.count)
        while true {
            if isAtStreamEnd, unsafe stream.pointee.avail_in > 0 {
                // §7.2.3.4: another stream follows in the same message, and may refer to data before it.
                guard unsafe inflateResetKeep(stream) == Z_OK else { return .noMemoryToInflate }
                isAtStreamEnd = false
            }
            // One byte above the limit shows that there is more.
            let room = min(scratch.count, max(0, limit &- message.count) &+ 1)
            unsafe stream.pointee.next_out = scratch.bindMemory(to: UInt8.self).baseAddress
            unsafe stream.pointee.avail_out = UInt32(truncatingIfNeeded: room)
            let status = unsafe CZlib.inflate(stream, Z_SYNC_FLUSH)
            let left = unsafe Int(stream.pointee.avail_out)
            unsafe message.append(contentsOf: scratch[..<(room &- left)])
            // Checked before the status, because how far zlib read past the limit depends on how the input was cut.
            guard message.count <= limit else { return .messageTooBig }
            switch status {
            case Z_OK: break
            case Z_STREAM_END: isAtStreamEnd = true
            // No progress was possible: all input has been used.
            case Z_BUF_ERROR: return nil
            case Z_MEM_ERROR: return .noMemoryToInflate
            default: return .compressedData
            }
            if unsafe stream.pointee.avail_in == 0, left > 0 { return nil }
            if status == Z_STREAM_END, unsafe stream.pointee.avail_in == 0 { return nil }
        }
    }
}
