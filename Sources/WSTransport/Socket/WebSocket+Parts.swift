internal import Synchronization

/// Messages of which only a part is in memory at a time.
extension WebSocket {
    /// Sends one message in parts, as `body` writes them.
    ///
    /// Waits for earlier senders; other messages wait until it is over, while PING, PONG and CLOSE go in between. A part is
    /// sent, as a frame, when 64 KiB have been written, and ``MessageWriter/write(_:)-(String)`` waits as long as more
    /// than that are unsent. If `body` throws after a part was sent, the message cannot be ended, and the socket is
    /// closed (1011).
    ///
    /// Throws what `body` throws, ``WS/Error/invalidState(_:)``, ``WS/Error/badType(_:)`` for a text that is not UTF-8 or
    /// for another type than text and binary, and `CancellationError`.
    ///
    /// - Parameters:
    ///   - type: `ws.TEXT` or `ws.BINARY`.
    ///   - isolation: where `body` runs: as the caller does.
    ///   - body: writes the message; the writer is of no use afterwards.
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

    /// Waits for the next message, and gives it while it comes; `nil` after an orderly end.
    ///
    /// What is left of the message before is dropped. With ``UpgradeOptions/receivesParts``, or
    /// ``ConnectOptions/receivesParts``, only what has come and was not taken is in memory: up to `maximumHeld`, then the
    /// peer has to wait. Without, messages come whole. Throws as ``receive()`` does.
    public func receiveInParts() async throws -> IncomingMessage? {
        guard core.limits.receivesParts else {
            guard let message = try await core.next() else { return nil }
            return IncomingMessage(message.type, isCompressed: message.compress, whole: message.body)
        }
        guard let next = try await core.nextMessage() else { return nil }
        return IncomingMessage(next.type, isCompressed: next.isCompressed, of: self, next.number)
    }

    /// The next message, of a socket that hands them over in parts.
    func receiveWhole() async throws -> WebSocketMessage? {
        guard let next = try await receiveInParts() else { return nil }
        let body = try await next.collect()
        return WebSocketMessage(
            next.type, body, masked: !core.isClient, compress: next.isCompressed, stream: SocketStream(core.link))
    }
}

/// Writes one message in parts, see ``WebSocket/sendInParts(_:isolation:_:)``.
///
/// One task at a time.
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
    /// The most bytes of a frame.
    private static let partSize = 64 * 1024

    init(_ core: SocketCore, _ type: Opcode) {
        self.core = core
        self.type = type
    }

    /// Writes text, as UTF-8, and waits as long as too much is unsent.
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    /// Writes bytes, and waits as long as too much is unsent.
    ///
    /// A character of a text may be cut between two calls. Throws ``WS/Error/busy`` where another task is writing, and as
    /// ``WebSocket/sendInParts(_:isolation:_:)`` does.
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

    /// Sends what is left, with which the message ends.
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

    /// The message has no end.
    func leave() {
        let hasBegun = state.withLock { state in
            state.isOver = true
            state.buffer = []
            return state.hasBegun
        }
        core.leaveParts(begun: hasBegun)
    }
}

/// A message that is read while it comes, see ``WebSocket/receiveInParts()``.
///
/// A sequence of its parts, as large as they happen to come; a character of a text may be cut between two of them. If
/// nothing refers to it any more, the rest of it is dropped. One task at a time.
public final class IncomingMessage: AsyncSequence, Sendable {
    /// `ws.TEXT` or `ws.BINARY`.
    public let type: Opcode
    /// Whether it came compressed.
    public let isCompressed: Bool
    /// What is left of a message that has come whole.
    private let whole: Mutex<[UInt8]>
    /// Where the parts of any other come from; holds on to the socket, which would close if only this were referred to.
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

    /// Waits for the next part, not empty; `nil` at the end of the message.
    ///
    /// Throws ``WS/Error/closed(_:reason:)`` or ``WS/Error/protocolViolation(_:_:)`` if the socket ended in the middle of the
    /// message, ``WS/Error/busy`` where another task is reading, and `CancellationError`.
    public func next() async throws -> [UInt8]? {
        if let socket { return try await socket.core.nextPart(of: number) }
        return whole.withLock { bytes in
            defer { bytes = [] }
            return bytes.isEmpty ? nil : bytes
        }
    }

    /// Waits for the rest of the message, and returns it as one.
    ///
    /// Throws ``WS/Error/messageTooBig`` if that is more than `maximum` bytes, and as ``next()`` does.
    public func collect(upTo maximum: Int = WebSocketMessage.defaultMaxSize) async throws -> [UInt8] {
        var whole: [UInt8] = []
        while let part = try await next() {
            guard whole.count + part.count <= maximum else { throw WS.Error.messageTooBig }
            whole += part
        }
        return whole
    }

    /// What takes its parts.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let message: IncomingMessage

        /// The next part; `nil` at the end of the message.
        public mutating func next() async throws -> [UInt8]? { try await message.next() }
    }

    /// A reader of what is left.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(message: self) }
}
