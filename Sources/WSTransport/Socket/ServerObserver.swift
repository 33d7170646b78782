/// What a server tells of its clients, for logs and figures.
///
/// Its methods are called on the connections' threads, which they must not block. Each does nothing unless it is
/// implemented. Messages are not reported: a listener is.
public protocol ServerObserver: Sendable {
    /// A WebSocket is open.
    func opened(_ socket: ObservedSocket)

    /// A WebSocket has ended: `end.cause` tells a client that left (`closedByPeer`) from one that was lost, that gave no sign
    /// of life (`silent`), that was too slow (`slow`) or that broke the protocol (`violation`).
    func ended(_ socket: ObservedSocket, _ end: ObservedEnd)

    /// A client took less than it was sent, for the first time since it had taken everything.
    func fellBehind(_ socket: ObservedSocket)

    /// A request, also one for a WebSocket, was refused, or was no request.
    func refused(_ request: RefusedRequest)

    /// A handler, or the closure of a WebSocket, threw; the client got status 500, or 1011.
    func failed(_ error: any Error, _ request: HTTPRequest)

    /// A client did not get through TLS.
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
    public func refused(_ request: RefusedRequest) {}
    /// Does nothing.
    public func failed(_ error: any Error, _ request: HTTPRequest) {}
    /// Does nothing.
    public func tlsFailed(_ reason: String, remoteAddress: String) {}
}

/// A server's WebSocket, as an observer is told of it.
public struct ObservedSocket: Sendable {
    /// Its number in this process: the same in all that is told of it.
    public let number: UInt64
    /// The client's address, as `address:port`.
    public let remoteAddress: String
    /// The path that was asked for.
    public let path: String
    /// The subprotocol that was agreed on; empty: none.
    public let subprotocol: String
    /// When it was opened.
    public let since: ContinuousClock.Instant
}

/// How an observed WebSocket ended.
public struct ObservedEnd: Sendable {
    /// The code of the CLOSE that decided; 1005 if it had none, 1006 if none came.
    public let code: CloseCode
    /// The reason given with the code; may be empty.
    public let reason: String
    /// What ended it.
    public let cause: EndReason
}

/// A request that was refused.
public struct RefusedRequest: Sendable {
    /// The method; empty: it could not be read.
    public let method: String
    /// The path; empty: it could not be read.
    public let path: String
    /// The client's address, as `address:port`.
    public let remoteAddress: String
    /// The status of the answer.
    public let status: Int
    /// Why: a sentence.
    public let reason: String
}

/// Several observers as one: each is told, in order.
public struct ServerObservers: ServerObserver {
    private let observers: [any ServerObserver]

    /// These observers.
    public init(_ observers: any ServerObserver...) { self.observers = observers }

    /// Tells all.
    public func opened(_ socket: ObservedSocket) { for one in observers { one.opened(socket) } }
    /// Tells all.
    public func ended(_ socket: ObservedSocket, _ end: ObservedEnd) { for one in observers { one.ended(socket, end) } }
    /// Tells all.
    public func fellBehind(_ socket: ObservedSocket) { for one in observers { one.fellBehind(socket) } }
    /// Tells all.
    public func refused(_ request: RefusedRequest) { for one in observers { one.refused(request) } }
    /// Tells all.
    public func failed(_ error: any Error, _ request: HTTPRequest) {
        for one in observers { one.failed(error, request) }
    }
    /// Tells all.
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

    func ended(_ event: CloseEvent) {
        observer.ended(socket, ObservedEnd(code: event.code, reason: event.reason, cause: event.cause))
    }
}
