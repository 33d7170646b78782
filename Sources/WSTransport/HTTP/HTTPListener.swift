/// What was found of a request before anything else was done with it.
package struct Inspection {
    /// Fields that go with whatever answer is given.
    package var fields: HTTPFields = [:]
    /// Why it is turned down; `nil`: it is not.
    package var refusal: HTTPRefusal?
    /// Why its handler has to turn it down, in a way of its own; `nil`: it has not.
    package var objection: HTTPRefusal?

    package init(fields: HTTPFields = [:], refusal: HTTPRefusal? = nil, objection: HTTPRefusal? = nil) {
        self.fields = fields
        self.refusal = refusal
        self.objection = objection
    }
}

/// What an HTTP server allows, and how it words its refusals.
///
/// Times in nanoseconds, sizes in bytes.
package struct HTTPSettings {
    /// From the connection, or a request's first byte, to the end of its head.
    package var headTimeout: Int64 = 10_000_000_000
    /// Between an answer and the next request.
    package var idleTimeout: Int64 = 75_000_000_000
    package var maximumHead = 16 * 1024
    /// The most that may be unsent to one connection.
    package var maximumUnsent = 1024 * 1024
    /// How long the oldest unsent byte of a stream may wait; `nil`: for ever.
    package var maximumUnsentAge: Int64? = 30_000_000_000
    /// Stripped from every path; begins with `/`, or empty.
    package var pathPrefix = ""
    /// Unsent bytes that the kernel may hold of one connection; `nil`: as many as it likes.
    package var maximumUnsentInKernel: Int?
    /// How often a stream shows that it lives, and how long its peer's TCP may then owe an answer; `nil`: never.
    package var heartbeatInterval: Int64?
    package var heartbeatTimeout: Int64 = 10_000_000_000
    /// When the kernel begins to probe the peer of a stream, and how long until it gives up, in seconds.
    package var probeIdleSeconds = 25
    package var probeTimeoutSeconds = 10
    /// Whether answers end their connections, because the server is going away.
    package var isDraining: () -> Bool = { false }
    /// Makes the answer to a request that is turned down.
    package var makeRefusal: (HTTPRefusal) -> OutgoingResponse = { refusal in
        var fields = refusal.fields
        fields.append("Content-Type", "text/plain; charset=utf-8")
        return OutgoingResponse(status: refusal.status, fields: fields, body: Array((refusal.message + "\n").utf8))
    }
    /// Lines that every answer has, each with its CRLF.
    package var standardFields: [UInt8] = []
    /// Looks at each request before anything else; `nil`: nothing is looked for.
    ///
    /// Of a head that cannot be read, what can, and only for the fields of its answer.
    package var inspect: ((_ fields: HTTPFields, _ host: String?, _ stream: StreamConnection) -> Inspection)?
    /// Asked at the door; a refusal is answered to the first request, or by a reset where many are being refused.
    package var admit: (SocketAddress?) -> HTTPRefusal? = { _ in nil }
    /// Descriptors from this number on are not for connections, which are reset.
    package var firstReservedDescriptor = Int32.max
    /// Whether a request is answered even on a connection that was refused, as a probe of health.
    package var isAlwaysAnswered: (HTTPRequestHead) -> Bool = { _ in false }
    /// Whether its connections stay when memory is short.
    package var isSpared = false
    /// Called once for each connection that was admitted, when it is gone; `nil`: nobody wants to know.
    package var connectionClosed: ((SocketAddress?) -> Void)?
    /// Told of errors that handlers threw, but for refusals; they are answered with 500.
    var report: (@Sendable (any Error, HTTPRequest) -> Void)?
    /// What its connections are encrypted with; `nil`: they are not.
    package var tls: TLSContext?

    package init() {}
}

/// Listens and serves HTTP/1.1, with WebSocket upgrades where the handler has them.
///
/// Belongs to one reactor.
package final class HTTPListener {
    private let listener: Listener

    /// How many connections of a reactor may be open only to be told why they are refused.
    private static let maximumRefused = 16
    /// How long one of them may take to ask, in nanoseconds.
    private static let refusedPatience: Int64 = 2_000_000_000

    /// Starts to serve.
    ///
    /// - Parameters:
    ///   - descriptor: a listening socket; several reactors may each have one on the same port.
    ///   - isShared: other reactors listen on the very same socket, by descriptors of their own.
    ///   - settings: asked anew for each connection, so that a reload reaches those that come.
    package init(
        on reactor: Reactor, listening descriptor: consuming FileDescriptor, isShared: Bool = false,
        handler: any ExchangeHandler, settings: @escaping () -> HTTPSettings
    ) throws(Errno) {
        listener = try reactor.listen(on: descriptor, isShared: isShared) { [counters = reactor.counters] (raw, peer) in
            var current = settings()
            guard raw < current.firstReservedDescriptor else {
                counters.refusedForDescriptors.add(1)
                return nil
            }
            let refusal = current.admit(peer)
            if refusal != nil {
                guard counters.refusedOpen.current < Self.maximumRefused else { return nil }
                current.headTimeout = min(current.headTimeout, Self.refusedPatience)
            }
            return { [current] stream in
                stream.isSpared = current.isSpared
                if refusal != nil {
                    stream.isRefused = true
                } else if let closed = current.connectionClosed {
                    stream.onClosed = { [peer = stream.peer] in closed(peer) }
                }
                if let bytes = current.maximumUnsentInKernel, stream.peer?.path == nil {
                    Socket.setUnsentLimit(stream.rawDescriptor, bytes: bytes)
                }
                if let tls = current.tls, !stream.secure(asServer: tls, plainAnswer: Self.plainAnswer) {
                    stream.reset()
                }
                return HTTPConnection(stream: stream, settings: current, handler: handler, refusal: refusal)
            }
        }
    }

    /// What is said to those who speak HTTP where TLS is spoken.
    private static let plainAnswer: [UInt8] = {
        let text = "This port speaks TLS: use https:// or wss://.\n"
        let head = """
            HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
            Content-Length: \(text.utf8.count)\r\nConnection: close\r\n\r\n
            """
        return Array((head + text).utf8)
    }()

    /// Accepts no more; connections that are open go on.
    package func stop() { listener.close() }
}
