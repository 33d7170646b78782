internal import Synchronization

/// A WebSocket message, independent of any connection: a type and a body.
///
/// A reference type: all handlers share the message and its read position. Any thread.
public final class WebSocketMessage: HandlerMessage {
    /// The content of a message.
    public enum Data: Equatable, Sendable {
        /// The text of a text message; invalid UTF-8 is shown as replacement characters.
        case text(String)
        /// The bytes of any other message.
        case binary([UInt8])

        /// The text; `nil` for a binary message.
        public var text: String? { if case .text(let text) = self { text } else { nil } }

        /// The bytes of either kind.
        public var bytes: [UInt8] {
            switch self {
            case .text(let text): Array(text.utf8)
            case .binary(let bytes): bytes
            }
        }
    }

    struct State {
        var type: Opcode
        var masked: Bool
        var compress: Bool
        var isEnded = false
        var sent = false
        /// Whether the body is known to be UTF-8, because a connection received it as a text message.
        var isKnownText = false
        /// Whether the message is a reply, which has no reply of its own.
        var isReply = false
        var maxSize: Int
        var body = MessageBody()
        var position = 0
        var stream: (any ByteStream)?
        /// The values that handlers set for a few messages only.
        var notes: Notes?
    }

    /// What most messages have nothing of, so that a message from a connection costs less.
    final class Notes {
        var value = ""
        var params: [String] = []
        var lastError = ""
        var reply: WebSocketMessage?
    }

    let state: Mutex<State>
    /// What counts as held while it waits in the socket that received it, in bytes; 0 if it does not.
    var held: Int { unsafe heldBytes }
    // Written only while nobody else refers to the message.
    @exclusivity(unchecked) nonisolated(unsafe) private var heldBytes: Int

    /// The opcode of text messages, `ws.TEXT`.
    public static let TEXT = WS.TEXT
    /// The opcode of binary messages, `ws.BINARY`.
    public static let BINARY = WS.BINARY

    /// The default maximum size of a message, 64 MiB, in bytes.
    public static let defaultMaxSize = 64 << 20

    /// Creates a message without a body.
    ///
    /// - Parameters:
    ///   - type: the opcode.
    ///   - masked: whether ``sendTo(_:)`` masks the frame, as a client must.
    ///   - compress: whether ``sendTo(_:)`` compresses the body; ignored unless `type` is `TEXT` or `BINARY`.
    ///   - maxSize: the largest message that ``readFrom(_:)`` accepts, in bytes; negative values mean 0.
    public init(
        type: Opcode = WS.BINARY, masked: Bool = true, compress: Bool = false, maxSize: Int = defaultMaxSize
    ) {
        let mayCompress = type == .text || type == .binary
        unsafe heldBytes = 0
        state = Mutex(
            State(type: type, masked: masked, compress: compress && mayCompress, maxSize: max(0, maxSize)))
    }

    /// Creates a text message.
    public convenience init(_ text: String) {
        self.init(type: WS.TEXT)
        write(text)
    }

    /// Creates a binary message.
    public convenience init(_ bytes: [UInt8]) {
        self.init(type: WS.BINARY)
        write(bytes)
    }

    /// Makes a message that a connection received.
    init(
        _ type: Opcode, _ body: MessageBody, masked: Bool, compress: Bool, stream: (any ByteStream)?, held: Int = 0
    ) {
        unsafe heldBytes = held
        state = Mutex(
            State(
                type: type, masked: masked, compress: compress && !type.isControl, isKnownText: type == .text,
                maxSize: Self.defaultMaxSize, body: body, stream: stream))
    }

    /// The same, with a copy of `bytes` that is made where it stays.
    @inline(__always)
    init(
        _ type: Opcode, copying bytes: UnsafeRawBufferPointer, masked: Bool, compress: Bool,
        stream: (any ByteStream)?, held: Int
    ) {
        unsafe heldBytes = held
        state = Mutex(
            State(
                type: type, masked: masked, compress: compress, isKnownText: type == .text,
                maxSize: Self.defaultMaxSize, stream: stream))
        // Afterwards: as a value, the body would be copied once more.
        state.withLock { unsafe $0.body.fill(bytes) }
    }

