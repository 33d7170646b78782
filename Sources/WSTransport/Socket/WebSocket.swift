internal import Synchronization

/// A WebSocket, either role: a client's begins to connect when it is made, a server's comes from `ws.upgrade`.
///
/// Messages come to listeners (``onmessage``, ``on(_:_:)-(Event,_)``) or to a reader of ``messages``; until there is one
/// or the other, and whenever they are behind, messages wait, and in the end the peer does. Where none are wanted, a listener drops them.
/// Kept alive by its listeners until it has ended; without any it
/// closes when nothing refers to it any more. Any thread.
public final class WebSocket: Sendable {
    /// As it was given; empty of a server's socket.
    public let url: String
    /// As it was given; empty of a server's socket.
    public let origin: String
    /// The subprotocols that a client offers, joined by `, `.
    private let offered: String
    let core: SocketCore

    /// Starts to connect, with what only this package knows how to ask for.
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

    /// How far it has come; `CLOSED` already in the listeners of `error` and `close`.
    public var readyState: ReadyState { core.state.withLock { $0.readyState } }

    /// The subprotocol: what a client offered until it is open, what was agreed upon afterwards; empty: none.
    public var `protocol`: String {
        core.state.withLock { $0.readyState == .connecting ? offered : $0.subprotocol }
    }

    /// Bytes of messages that were given to be sent and that the system has not taken.
    public var bufferedAmount: Int { core.state.withLock { $0.posted + $0.unsent } }

    /// When the last PONG came; `nil`: none has.
    public var lastPong: ContinuousClock.Instant? { core.state.withLock { $0.lastPong } }

    // MARK: Sending

    /// Sends a text message, and returns at once.
    ///
    /// Messages go out in the order of the calls. Throws ``WS/Error/invalidState(_:)`` where the socket is not open, and
    /// ``WS/Error/tooMuchUnsent(_:)`` where it is set to refuse what goes beyond its limit.
    public func send(_ text: String) throws(WS.Error) { try core.post(.text, Array(text.utf8)) }

    /// Sends a binary message, and returns at once.
    public func send(_ bytes: [UInt8]) throws(WS.Error) { try core.post(.binary, bytes) }

    /// Sends a text message; where more than 64 KiB are unsent, waits for room first, after those who came before.
    public func send(_ text: String) async throws(WS.Error) { try await core.send(.text, Array(text.utf8)) }

    /// Sends a binary message; where more than 64 KiB are unsent, waits for room first, after those who came before.
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
    /// What came before somebody asked is kept, unless a listener was told of it. Throws ``WS/Error/closed(_:reason:)`` where the
    /// socket ended otherwise, and `CancellationError`.
    public func receive() async throws -> WebSocketMessage? { try await core.next() }

    /// The messages from here on, as ``receive()`` gives them; each goes to one reader.
    public var messages: AsyncThrowingStream<WebSocketMessage, any Swift.Error> {
        core.state.withLock { $0.hasReaders = true }
        // Holds on to the socket, which would close if only its messages were still of interest.
        return AsyncThrowingStream { try await self.receive() }
    }

    // MARK: The end

    /// Begins the closing handshake, and returns at once; nothing where that has begun, and where the socket still
    /// connects, that is given up.
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

    /// Waits for the end, and says how it was.
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
    /// As browsers say it: whatever went wrong, the end is 1006.
    var asReported: CloseEvent {
        wasClean ? self : CloseEvent(code: .abnormal, reason: reason, wasClean: false)
    }
}
