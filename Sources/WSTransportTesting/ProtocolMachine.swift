public import WSTransport

/// One side of a WebSocket connection without I/O: bytes in, events and bytes out.
///
/// It is the state machine below every socket of the library, with its handshake. It has no socket, clock or thread, so
/// a test decides which bytes arrive, how they are cut, and when. Two machines of different roles can be connected with
/// each other by hand:
///
/// ```swift
/// let client = try ProtocolMachine(client: "ws://example.com/chat")
/// let server = try ProtocolMachine(server: UpgradeOptions())
/// _ = server.receive(client.takeOutput())          // [.opened]
/// _ = client.receive(server.takeOutput())          // [.opened]
/// try client.send("hello")
/// let frame = client.takeOutput()
/// let nothing = server.receive(frame.prefix(3))    // []
/// let message = server.receive(frame.dropFirst(3)) // [.text("hello")]
/// ```
///
/// Events do not depend on how the bytes are cut. A PING, a CLOSE and a violation of the protocol are answered by the
/// machine: the answer is part of the next ``takeOutput()``. Not thread-safe.
public final class ProtocolMachine {
    /// A side of a connection.
    public enum Role: Sendable {
        /// Sends masked frames, and receives frames that are not masked (RFC 6455 §5.1).
        case client
        /// Sends frames that are not masked, and receives masked ones.
        case server
    }

    /// Something that the peer's bytes have brought about.
    public enum Event: Equatable, Sendable {
        /// The handshake is complete.
        case opened
        /// The handshake failed. A server's machine has answered with the status of `refused`.
        case handshakeFailed(WS.HandshakeError)
        /// A complete text message.
        case text(String)
        /// A complete binary message.
        case binary([UInt8])
        /// A PING, which has been answered.
        case ping([UInt8])
        /// A PONG.
        case pong([UInt8])
        /// The connection has ended: by the peer's CLOSE, with code 1005 if it had none, or without one, with code 1006.
        case closed(CloseCode, reason: String)
        /// The peer violated the protocol or exceeded a limit; the machine has answered with a CLOSE of this code.
        case violation(CloseCode, reason: String)
    }

    /// The side.
    public let role: Role
    /// The state of the connection.
    public private(set) var readyState: ReadyState
    /// The subprotocol that both sides agreed on; empty if there is none.
    public internal(set) var subprotocol = ""
    /// Whether both sides agreed on permessage-deflate (RFC 7692).
    public var compresses: Bool { compression != nil }
    /// The path and the query of the request: after the handshake of a server, and from the beginning of a client.
    public internal(set) var target = ""
    /// The header fields of the other side's request or response; empty before the handshake is complete.
    public internal(set) var fields: HeaderFields = [:]

    var handshake: Handshaking
    /// Bytes of the handshake that are not complete.
    var begun: [UInt8] = []
    var output: [UInt8] = []
    private var machine: WebSocketMachine
    private var compression: MessageCompression?
    private let maximumSize: Int
    private let maskingKey: UInt32?

    /// Creates one side of a connection after its handshake, without a subprotocol and without compression.
    ///
    /// - Parameters:
    ///   - role: the side.
    ///   - maxPayload: the maximum size of a received message, in bytes.
    ///   - maskingKey: the key of each frame that a client sends, so that its bytes are known; `nil` for random keys.
    public convenience init(_ role: Role, maxPayload: Int = WebSocketMessage.defaultMaxSize, maskingKey: UInt32? = nil)
    {
        self.init(role, .over, maxPayload, maskingKey)
        readyState = .open
    }

    init(_ role: Role, _ handshake: Handshaking, _ maximumSize: Int, _ maskingKey: UInt32?) {
        self.role = role
        self.handshake = handshake
        self.maximumSize = maximumSize
        self.maskingKey = maskingKey
        readyState = .connecting
        machine = Self.machine(role, maximumSize, nil, maskingKey)
    }

    private static func machine(
        _ role: Role, _ maximumSize: Int, _ compression: MessageCompression?, _ maskingKey: UInt32?
    ) -> WebSocketMachine {
        WebSocketMachine(role: role.inMachine, maximumMessageSize: maximumSize, compression: compression) {
            maskingKey.map(MaskingKey.init(number:)) ?? .random()
        }
    }

    /// Records that the handshake is complete.
    func open(subprotocol: String?, _ agreed: DeflateParameters?, _ options: CompressionOptions?) {
        handshake = .over
        readyState = .open
        self.subprotocol = subprotocol ?? ""
        compression = agreed.map {
            MessageCompression($0, role: role.inMachine, options: options ?? CompressionOptions(), pool: DeflatePool())
        }
        machine = Self.machine(role, maximumSize, compression, maskingKey)
    }

    // MARK: Receiving

