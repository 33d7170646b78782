/// Receives a server's events about clients, for logs and metrics.
///
/// Its methods are called on the connections' threads, which they must not block. The default implementations do
/// nothing. Messages are not reported; use a listener for them.
public protocol ServerObserver: Sendable {
    /// A WebSocket was opened.
    func opened(_ socket: ObservedSocket)

    /// A WebSocket has ended.
    ///
    /// `end.cause` says whether the client closed it (`closedByPeer`), was lost (`lost`), stopped responding
    /// (`silent`), was too slow (`slow`) or violated the protocol (`violation`).
    func ended(_ socket: ObservedSocket, _ end: ObservedEnd)

    /// A client has fallen behind: bytes for it are unsent, for the first time since it had received everything.
    func fellBehind(_ socket: ObservedSocket)

    /// A client was closed because it received too slowly (``UpgradeOptions/maximumUnsent``,
    /// ``UpgradeOptions/maximumUnsentAge``) or stopped responding (``UpgradeOptions/keepAlive``); `ended` follows.
    ///
    /// `reason` is a phrase that says which limit it exceeded.
    func evicted(_ socket: ObservedSocket, _ reason: String)

    /// A client violated the protocol or exceeded a limit for messages; `ended` follows when the messages before have
    /// been handled.
    ///
    /// `code` is that of the Close frame that the client gets, and `reason` is a phrase that says what was wrong.
    func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String)

    /// A request or a WebSocket handshake was refused, or was malformed.
    func refused(_ request: RefusedRequest)

    /// A handler or a WebSocket's closure threw an error; the client got status 500, or close code 1011.
    func failed(_ error: any Error, _ request: ServerRequest)

    /// A TLS handshake failed.
    func tlsFailed(_ reason: String, remoteAddress: String)
}

extension ServerObserver {
    /// Does nothing.
    public func opened(_ socket: ObservedSocket) {}
    /// Does nothing.
    public func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {}
    /// Does nothing.
    public func fellBehind(_ socket: ObservedSocket) {}
    /// Does nothing.
    public func evicted(_ socket: ObservedSocket, _ reason: String) {}
    /// Does nothing.
    public func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String) {}
    /// Does nothing.
    public func refused(_ request: RefusedRequest) {}
    /// Does nothing.
    public func failed(_ error: any Error, _ request: ServerRequest) {}
    /// Does nothing.
    public func tlsFailed(_ reason: String, remoteAddress: String) {}
}

/// A server's WebSocket, as reported to an observer.
public struct ObservedSocket: Sendable {
    /// The socket's number, unique in this process.
    public let number: UInt64
    /// The client's address, as `address:port`.
    public let remoteAddress: String
    /// The path of the request.
    public let path: String
    /// The negotiated subprotocol; empty if there is none.
    public let subprotocol: String
    /// When the socket was opened.
    public let since: ContinuousClock.Instant
}

/// How an observed WebSocket ended.
public struct ObservedEnd: Sendable {
    /// The code of the Close frame that ended the socket; 1005 if the frame had none, 1006 if there was no frame.
    public let code: CloseCode
    /// The reason given with the code; may be empty.
    public let reason: String
    /// What ended the socket.
    public let cause: EndReason
}

/// A request that was refused.
public struct RefusedRequest: Sendable {
    /// The method; empty if it could not be parsed.
    public let method: String
    /// The path; empty if it could not be parsed.
    public let path: String
    /// The client's address, as `address:port`.
    public let remoteAddress: String
    /// The status of the response.
    public let status: Int
    /// The reason, as a sentence.
    public let reason: String
}

/// Several observers that act as one; each is called, in order.
public struct ServerObservers: ServerObserver {
    private let observers: [any ServerObserver]

    /// Combines observers.
    public init(_ observers: any ServerObserver...) { self.observers = observers }

    /// Calls all observers.
    public func opened(_ socket: ObservedSocket) { for one in observers { one.opened(socket) } }
    /// Calls all observers.
    public func ended(_ socket: ObservedSocket, _ end: ObservedEnd) { for one in observers { one.ended(socket, end) } }
    /// Calls all observers.
    public func fellBehind(_ socket: ObservedSocket) { for one in observers { one.fellBehind(socket) } }
    /// Calls all observers.
    public func evicted(_ socket: ObservedSocket, _ reason: String) {
        for one in observers { one.evicted(socket, reason) }
    }
    /// Calls all observers.
    public func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String) {
        for one in observers { one.violatedProtocol(socket, code, reason) }
    }
    /// Calls all observers.
    public func refused(_ request: RefusedRequest) { for one in observers { one.refused(request) } }
    /// Calls all observers.
    public func failed(_ error: any Error, _ request: ServerRequest) {
        for one in observers { one.failed(error, request) }
    }
    /// Calls all observers.
    public func tlsFailed(_ reason: String, remoteAddress: String) {
        for one in observers { one.tlsFailed(reason, remoteAddress: remoteAddress) }
    }
}

/// A server's observer, kept with each of its reactors.
final class ObserverPost {
    let observer: any ServerObserver
    init(_ observer: any ServerObserver) { self.observer = observer }
}

/// A WebSocket and the observer that is told of it.
final class Observation: Sendable {
    private let observer: any ServerObserver
    private let socket: ObservedSocket

    init(_ observer: any ServerObserver, _ socket: ObservedSocket) {
        self.observer = observer
        self.socket = socket
        observer.opened(socket)
    }

    func fellBehind() { observer.fellBehind(socket) }

    func evicted(_ reason: String) { observer.evicted(socket, reason) }

    func violated(_ code: CloseCode, _ reason: String) { observer.violatedProtocol(socket, code, reason) }

    func ended(_ event: CloseEvent) {
        observer.ended(socket, ObservedEnd(code: event.code, reason: event.reason, cause: event.cause))
    }
}
