internal import Synchronization

/// A WebSocket, either role: a client's begins to connect when it is made, a server's comes from `ws.upgrade`.
///
/// Messages go to listeners (``onmessage``, ``on(_:_:)-(Event,_)``) or to a reader of ``messages``. Until there is one
/// or the other, and whenever they cannot keep up, messages wait, and in the end the peer does. To discard messages,
/// add a listener that does. Listeners keep it alive until it has ended; without listeners it
/// closes when nothing refers to it any more. Any thread.
public final class WebSocket: Sendable {
    /// As it was given; empty for a server's socket.
    public let url: String
    /// As it was given; empty for a server's socket.
    public let origin: String
    /// The subprotocols that a client offers, joined by `, `.
    private let offered: String
    let core: SocketCore

    /// Starts to connect, with options that only this package uses.
    convenience init(_ url: WebSocketURL, client options: ClientOptions) {
        self.init(
            url: "\(url.endpoint)\(url.target)", origin: options.origin ?? "",
            offered: options.subprotocols.joined(separator: ", "),
            core: SocketCore(
                link: ReactorLink(remote: ClientReactor.remote),
                limits: SocketCore.Limits(held: options.maximumHeld, unsent: options.maximumUnsent), isClient: true,
                subprotocol: ""))
        core.connect(to: url, options)
    }

    /// A server's socket.
    convenience init(_ connection: WebSocketConnection, limits: SocketCore.Limits) {
        let link = ReactorLink(remote: connection.stream.reactor.remote)
        self.init(
            url: "", origin: "", offered: "",
            core: SocketCore(
                link: link, limits: limits, isClient: false, subprotocol: connection.subprotocol))
        core.state.withLock { state in
            state.peer = connection.stream.peer
            if connection.stream.isSecured { state.certificate = connection.stream.peerCertificate }
        }
    }

    init(url: String, origin: String, offered: String, core: SocketCore) {
        self.url = url
        self.origin = origin
        self.offered = offered
        self.core = core
        core.state.withLock { $0.handle = self }
    }

    deinit {
        guard core.state.withLock({ $0.ended == nil }) else { return }
        core.abandon()
    }

    // MARK: State

    /// The state; already `CLOSED` in the listeners of `error` and `close`.
    public var readyState: ReadyState { core.state.withLock { $0.readyState } }

    /// The subprotocol: what a client offers until it is open, then what was agreed on; empty: none.
    public var `protocol`: String {
        core.state.withLock { $0.readyState == .connecting ? offered : $0.subprotocol }
    }

    /// Bytes of messages given to send that the system has not taken.
    public var bufferedAmount: Int { core.state.withLock { $0.posted + $0.unsent } }

    /// When the last PONG came; `nil`: none has come.
    public var lastPong: ContinuousClock.Instant? { core.state.withLock { $0.lastPong } }

    /// The peer's address, as `address:port`; empty if the system does not say, and before a client's is open.
    public var remoteAddress: String { core.state.withLock { $0.peer }?.description ?? "" }

    /// The certificate that the peer has shown, verified; `nil`: none.
    public var peerCertificate: TLSPeerCertificate? { core.state.withLock { $0.certificate } }

    /// The header fields of the server's answer to a client's handshake; `nil`: not open yet, or a server's socket.
    public var response: HTTPFields? { core.state.withLock { $0.answer } }

    // MARK: Sending

    /// Sends a text message, and returns at once.
    ///
    /// Messages are sent in the order of the calls. Throws ``WS/Error/invalidState(_:)`` if the socket is not open, and
    /// ``WS/Error/tooMuchUnsent(_:)`` if it is configured to refuse what exceeds its limit.
    public func send(_ text: String) throws(WS.Error) { try core.post(.text, Array(text.utf8)) }

    /// Sends a binary message, and returns at once.
    public func send(_ bytes: [UInt8]) throws(WS.Error) { try core.post(.binary, bytes) }