    /// Takes bytes that the peer has sent, and returns what they have brought about, in order.
    ///
    /// What arrives after the end of the connection is ignored.
    public func receive(_ bytes: some Sequence<UInt8>) -> [Event] {
        var (events, input) = ([Event](), Array(bytes))
        if readyState == .connecting {
            begun += input
            guard let event = shakeHands() else { return [] }
            events.append(event)
            (input, begun) = (begun, [])
        }
        if case .over = handshake, readyState != .closed { read(&input, &events) }
        return events
    }

    /// Takes the end of the peer's bytes, that is the end of TCP, and returns what it has brought about.
    public func receiveEnd() -> [Event] {
        defer { readyState = .closed }
        return switch readyState {
        case .connecting: [.handshakeFailed(.connectionLost)]
        case .open, .closing: [.closed(.abnormal, reason: "")]
        case .closed: []
        }
    }

    private func read(_ input: inout [UInt8], _ events: inout [Event]) {
        var offset = 0
        while true {
            let event = unsafe input.withUnsafeMutableBytes { bytes in unsafe machine.next(bytes, &offset) }
            guard let event else { return }
            switch event {
            case .message(.text, let payload):
                events.append(.text(String(decoding: Self.bytes(payload, input), as: UTF8.self)))
            case .message(_, let payload), .part(_, let payload): events.append(.binary(Self.bytes(payload, input)))
            case .ping(let payload):
                let payload = Self.bytes(payload, input)
                write(.pong, payload)
                events.append(.ping(payload))
            case .pong(let payload): events.append(.pong(Self.bytes(payload, input)))
            case .close(let code, let reason, let reply):
                end(reply)
                events.append(.closed(code ?? .noStatusReceived, reason: reason))
            case .failed(let code, let reason, let frame):
                end(frame)
                events.append(.violation(code, reason: reason))
            }
        }
    }

    private func end(_ answer: [UInt8]) {
        output += answer
        readyState = .closed
    }

    func failHandshake(_ error: WS.HandshakeError) -> Event {
        handshake = .over
        readyState = .closed
        return .handshakeFailed(error)
    }

    private static func bytes(_ payload: WebSocketMachine.Payload, _ input: [UInt8]) -> [UInt8] {
        switch payload {
        case .input(let range): Array(input[range])
        case .assembled(let whole): whole
        }
    }

    // MARK: Sending

    /// The bytes to send to the peer, which the machine then forgets.
    public func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// Adds a text message to the output; it is compressed if that was agreed on and makes it smaller.
    ///
    /// Throws `WS.Error.invalidState` if the connection is not open.
    public func send(_ text: String) throws(WS.Error) { try send(.text, Array(text.utf8)) }

    /// Adds a binary message to the output; it is compressed if that was agreed on and makes it smaller.
    ///
    /// Throws `WS.Error.invalidState` if the connection is not open.
    public func send(_ bytes: some Sequence<UInt8>) throws(WS.Error) { try send(.binary, Array(bytes)) }

    private func send(_ type: Opcode, _ payload: [UInt8]) throws(WS.Error) {
        try requireOpen()
        if let compression, let smaller = unsafe payload.withUnsafeBytes({ unsafe compression.deflate($0) }) {
            return write(type, smaller, isCompressed: true)
        }
        write(type, payload)
    }

    /// Adds a PING of at most 125 bytes to the output.
    ///
    /// Throws `WS.Error.controlTooLong` if it is longer, and `WS.Error.invalidState` if the connection is not open.
    public func ping(_ payload: [UInt8] = []) throws(WS.Error) {
        guard payload.count <= FrameEncoder.maximumControlPayload else { throw .controlTooLong }
        try requireOpen()
        write(.ping, payload)
    }

    /// Adds a CLOSE to the output; after it, only the peer's CLOSE or a violation is reported.
    ///
    /// Throws `WS.Error.invalidClose` if a CLOSE cannot have this code or reason, and `WS.Error.invalidState` if the
    /// connection is not open.
    public func close(_ code: CloseCode = .normal, reason: String = "") throws(WS.Error) {
        guard code.isValidOnWire else { throw .invalidClose("no CLOSE has the code \(code)") }
        guard reason.utf8.count <= FrameEncoder.maximumReason else {
            throw .invalidClose("the reason of a CLOSE is at most 123 bytes long")
        }
        try requireOpen()
        readyState = .closing
        if let frame = machine.close(code, reason: reason) { output += frame }
    }

    private func requireOpen() throws(WS.Error) {
        guard readyState == .open else { throw .invalidState(readyState) }
    }

    private func write(_ type: Opcode, _ payload: [UInt8], isCompressed: Bool = false) {
        let key: MaskingKey? = role == .server ? nil : maskingKey.map(MaskingKey.init(number:)) ?? .random()
        FrameEncoder.appendFrame(type, payload, isCompressed: isCompressed, maskingKey: key, to: &output)
    }
}

extension ProtocolMachine.Role {
    fileprivate var inMachine: WebSocketMachine.Role { self == .client ? .client : .server }
}

extension MaskingKey {
    /// Makes a key from a number whose highest byte is the key's first, as one reads it in the RFC.
    init(number: UInt32) { self.init(word: number.byteSwapped) }
}