    /// The opcode; only its low 4 bits are sent.
    public var type: Opcode {
        get { state.withLock { $0.type } }
        set { state.withLock { $0.type = newValue } }
    }

    /// Whether ``sendTo(_:)`` masks the frame; after ``readFrom(_:)``, whether the frames were masked.
    public var masked: Bool {
        get { state.withLock { $0.masked } }
        set { state.withLock { $0.masked = newValue } }
    }

    /// Whether ``sendTo(_:)`` compresses the body; for a received message, whether it was compressed.
    public var compress: Bool {
        get { state.withLock { $0.compress } }
        set { state.withLock { $0.compress = newValue } }
    }

    /// The largest message that ``readFrom(_:)`` accepts, in bytes; 0 for empty messages only.
    public var maxSize: Int { state.withLock { $0.maxSize } }

    /// Sets ``maxSize``.
    ///
    /// Throws ``WS/Error/outOfRange`` if `maximum` is negative.
    public func setMaxSize(_ maximum: Int) throws(WS.Error) {
        guard maximum >= 0 else { throw .outOfRange }
        state.withLock { $0.maxSize = maximum }
    }

    /// The text that ``Routing`` matches; empty by default.
    public var value: String {
        get { state.withLock { $0.notes?.value ?? "" } }
        set { state.withLock { $0.madeNotes.value = newValue } }
    }

    /// The values of the parameters and groups in the matched pattern, in order.
    public var params: [String] {
        get { state.withLock { $0.notes?.params ?? [] } }
        set { state.withLock { $0.madeNotes.params = newValue } }
    }

    /// An error that a handler left for the error handler; empty if there is none.
    public var lastError: String {
        get { state.withLock { $0.notes?.lastError ?? "" } }
        set { state.withLock { $0.madeNotes.lastError = newValue } }
    }

    /// The stream or connection that the message came from; `nil` if there is none.
    ///
    /// For a message received by a ``WebSocket``, this stream can only be closed, which ends the connection at once.
    public var stream: (any ByteStream)? { state.withLock { $0.stream } }

    /// Whether ``sendTo(_:)`` has sent the message.
    public var sent: Bool { state.withLock { $0.sent } }

    /// The reply to the message: unmasked, of the same type, or a PONG if the message is a PING.
    ///
    /// Created on first use. The `response` of a reply is the reply itself.
    public var response: WebSocketMessage {
        state.withLock { state in
            if state.isReply { return self }
            if let reply = state.notes?.reply { return reply }
            let type = state.type == .ping ? .pong : state.type
            let made = WebSocketMessage(type: type, masked: false, maxSize: state.maxSize)
            made.state.withLock { $0.isReply = true }
            state.madeNotes.reply = made
            return made
        }
    }

    /// Marks the message as finished; a ``Chain`` then stops before its next handler.
    public func end() { state.withLock { $0.isEnded = true } }

    /// Whether ``end()`` was called.
    public var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Resets the message to a `BINARY` message without a body.
    ///
    /// ``masked``, ``compress`` and ``maxSize`` do not change.
    public func clear() {
        state.withLock { state in
            state = State(
                type: .binary, masked: state.masked, compress: state.compress, isReply: state.isReply,
                maxSize: state.maxSize)
        }
    }
}

/// A message that nobody refers to any more becomes the next one: that costs half as much as making and freeing an object.
extension WebSocketMessage {
    /// Takes `message`; returns it if that was the only reference to it.
    @inline(__always)
    static func takeSole(_ message: inout WebSocketMessage?) -> WebSocketMessage? {
        guard isKnownUniquelyReferenced(&message), let sole = message.take() else {
            message = nil
            return nil
        }
        // A weak reference to it would later find another message.
        return _getWeakRetainCount(sole) == 1 && _getUnownedRetainCount(sole) == 1 ? sole : nil
    }