    /// Sends a text message; if more than 64 KiB are unsent, waits for room first, after earlier senders.
    ///
    /// Throws ``WS/Error/invalidState(_:)``, and `CancellationError` where the task is cancelled before there is room: the
    /// message is not sent then.
    public func send(_ text: String) async throws { try await core.send(.text, Array(text.utf8)) }

    /// Sends a binary message; if more than 64 KiB are unsent, waits for room first, after earlier senders.
    ///
    /// Throws ``WS/Error/invalidState(_:)``, and `CancellationError` where the task is cancelled before there is room: the
    /// message is not sent then.
    public func send(_ bytes: [UInt8]) async throws { try await core.send(.binary, bytes) }

    /// Sends a text message if no more than 64 KiB are unsent, and returns at once; `false`: it is not sent.
    ///
    /// For senders that would rather leave a message out than wait, also in asynchronous functions. Throws
    /// ``WS/Error/invalidState(_:)`` if the socket is not open.
    public func trySend(_ text: String) throws(WS.Error) -> Bool { try core.trySend(.text, Array(text.utf8)) }

    /// Sends a binary message if no more than 64 KiB are unsent, and returns at once; `false`: it is not sent.
    public func trySend(_ bytes: [UInt8]) throws(WS.Error) -> Bool { try core.trySend(.binary, bytes) }

    /// Sends the bytes as a binary message; if more than 64 KiB are unsent, waits for room first, after earlier senders.
    public func send(_ bytes: some Sequence<UInt8> & Sendable) async throws {
        try await core.send(.binary, Array(bytes))
    }

    /// Sends a binary message, and returns at once.
    ///
    /// Throws as the other forms that return at once.
    public func send(copying bytes: Span<UInt8>) throws(WS.Error) {
        try core.post(.binary, unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) })
    }

    /// Sends the body of `message` as a message of its type; if more than 64 KiB are unsent, waits for room first.
    ///
    /// Throws ``WS/Error/badType(_:)`` if it is neither text nor binary, and as the other forms do.
    public func send(_ message: WebSocketMessage) async throws {
        let type = message.type
        guard type == .text || type == .binary else {
            throw WS.Error.badType("expected a text or a binary message, found opcode \(type.rawValue)")
        }
        let body = message.body
        if type == .text, unsafe !body.withUnsafeBytes({ unsafe UTF8Validator.isValid($0) }) {
            throw WS.Error.badType("a text message must be UTF-8")
        }
        try await core.send(type, body)
    }

    /// Sends a PING before the messages that wait, and waits for the PONG: how long it took.
    ///
    /// Throws ``WS/Error/invalidState(_:)``, ``WS/Error/closed(_:reason:)`` if the socket ends before, and
    /// `CancellationError`. A peer whose messages are not taken here is not read, nor is its PONG.
    @discardableResult
    public func ping() async throws -> Duration { try await core.roundTrip() }

    /// Sends a PING, and returns at once; the PONG comes as an event.
    ///
    /// Throws ``WS/Error/controlTooLong`` above 125 bytes.
    public func ping(_ payload: [UInt8] = []) throws(WS.Error) {
        guard payload.count <= FrameEncoder.maximumControlPayload else { throw .controlTooLong }
        try core.post(.ping, payload)
    }

    // MARK: Receiving

    /// Waits for the next message; `nil` after an orderly end: this side closed, or the peer did with 1000, 1001 or
    /// without a code.
    ///
    /// Messages that came before the call are kept, unless a listener was given them. Throws
    /// ``WS/Error/closed(_:reason:)`` if the socket ended otherwise, ``WS/Error/protocolViolation(_:_:)`` if the peer
    /// broke the protocol, ``WS/Error/messagesAreListenedTo`` while there is a listener for messages, and
    /// `CancellationError`.
    public func receive() async throws -> WebSocketMessage? { try await core.next() }

    /// The messages from now on, as from ``receive()``; each goes to one reader.
    public var messages: Messages { Messages(socket: self) }

    /// The messages of a socket, one after the other.
    public struct Messages: AsyncSequence, Sendable {
        // Holds on to the socket, which would close if only its messages were referred to.
        let socket: WebSocket

        /// What takes them, as ``WebSocket/receive()`` does.
        public struct Iterator: AsyncIteratorProtocol {
            let socket: WebSocket

            /// The next message; `nil` after an orderly end.
            public mutating func next() async throws -> WebSocketMessage? { try await socket.receive() }
        }

        /// A reader.
        public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }
    }

    // MARK: The end

    /// Begins the closing handshake, and returns at once; does nothing if it has begun.
    ///
    /// A socket that is still connecting gives up.
    ///
    /// - Parameters:
    ///   - code: 1000, or 3000 to 4999.
    ///   - reason: at most 123 bytes.
    ///
    /// Throws ``WS/Error/invalidClose(_:)`` for others.
    public func close(_ code: CloseCode = 1000, reason: String = "") throws(WS.Error) {
        guard code.isSendable else {
            throw .invalidClose("an application closes with 1000 or 3000 to 4999, not \(code)")
        }
        guard reason.utf8.count <= FrameEncoder.maximumReason else {
            throw .invalidClose("the reason of a CLOSE is at most 123 bytes long")
        }
        core.close(code, reason: reason)
    }

    /// Ends the connection at once, without a closing handshake.
    public func terminate() { core.terminate() }

    /// Waits for the end, and returns how it ended.
    ///
    /// Throws where the task is cancelled before; the socket stays as it is.
    public func closed() async throws(CancellationError) -> EventInfo {
        guard let event = await core.end(isCancellable: true) else { throw CancellationError() }
        return info(.close, event.asReported)
    }

    /// The code with which it ended, as in the `close` event; `nil` as long as it has not.
    public var closeCode: CloseCode? { closeEvent?.asReported.code }

    /// The reason that was given with ``closeCode``; `nil` as long as it has not ended.
    public var closeReason: String? { closeEvent?.reason }

    /// What ended it; `nil` as long as it has not.
    public var endReason: EndReason? { closeEvent?.cause }

    func info(_ type: Event, _ event: CloseEvent) -> EventInfo {
        EventInfo(
            target: self, type: type, code: event.code, reason: event.reason, wasClean: event.wasClean,
            endReason: event.cause)
    }

    func payload(of happening: SocketCore.Happening) -> WebSocket.Payload {
        switch happening {
        case .payload(let payload): payload
        case .error(let code, let reason):
            .error(info(.error, CloseEvent(code: code, reason: reason, wasClean: false, cause: closeEvent?.cause)))
        case .close(let event): .close(info(.close, event.asReported))
        }
    }
}

