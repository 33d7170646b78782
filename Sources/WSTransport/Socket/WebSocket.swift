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

    // MARK: Sending

    /// Sends a text message, and returns at once.
    ///
    /// Messages are sent in the order of the calls. Throws ``WS/Error/invalidState(_:)`` if the socket is not open, and
    /// ``WS/Error/tooMuchUnsent(_:)`` if it is configured to refuse what exceeds its limit.
    public func send(_ text: String) throws(WS.Error) { try core.post(.text, Array(text.utf8)) }

    /// Sends a binary message, and returns at once.
    public func send(_ bytes: [UInt8]) throws(WS.Error) { try core.post(.binary, bytes) }

    /// Sends a text message; if more than 64 KiB are unsent, waits for room first, after earlier senders.
    public func send(_ text: String) async throws(WS.Error) { try await core.send(.text, Array(text.utf8)) }

    /// Sends a binary message; if more than 64 KiB are unsent, waits for room first, after earlier senders.
    public func send(_ bytes: [UInt8]) async throws(WS.Error) { try await core.send(.binary, bytes) }

    /// Sends a PING; the PONG comes as an event.
    ///
    /// Throws ``WS/Error/controlTooLong`` above 125 bytes.
    public func ping(_ payload: [UInt8] = []) throws(WS.Error) {
        guard payload.count <= FrameEncoder.maximumControlPayload else { throw .controlTooLong }
        try core.post(.ping, payload)
    }

    // MARK: Receiving

    /// Waits for the next message; `nil` after both sides' CLOSE were exchanged.
    ///
    /// Messages that came before the call are kept, unless a listener was given them. Throws
    /// ``WS/Error/closed(_:reason:)`` if the socket ended otherwise, and `CancellationError`.
    public func receive() async throws -> WebSocketMessage? { try await core.next() }

    /// The messages from now on, as from ``receive()``; each goes to one reader.
    public var messages: AsyncThrowingStream<WebSocketMessage, any Swift.Error> {
        core.state.withLock { $0.hasReaders = true }
        // Holds on to the socket, which would close if only its messages were referred to.
        return AsyncThrowingStream { try await self.receive() }
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
    public func closed() async -> EventInfo { info(.close, await core.end().asReported) }

    func info(_ type: Event, _ event: CloseEvent) -> EventInfo {
        EventInfo(target: self, type: type, code: event.code, reason: event.reason, wasClean: event.wasClean)
    }

    func payload(of happening: SocketCore.Happening) -> WebSocket.Payload {
        switch happening {
        case .payload(let payload): payload
        case .error(let code, let reason):
            .error(info(.error, CloseEvent(code: code, reason: reason, wasClean: false)))
        case .close(let event): .close(info(.close, event.asReported))
        }
    }
}

extension CloseEvent {
    /// As in browsers: whatever failed, the end is 1006.
    var asReported: CloseEvent {
        wasClean ? self : CloseEvent(code: .abnormal, reason: reason, wasClean: false)
    }
}

/// Operations that only this package uses.
extension WebSocket {
    /// Sends a message, once there is room for it; the payload of a text must be UTF-8.
    package func send(_ type: Opcode, _ payload: [UInt8]) async throws(WS.Error) { try await core.send(type, payload) }

    /// Closes the connection in order, and returns how it ended; received messages that were not read remain readable.
    @discardableResult
    package func end(_ code: CloseCode = .normal, reason: String = "") async -> CloseEvent {
        core.close(code, reason: reason)
        return await core.end()
    }

    /// How the connection ended; `nil` as long as it has not.
    package var closeEvent: CloseEvent? { core.state.withLock { $0.ended } }
}

extension WS {
    /// A WebSocket, either role.
    public typealias Socket = WebSocket
}
