internal import CZlib

/// The content coding `gzip` (RFC 1952), for bodies that are made once and sent often.
package enum Gzip {
    /// Compresses `bytes` as far as zlib can, and blocks meanwhile.
    ///
    /// - Returns: `nil` if memory ran out.
    package static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        var stream = unsafe z_stream()
        // 16 more window bits select the gzip format.
        let status = unsafe deflateInit2_(
            &stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK, let count = UInt32(exactly: bytes.count) else { return nil }
        defer { unsafe deflateEnd(&stream) }
        let room = unsafe Int(deflateBound(&stream, UInt(count)))
        var made = [UInt8](repeating: 0, count: room)
        let end = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe made.withUnsafeMutableBufferPointer { output in
                unsafe stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                unsafe stream.avail_in = count
                unsafe stream.next_out = output.baseAddress
                unsafe stream.avail_out = UInt32(truncatingIfNeeded: output.count)
                return unsafe deflate(&stream, Z_FINISH)
            }
        }
        guard end == Z_STREAM_END else { return nil }
        made.removeLast(unsafe Int(stream.avail_out))
        return made
    }
}