extension CloseEvent {
    /// As in browsers: whatever failed, the end is 1006.
    var asReported: CloseEvent {
        wasClean ? self : CloseEvent(code: .abnormal, reason: reason, wasClean: false, cause: cause)
    }

    /// What a reader is thrown; `nil`: it ended in order.
    var error: WS.Error? {
        switch cause {
        case .closed where wasClean: nil
        case .closedByPeer where [.normal, .goingAway, .noStatusReceived].contains(code): nil
        case .violation: .protocolViolation(code, reason)
        case .lost: .closed(code, reason: reason)
        default: .closed(code, reason: reason.isEmpty && !wasClean ? "\(cause)" : reason)
        }
    }
}

/// Operations that only this package uses.
extension WebSocket {
    /// Sends a message, once there is room for it; the payload of a text must be UTF-8.
    package func send(_ type: Opcode, _ payload: [UInt8]) async throws { try await core.send(type, payload) }

    /// Closes the connection in order, and returns how it ended; received messages that were not read remain readable.
    @discardableResult
    package func end(_ code: CloseCode = .normal, reason: String = "") async -> CloseEvent {
        core.close(code, reason: reason)
        return await core.end(isCancellable: false) ?? CloseEvent(code: .abnormal, reason: "", wasClean: false)
    }

    /// How the connection ended; `nil` as long as it has not.
    package var closeEvent: CloseEvent? { core.state.withLock { $0.ended } }
}

extension WS {
    /// A WebSocket, either role.
    public typealias Socket = WebSocket
}
