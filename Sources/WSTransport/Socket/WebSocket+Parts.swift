internal import Synchronization

/// Messages that are sent and received in parts, so that they are never in memory as a whole.
extension WebSocket {
    /// Sends one message in parts, while `body` writes it.
    ///
    /// Waits for earlier senders. Other messages wait until this one is complete; PING, PONG and CLOSE are sent between
    /// its parts. Each 64 KiB are sent as a frame, and ``MessageWriter/write(_:)-(String)`` waits while more than that
    /// are unsent. If `body` throws after a part was sent, the message cannot be completed, and the socket is closed
    /// with code 1011.
    ///
    /// Throws what `body` throws; ``WS/Error/invalidState(_:)`` if the socket is not open; ``WS/Error/badType(_:)`` if
    /// `type` is neither text nor binary, or if a text is not UTF-8; and `CancellationError`.
    ///
    /// - Parameters:
    ///   - type: `ws.TEXT` or `ws.BINARY`.
    ///   - isolation: the actor on which `body` runs; the caller's by default.
    ///   - body: writes the message; the writer must not be used after it returns.
    public func sendInParts<Outcome>(
        _ type: Opcode = WS.BINARY, isolation: isolated (any Actor)? = #isolation,
        _ body: (_ writer: MessageWriter) async throws -> Outcome
    ) async throws -> Outcome {
        guard type == .text || type == .binary else {
            throw WS.Error.badType("expected a text or a binary message, found opcode \(type.rawValue)")
        }
        try await core.beginParts(type)
        let writer = MessageWriter(core, type)
        do {
            let outcome = try await body(writer)
            try await writer.end()
            return outcome
        } catch {
            writer.leave()
            throw error
        }
    }

    /// Waits for the next message, and returns it as soon as it begins; `nil` after a normal end.
    ///
    /// Any unread rest of the previous message is dropped. With ``UpgradeOptions/receivesParts`` or
    /// ``ConnectOptions/receivesParts``, only the received bytes that were not read yet are in memory, up to
    /// `maximumHeld`; then the peer must wait. Without that option, the message is returned when it is complete. Throws
    /// as ``receive()`` does.
    public func receiveInParts() async throws -> IncomingMessage? {
        guard core.limits.receivesParts else {
            guard let message = try await core.next() else { return nil }
            return IncomingMessage(message.type, isCompressed: message.compress, whole: message.body)
        }
        guard let next = try await core.nextMessage() else { return nil }
        return IncomingMessage(next.type, isCompressed: next.isCompressed, of: self, next.number)
    }

    /// The next message, whole, of a socket that receives messages in parts.
    func receiveWhole() async throws -> WebSocketMessage? {
        guard let next = try await receiveInParts() else { return nil }
        let body = try await next.collect()
        return WebSocketMessage(
            next.type, MessageBody(body), masked: !core.isClient, compress: next.isCompressed, stream: core)
    }
}