    /// Becomes another message that `stream` has received; the caller has the only reference.
    ///
    /// - Parameter bytes: at most as many as a ``MessageBody`` has in place.
    @inline(__always)
    func become(
        _ type: Opcode, copying bytes: UnsafeRawBufferPointer, masked: Bool, compress: Bool, stream: any ByteStream,
        held: Int
    ) {
        unsafe heldBytes = held
        state.withLock { state in
            (state.type, state.masked, state.compress, state.isKnownText) = (type, masked, compress, type == .text)
            (state.isEnded, state.sent, state.isReply) = (false, false, false)
            (state.maxSize, state.position) = (Self.defaultMaxSize, 0)
            if state.notes != nil { state.notes = nil }
            if state.stream !== stream { state.stream = stream }
            unsafe state.body.refill(bytes)
        }
    }

    /// Forgets everything that it refers to; the caller has the only reference.
    func empty() {
        state.withLock { state in
            state.stream = nil
            if state.notes != nil { state.notes = nil }
            state.body.empty()
        }
    }
}

extension WebSocketMessage.State {
    /// Whether a socket can send the message, as nearly all; otherwise ``checkSendable()`` has to look.
    @inline(__always)
    var isKnownSendable: Bool { type == .binary || type == .text && isKnownText }

    /// Throws unless a socket can send the message.
    func checkSendable() throws(WS.Error) {
        guard type == .text || type == .binary else {
            throw .badType("expected a text or a binary message, found opcode \(type.rawValue)")
        }
        if type == .text, !isKnownText, unsafe !body.withBytes({ unsafe UTF8Validator.isValid($0) }) {
            throw .badType("a text message must be UTF-8")
        }
    }

    /// Made when something is put there.
    fileprivate var madeNotes: WebSocketMessage.Notes {
        mutating get {
            if let notes { return notes }
            let made = WebSocketMessage.Notes()
            notes = made
            return made
        }
    }
}

/// The body: bytes with a cursor.
extension WebSocketMessage {
    /// The whole body, regardless of the read position; `nil` if there is none yet.
    ///
    /// An empty message has an empty body.
    public var data: Data? {
        state.withLock { state in
            guard !state.body.isAbsent else { return nil }
            state.position = state.body.count
            return state.type == .text ? .text(state.body.text) : .binary(state.body.array ?? [])
        }
    }

    /// The whole body; empty if there is none.
    ///
    /// Setting the body moves the read position to its start.
    public var body: [UInt8] {
        get { state.withLock { $0.body.array ?? [] } }
        set {
            state.withLock { state in
                state.body = MessageBody(newValue)
                state.isKnownText = false
                state.position = 0
            }
        }
    }

    /// The type and the whole body, if a socket can send them.
    var sendable: (Opcode, MessageBody) {
        get throws(WS.Error) {
            try state.withLock { state throws(WS.Error) in
                try state.checkSendable()
                return (state.type, state.body)
            }
        }
    }

    /// The whole body; `nil` if there is none yet.
    package var bodyIfAny: [UInt8]? { state.withLock { $0.body.array } }

    /// The size of the body in bytes; 0 if there is none.
    public var length: Int { state.withLock { $0.body.count } }

    /// Reads the next bytes of the body, at most `count`; `nil` at its end, or if there is no body.
    ///
    /// - Parameter count: the maximum number of bytes; negative for the whole rest.
    public func read(_ count: Int = -1) -> [UInt8]? {
        state.withLock { state in
            guard let body = state.body.array, state.position < body.count else { return nil }
            let rest = body.count - state.position
            let part = body[state.position..<state.position + (count < 0 ? rest : min(count, rest))]
            state.position += part.count
            return Array(part)
        }
    }

    /// Reads the rest of the body; `nil` if nothing is left.
    public func readAll() -> [UInt8]? { read() }

    /// Moves the read position to the start of the body.
    public func rewind() { state.withLock { $0.position = 0 } }

    /// Appends to the body, which is created if there is none; the read position does not change.
    public func write(_ bytes: [UInt8]) {
        state.withLock { state in
            state.body.append(bytes)
            state.isKnownText = false
        }
    }

    /// Appends text, as UTF-8, to the body.
    public func write(_ text: String) { write(Array(text.utf8)) }
}

extension WS {
    /// A WebSocket message, independent of any connection.
    public typealias Message = WebSocketMessage
}
