/// permessage-deflate on one connection, both directions (RFC 7692 §7.2).
///
/// Keeps zlib's memory between messages only for a side that keeps its context; for everything else it borrows from the
/// thread's ``DeflatePool``.
package final class MessageCompression {
    /// The parameters agreed on.
    package let parameters: DeflateParameters
    private let options: CompressionOptions
    private let pool: DeflatePool
    private let isServer: Bool
    private var deflater: Deflater?
    /// The deflater of a message of which a part has been sent.
    private var partDeflater: Deflater?
    private var inflater: Inflater?

    /// One side of the agreement; `pool` belongs to the connection's thread.
    package init(
        _ parameters: DeflateParameters, role: WebSocketMachine.Role, options: CompressionOptions, pool: DeflatePool
    ) {
        self.parameters = parameters
        self.options = options
        self.pool = pool
        isServer = role == .server
    }

    // MARK: Sending

    /// The window bits of the messages that this side sends, 8 to 15.
    private var ownWindowBits: Int {
        (isServer ? parameters.serverWindowBits : parameters.clientWindowBits)
            ?? DeflateParameters.windowBits.upperBound
    }

    private var ownNoContextTakeover: Bool {
        isServer ? parameters.serverNoContextTakeover : parameters.clientNoContextTakeover
    }

    /// The window bits of messages that can be shared with other connections; `nil` if each message refers to the last.
    package var sharedWindowBits: Int? {
        ownNoContextTakeover && Deflater.windowBits.contains(ownWindowBits) ? ownWindowBits : nil
    }

    /// The payload to send with RSV1 in place of `message`; `nil` to send `message` as it is.
    package func deflate(_ message: UnsafeRawBufferPointer) -> [UInt8]? {
        // §7.1.2.2: zlib has no window of 8 bits, but compression is optional for each message.
        guard message.count >= options.minimum, Deflater.windowBits.contains(ownWindowBits) else { return nil }
        guard !ownNoContextTakeover else {
            return unsafe pool.deflate(message, windowBits: ownWindowBits, level: options.level)
        }
        guard var own = deflater.take() ?? Deflater(windowBits: ownWindowBits, level: options.level) else {
            return nil
        }
        var bytes: [UInt8] = []
        let isDone = unsafe own.deflate(message, keepsContext: true, scratch: pool.scratch, to: &bytes)
        // The peer's window does not contain a message that failed, so the next one starts with an empty window.
        guard isDone else { return nil }
        deflater = consume own
        return bytes
    }

    /// A part of a message that is sent in several frames.
    enum Part {
        /// Sent uncompressed, like the whole message.
        case plain
        case compressed([UInt8])
        /// Memory ran out within the message.
        case failed
    }

    /// Compresses the next part; all parts of a message are compressed, or none.
    func deflatePart(_ part: [UInt8], isFirst: Bool, isLast: Bool) -> Part {
        if isFirst, Deflater.windowBits.contains(ownWindowBits) {
            partDeflater = deflater.take() ?? Deflater(windowBits: ownWindowBits, level: options.level)
        }
        guard var own = partDeflater.take() else { return .plain }
        var bytes: [UInt8] = []
        let isDone = unsafe part.withUnsafeBytes { part in
            unsafe own.deflate(
                part, keepsContext: !ownNoContextTakeover, isLast: isLast, scratch: pool.scratch, to: &bytes)
        }
        guard isDone else { return .failed }
        if !isLast {
            partDeflater = consume own
        } else if !ownNoContextTakeover {
            deflater = consume own
        }
        return .compressed(bytes)
    }

    // MARK: Receiving

    private var peerNoContextTakeover: Bool {
        isServer ? parameters.clientNoContextTakeover : parameters.serverNoContextTakeover
    }

    /// Whether more may be inflated in this turn of the thread, over all its connections.
    func mayInflate(inTurn turn: Int64) -> Bool { pool.mayInflate(inTurn: turn) }

    /// Appends the inflated piece of a message to `message`; `nil` if it was valid.
    ///
    /// `message` is the message so far; it grows to at most `limit` bytes, and by one more if the limit is exceeded.
    func inflate(
        _ piece: UnsafeRawBufferPointer, isLast: Bool, limit: Int, to message: inout [UInt8]
    ) -> ProtocolViolation? {
        let before = message.count
        defer { pool.countInflated(message.count - before) }
        guard var current = inflater.take() ?? makeInflater() else { return .noMemoryToInflate }
        if let violation = unsafe current.inflate(piece, limit: limit, scratch: pool.scratch, to: &message) {
            return violation
        }
        guard isLast else {
            inflater = consume current
            return nil
        }
        let keepsContext = !peerNoContextTakeover
        let violation = unsafe current.finish(
            limit: limit, keepsContext: keepsContext, scratch: pool.scratch, to: &message)
        if let violation { return violation }
        if keepsContext { inflater = consume current } else { pool.putBack(consume current) }
        return nil
    }

    private func makeInflater() -> Inflater? {
        guard !peerNoContextTakeover else { return pool.takeInflater() }
        let bits = isServer ? parameters.clientWindowBits : parameters.serverWindowBits
        return Inflater(windowBits: bits ?? DeflateParameters.windowBits.upperBound)
    }

    /// Drops the message under way; nothing more will be received.
    func forgetReceived() { inflater = nil }
}