/// Writes one message in parts; see ``WebSocket/sendInParts(_:isolation:_:)``.
///
/// Any thread; one task may write at a time.
public final class MessageWriter: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var validator = UTF8Validator()
        var isBusy = false
        var hasBegun = false
        var isOver = false
    }

    private let core: SocketCore
    private let type: Opcode
    private let state = Mutex(State())
    /// The size of a frame, in bytes.
    private static let partSize = 64 * 1024

    init(_ core: SocketCore, _ type: Opcode) {
        self.core = core
        self.type = type
    }

    /// Writes text, as UTF-8, and waits while more than 64 KiB are unsent.
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    /// Writes bytes, and waits while more than 64 KiB are unsent.
    ///
    /// A character of a text may be split between two calls. Throws ``WS/Error/busy`` while another task is writing,
    /// and as ``WebSocket/sendInParts(_:isolation:_:)`` does.
    public func write(_ bytes: some Sequence<UInt8> & Sendable) async throws { try await write(Array(bytes)) }

    private func write(_ bytes: [UInt8]) async throws {
        try state.withLock { state throws(WS.Error) in
            guard !state.isOver else { throw .invalidState(core.state.withLock { $0.readyState }) }
            guard !state.isBusy else { throw .busy }
            if type == .text, unsafe !bytes.withUnsafeBytes({ unsafe state.validator.append($0) }) {
                throw .badType("a text message must be UTF-8")
            }
            state.isBusy = true
            state.buffer += bytes
        }
        defer { state.withLock { $0.isBusy = false } }
        var offset = 0
        // The last bytes are kept for the frame that ends the message.
        while let (part, isFirst) = nextPart(&offset) {
            try await core.sendPart(type, part, isFirst: isFirst, isLast: false)
            state.withLock { $0.hasBegun = true }
        }
    }

    /// The next part to send, which more bytes follow.
    private func nextPart(_ offset: inout Int) -> (part: [UInt8], isFirst: Bool)? {
        let start = offset
        let next = state.withLock { state -> (part: [UInt8], isFirst: Bool)? in
            guard state.buffer.count - start > Self.partSize else {
                state.buffer.removeFirst(start)
                return nil
            }
            return (Array(state.buffer[start..<start + Self.partSize]), !state.hasBegun)
        }
        offset += next?.part.count ?? 0
        return next
    }

    /// Sends the rest, which completes the message.
    func end() async throws {
        let (rest, isFirst) = try state.withLock { state throws(WS.Error) in
            guard type != .text || state.validator.isComplete else { throw .badType("a text message must be UTF-8") }
            return (state.buffer, !state.hasBegun)
        }
        try await core.sendPart(type, rest, isFirst: isFirst, isLast: true)
        state.withLock { state in
            state.isOver = true
            state.buffer = []
        }
    }

    /// Gives up the message without completing it.
    func leave() {
        let hasBegun = state.withLock { state in
            state.isOver = true
            state.buffer = []
            return state.hasBegun
        }
        core.leaveParts(begun: hasBegun)
    }
}

/// A message that is read while it arrives; see ``WebSocket/receiveInParts()``.
///
/// It is a sequence of parts, of the sizes in which they arrive; a character of a text may be split between two parts.
/// When nothing refers to the message any more, its rest is dropped. Any thread; one task may read at a time.
public final class IncomingMessage: AsyncSequence, Sendable {
    /// `ws.TEXT` or `ws.BINARY`.
    public let type: Opcode
    /// Whether the message was compressed.
    public let isCompressed: Bool
    /// The unread bytes of a message that was received whole.
    private let whole: Mutex<[UInt8]>
    /// The source of the parts of any other message; retained, because a socket that nothing refers to is closed.
    private let socket: WebSocket?
    private let number: UInt64

    init(_ type: Opcode, isCompressed: Bool, whole: [UInt8] = [], of socket: WebSocket? = nil, _ number: UInt64 = 0) {
        self.type = type
        self.isCompressed = isCompressed
        self.whole = Mutex(whole)
        self.socket = socket
        self.number = number
    }

    deinit { socket?.core.leave(number) }

    /// Waits for the next part, which is never empty; `nil` at the end of the message.
    ///
    /// Throws ``WS/Error/closed(_:reason:)`` or ``WS/Error/protocolViolation(_:_:)`` if the socket ended within the
    /// message, ``WS/Error/busy`` while another task is reading, and `CancellationError`.
    public func next() async throws -> [UInt8]? {
        if let socket { return try await socket.core.nextPart(of: number) }
        return whole.withLock { bytes in
            defer { bytes = [] }
            return bytes.isEmpty ? nil : bytes
        }
    }

    /// Waits for the whole rest of the message, and returns it.
    ///
    /// Throws ``WS/Error/messageTooBig`` if the rest exceeds `maximum` bytes, and as ``next()`` does.
    public func collect(upTo maximum: Int = WebSocketMessage.defaultMaxSize) async throws -> [UInt8] {
        var whole: [UInt8] = []
        while let part = try await next() {
            guard whole.count + part.count <= maximum else { throw WS.Error.messageTooBig }
            whole += part
        }
        return whole
    }

    /// Reads the parts of a message, as ``IncomingMessage/next()`` does.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let message: IncomingMessage

        /// The next part; `nil` at the end of the message.
        public mutating func next() async throws -> [UInt8]? { try await message.next() }
    }

    /// Creates an iterator over the parts that were not read yet.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(message: self) }
}
