internal import Synchronization

/// A WebSocket in either role: a client's begins to connect when it is created, a server's comes from `ws.upgrade`.
///
/// Messages go to listeners (``onmessage``, ``on(_:_:)-(Event,_)``) or to a reader of ``messages``. If there is
/// neither, or it is too slow, messages are held, and at `maximumHeld` the peer must wait. To discard messages, add a
/// listener that does so. A socket with listeners is retained until it has ended. One without listeners is closed when
/// nothing refers to it any more. Any thread.
public final class WebSocket: Sendable {
    /// The URL as given; empty for a server's socket.
    public var url: String { core.state.withLock { $0.request }?.url ?? "" }
    /// The `Origin` as given; empty for a server's socket.
    public var origin: String { core.state.withLock { $0.request }?.origin ?? "" }
    let core: SocketCore

    /// What a client asks for.
    final class Request: Sendable {
        let url: String
        let origin: String
        /// The offered subprotocols, joined by `, `.
        let offered: String

        init(url: String, origin: String, offered: String) {
            self.url = url
            self.origin = origin
            self.offered = offered
        }
    }

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
            SocketCore(link: link, limits: limits, isClient: false, subprotocol: connection.subprotocol))
        core.state.withLock { state in
            state.peer = connection.stream.peer
            if connection.stream.isSecured { state.certificate = connection.stream.peerCertificate }
        }
    }

    convenience init(url: String, origin: String, offered: String, core: SocketCore) {
        self.init(core)
        core.state.withLock { $0.request = Request(url: url, origin: origin, offered: offered) }
    }

    private init(_ core: SocketCore) { self.core = core }

    deinit {
        let isOver = core.state.withLock { state in
            state.abandon()
            return state.ended != nil
        }
        if !isOver { core.abandon() }
    }

    // MARK: State

    /// The state; it is already `CLOSED` when listeners of `error` and `close` are called.
    public var readyState: ReadyState { core.state.withLock { $0.readyState } }

    /// The negotiated subprotocol; empty if there is none.
    ///
    /// Until a client's socket is open, these are the subprotocols that it offers.
    public var `protocol`: String {
        core.state.withLock { $0.readyState == .connecting ? $0.request?.offered ?? "" : $0.subprotocol }
    }

    /// The number of bytes in messages that were passed to `send` and that the system has not accepted yet.
    public var bufferedAmount: Int {
        let turn = core.turn
        return core.state.withLock { $0.posted + $0.outgoing.posted + $0.unsent(in: turn) }
    }

    /// When the last PONG arrived; `nil` if none has.
    public var lastPong: ContinuousClock.Instant? { core.state.withLock { $0.lastPong } }

    /// The peer's address, as `address:port`; empty if unknown, and before a client's socket is open.
    public var remoteAddress: String { core.state.withLock { $0.peer }?.description ?? "" }

    /// The peer's verified certificate; `nil` if it presented none.
    public var peerCertificate: TLSPeerCertificate? { core.state.withLock { $0.certificate } }

    /// The header fields of the server's handshake response; `nil` before a client's socket is open, and for a server's
    /// socket.
    public var response: HeaderFields? { core.state.withLock { $0.answer } }

    // MARK: Sending

    /// Sends a text message, and returns at once.
    ///
    /// Messages are sent in the order of the calls. Throws ``WS/Error/invalidState(_:)`` if the socket is not open, and
    /// ``WS/Error/tooMuchUnsent(_:)`` if the limit is exceeded and the socket is configured to refuse messages then.
    public func send(_ text: String) throws(WS.Error) { try core.post(.text, Array(text.utf8)) }

    /// Sends a binary message, and returns at once.
    public func send(_ bytes: [UInt8]) throws(WS.Error) { try core.post(.binary, bytes) }

    /// Sends a text message; if more than 64 KiB are unsent, first waits for room, after earlier senders.
    ///
    /// Throws ``WS/Error/invalidState(_:)``, and `CancellationError` if the task is cancelled before there is room;
    /// then the message is not sent.
    public nonisolated(nonsending) func send(_ text: String) async throws {
        try await core.send(.text, Array(text.utf8))
    }

    /// Sends a binary message; if more than 64 KiB are unsent, first waits for room, after earlier senders.
    ///
    /// Throws ``WS/Error/invalidState(_:)``, and `CancellationError` if the task is cancelled before there is room;
    /// then the message is not sent.
    public nonisolated(nonsending) func send(_ bytes: [UInt8]) async throws {
        try await core.send(.binary, bytes)
    }

    /// Sends a text message if at most 64 KiB are unsent, and returns at once; returns `false` if it was not sent.
    ///
    /// For senders that would rather skip a message than wait. Throws ``WS/Error/invalidState(_:)`` if the socket is
    /// not open.
    public func trySend(_ text: String) throws(WS.Error) -> Bool { try core.trySend(.text, Array(text.utf8)) }

    /// Sends a binary message if at most 64 KiB are unsent, and returns at once; returns `false` if it was not sent.
    public func trySend(_ bytes: [UInt8]) throws(WS.Error) -> Bool { try core.trySend(.binary, bytes) }

    /// Sends bytes as a binary message; if more than 64 KiB are unsent, first waits for room, after earlier senders.
    public nonisolated(nonsending) func send(_ bytes: some Sequence<UInt8> & Sendable) async throws {
        try await core.send(.binary, Array(bytes))
    }

    /// Sends a binary message, and returns at once.
    ///
    /// Throws as the other variants that return at once do.
    public func send(copying bytes: Span<UInt8>) throws(WS.Error) {
        try core.post(.binary, unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) })
    }

    /// Sends the body of `message` as a message of its type; if more than 64 KiB are unsent, first waits for room.
    ///
    /// Throws ``WS/Error/badType(_:)`` if the type is neither text nor binary, and what the other variants throw.
    ///
    /// - Parameters:
    ///   - message: the message.
    ///   - isolation: the actor on which the caller runs.
    @inlinable public func send(
        _ message: WebSocketMessage, isolation: isolated (any Actor)? = #isolation
    ) async throws {
        // Inlined, so that a message for which there is room costs no frame of memory, and no look-up of executors:
        // only a sender that has waited must return to its own.
        if try sendNow(message) { return }
        try await sendLater(message)
    }

    /// Sends the body of `message` if there is room; `false` if it was not sent.
    @usableFromInline func sendNow(_ message: WebSocketMessage) throws -> Bool {
        try core.trySendNow(message)
    }

    @usableFromInline @concurrent func sendLater(_ message: WebSocketMessage) async throws {
        let (type, body) = try message.sendable
        try await core.enqueue(type, body, isInParts: false)
    }

    /// Sends a PING ahead of waiting messages, and waits for the PONG; returns the round-trip time.
    ///
    /// Throws ``WS/Error/invalidState(_:)`` if the socket is not open, ``WS/Error/closed(_:reason:)`` if it ends first,
    /// and `CancellationError`. If the program does not read the peer's messages, receiving pauses at `maximumHeld`,
    /// and then the PONG does not arrive either.
    @discardableResult
    public func ping() async throws -> Duration { try await core.roundTrip() }

    /// Sends a PING, and returns at once; the PONG arrives as an event.
    ///
    /// Throws ``WS/Error/controlTooLong`` if the payload exceeds 125 bytes.
    public func ping(_ payload: [UInt8] = []) throws(WS.Error) {
        guard payload.count <= FrameEncoder.maximumControlPayload else { throw .controlTooLong }
        try core.post(.ping, payload)
    }

    // MARK: Receiving

    /// Waits for the next message; returns `nil` after a normal end.
    ///
    /// An end is normal if this side closed the socket, or if the peer closed it with 1000, 1001 or without a code.
    ///
    /// Messages that arrived before this call are kept for it, unless a listener received them. Throws
    /// ``WS/Error/closed(_:reason:)`` if the socket ended in another way, ``WS/Error/protocolViolation(_:_:)`` if the
    /// peer violated the protocol, ``WS/Error/handshake(_:)`` if a client's socket could not be opened,
    /// ``WS/Error/messagesAreListenedTo`` while there is a listener for messages, and `CancellationError`.
    public nonisolated(nonsending) func receive() async throws -> WebSocketMessage? {
        core.limits.receivesParts ? try await receiveWhole() : try await core.next()
    }

    /// Waits for the next message, after ``takeMessage()`` has found none.
    @usableFromInline nonisolated(nonsending) func waitForMessage() async throws -> WebSocketMessage? {
        core.limits.receivesParts ? try await receiveWhole() : try await core.waitForMessage()
    }

    /// A task that waits for a message: `nil` makes it wait in another way.
    @usableFromInline typealias Waiter = UnsafeContinuation<WebSocketMessage??, any Swift.Error>

    /// Resumes the socket's closure with the next message, as ``waitForMessage()`` returns it; other tasks with `nil`.
    @usableFromInline func wait(_ waiter: Waiter) { unsafe core.waitByItself(SocketCore.Reader(waiter)) }

    /// The next message, if it is there; otherwise ``receive()`` has to wait.
    ///
    /// - Parameter last: the message before, which becomes the next one if nobody else refers to it.
    @usableFromInline func takeMessage(reusing last: inout WebSocketMessage?) throws -> WebSocketMessage? {
        core.limits.receivesParts ? nil : try core.takeMessage(reusing: &last)
    }

    /// The messages from now on, as from ``receive()``; each message goes to one reader.
    public var messages: Messages { Messages(socket: self) }

    /// The messages of a socket, one after the other.
    public struct Messages: AsyncSequence, Sendable {
        // Holds on to the socket, which would close if only its messages were referred to.
        @usableFromInline let socket: WebSocket

        /// Reads messages, as ``WebSocket/receive()`` does.
        public struct Iterator: AsyncIteratorProtocol {
            @usableFromInline let socket: WebSocket
            /// The last message, if it is small, so that it can become the next one.
            @usableFromInline var last: WebSocketMessage?

            fileprivate init(socket: WebSocket) { self.socket = socket }

            /// The next message; `nil` after a normal end.
            public nonisolated(nonsending) mutating func next() async throws -> WebSocketMessage? {
                try await socket.receive()
            }

            /// The next message; `nil` after a normal end.
            @inlinable public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(any Swift.Error) -> WebSocketMessage? {
                // Inlined, so that a message that is there costs no change of executors and no frame of memory.
                if let message = try socket.takeMessage(reusing: &last) { return message }
                let next = try await unsafe withUnsafeThrowingContinuation { unsafe socket.wait($0) }
                if let next {
                    if let next, next.isSmall { last = next }
                    return next
                }
                return try await socket.waitForMessage()
            }
        }

        /// Creates an iterator over the messages from now on.
        public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }
    }

    // MARK: The end

    /// Begins the closing handshake, and returns at once; does nothing if it has already begun.
    ///
    /// If the socket is still connecting, that is aborted.
    ///
    /// - Parameters:
    ///   - code: 1000, or 3000 to 4999.
    ///   - reason: at most 123 bytes.
    ///
    /// Throws ``WS/Error/invalidClose(_:)`` for other values.
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

    /// Waits until the socket has ended, and returns how it ended.
    ///
    /// If the task is cancelled first, this throws, and the socket is not affected.
    public func closed() async throws(CancellationError) -> EventInfo {
        guard let event = await core.end(isCancellable: true) else { throw CancellationError() }
        return info(.close, event.asReported)
    }

    /// The close code, as in the `close` event; `nil` until the socket has ended.
    public var closeCode: CloseCode? { closeEvent?.asReported.code }

    /// The reason with ``closeCode``; `nil` until the socket has ended.
    public var closeReason: String? { closeEvent?.reason }

    /// What ended the socket; `nil` until it has ended.
    public var endReason: EndReason? { closeEvent?.cause }

    func info(_ type: Event, _ event: CloseEvent) -> EventInfo {
        EventInfo(
            target: self, type: type, code: event.code, reason: event.reason, wasClean: event.wasClean,
            endReason: event.cause)
    }

    func payload(of happening: SocketCore.Happening) -> WebSocket.Payload {
        switch happening {
        case .message(let message): .message(message)
        case .payload(let payload): payload
        case .error(let code, let reason):
            .error(info(.error, CloseEvent(code: code, reason: reason, wasClean: false, cause: closeEvent?.cause)))
        case .close(let event): .close(info(.close, event.asReported))
        }
    }
}

extension CloseEvent {
    /// The end as browsers report it: with 1006, whatever failed.
    var asReported: CloseEvent {
        wasClean ? self : CloseEvent(code: .abnormal, reason: reason, wasClean: false, cause: cause)
    }

    /// The error for a reader; `nil` after a normal end.
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
    package nonisolated(nonsending) func send(_ type: Opcode, _ payload: [UInt8]) async throws {
        try await core.send(type, payload)
    }

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
    /// A WebSocket in either role.
    public typealias Socket = WebSocket
}
