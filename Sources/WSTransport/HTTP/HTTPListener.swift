/// The result of inspecting a request before it is processed.
package struct Inspection {
    /// Fields that are added to any answer.
    package var fields: HeaderFields
    /// Why it is refused; `nil` if it is not.
    package var refusal: HTTPRefusal? { unwanted?.refusal }
    /// Why its handler must refuse it, in its own way; `nil` if there is no reason.
    package var objection: HTTPRefusal? { unwanted?.objection }
    /// The client that a proxy speaks for; `nil` for the peer of the connection.
    package var client: SocketAddress?
    /// The objections to it; `nil` if there are none.
    let unwanted: Unwanted?

    /// An object, because hardly any request has one, and all would copy it.
    final class Unwanted {
        let refusal: HTTPRefusal?
        let objection: HTTPRefusal?

        init(refusal: HTTPRefusal?, objection: HTTPRefusal?) {
            self.refusal = refusal
            self.objection = objection
        }
    }

    /// The same as another one, if there is one, with an objection.
    init(_ other: Inspection?, objection: HTTPRefusal) {
        self.init(fields: other?.fields ?? HeaderFields(), refusal: other?.refusal, objection: objection)
        client = other?.client
    }

    package init(fields: HeaderFields = HeaderFields(), refusal: HTTPRefusal? = nil, objection: HTTPRefusal? = nil) {
        self.fields = fields
        unwanted = refusal == nil && objection == nil ? nil : Unwanted(refusal: refusal, objection: objection)
    }
}

/// What an HTTP server allows, and how it words refusals.
///
/// Times in nanoseconds, sizes in bytes.
package struct HTTPSettings {
    /// From the start of the connection, or a request's first byte, to the end of its head.
    package var headTimeout: Int64 = 10_000_000_000
    /// Between an answer and the next request.
    package var idleTimeout: Int64 = 75_000_000_000
    package var maximumHead = 16 * 1024
    /// The maximum of unsent bytes of one connection.
    package var maximumUnsent = 1024 * 1024
    /// How long the oldest unsent byte of a stream may wait; `nil` for no limit.
    package var maximumUnsentAge: Int64? = 30_000_000_000
    /// Stripped from every path; begins with `/`, or empty.
    package var pathPrefix = ""
    /// The interval of a stream's heartbeat, and how long its peer's TCP may then take to respond; `nil` for none.
    package var heartbeatInterval: Int64?
    package var heartbeatTimeout: Int64 = 10_000_000_000
    /// When the kernel begins to probe the peer of a stream, and when it gives up, in seconds.
    package var probeIdleSeconds = 25
    package var probeTimeoutSeconds = 10
    /// Whether answers end their connections, because the server is going away.
    package var isDraining: () -> Bool = { false }
    /// Makes the answer to a refused request.
    package var makeRefusal: (HTTPRefusal) -> OutgoingResponse = { refusal in
        var fields = refusal.fields
        fields.append("Content-Type", "text/plain; charset=utf-8")
        return OutgoingResponse(status: refusal.status, fields: fields, body: Array((refusal.message + "\n").utf8))
    }
    /// Lines that are added to every answer, each with its CRLF.
    package var standardFields: [UInt8] = []
    /// Inspects each request before anything else; `nil` for no inspection.
    ///
    /// For an unreadable head it gets the readable part, only for the fields of the answer.
    package var inspect: ((_ fields: HeaderFields, _ host: String?, _ stream: StreamConnection) -> Inspection?)?
    /// The limits on connections, and TLS; a refusal answers the first request.
    package var entrance = Entrance<HTTPRefusal>()
    /// Whether a request is answered even on a refused connection, such as a health probe.
    package var isAlwaysAnswered: (HTTPRequestHead) -> Bool = { _ in false }
    /// Whether the handler answers such a request on a refused connection, with the refusal as the exchange's objection.
    package var showsRefusal: (HTTPRequestHead) -> Bool = { _ in false }
    /// Called with errors that handlers threw, except refusals; they are answered with 500.
    var report: (@Sendable (any Error, ServerRequest) -> Void)?
    /// Called with each refusal, and with the request, which is `nil` if it could not be read.
    package var refused: ((HTTPRefusal, IncomingRequest?, SocketAddress?) -> Void)?

    package init() {}
}

/// Settings that many connections share, because a copy for each would cost as much as a request.
///
/// Runs on the reactor's thread.
final class SharedHTTPSettings {
    // Each request reads them many times; without the checks of exclusive access a read is cheap. They do not change
    // within a request.
    @exclusivity(unchecked) private var current: HTTPSettings
    // Only for small parts: if a large one such as the entrance, or all of them, is copied from here, Swift 6.3.1 without
    // optimization releases the copy's references from memory that this accessor has freed.
    var values: HTTPSettings {
        _read { yield unsafe current }
        set { unsafe current = newValue }
    }

    init(_ values: HTTPSettings) { unsafe current = values }

    /// Decides what to do with an accepted connection, as ``Entrance/welcome(_:from:counters:_:)`` does.
    func welcome(
        _ descriptor: Int32, from peer: SocketAddress?, counters: ReactorCounters,
        _ makeDriver: @escaping (StreamConnection, HTTPRefusal?) -> any StreamDriver
    ) -> ((StreamConnection) -> any StreamDriver)? {
        unsafe current.entrance.welcome(descriptor, from: peer, counters: counters, makeDriver)
    }

    /// The settings of a refused connection, whose request may take `patience` nanoseconds to arrive.
    func refusing(patience: Int64) -> SharedHTTPSettings {
        let refusing = unsafe SharedHTTPSettings(current)
        unsafe refusing.current.headTimeout = min(current.headTimeout, patience)
        return refusing
    }
}

/// Makes the settings of a listener's connections, and holds the present ones.
private final class HTTPSettingsSource {
    private let revision: (() -> Int)?
    private let make: () -> HTTPSettings
    private let plainAnswer: [UInt8]
    private var known: (revision: Int, settings: SharedHTTPSettings)?

    init(revision: (() -> Int)?, plainAnswer: [UInt8], _ make: @escaping () -> HTTPSettings) {
        self.revision = revision
        self.plainAnswer = plainAnswer
        self.make = make
    }

    /// The settings of a new connection.
    var current: SharedHTTPSettings {
        guard let revision = revision?() else { return SharedHTTPSettings(made) }
        if let known, known.revision == revision { return known.settings }
        let shared = known?.settings ?? SharedHTTPSettings(made)
        // Open connections have the new settings from now on, too.
        if known != nil { shared.values = made }
        known = (revision, shared)
        return shared
    }

    /// Gives open connections new settings, if these have changed.
    func refresh() { if known != nil { _ = current } }

    private var made: HTTPSettings {
        var made = make()
        made.entrance.plainAnswer = plainAnswer
        return made
    }
}

/// Listens and serves HTTP/1.1, with WebSocket upgrades if the handler offers them.
///
/// Belongs to one reactor.
package final class HTTPListener {
    private let listener: Listener
    private let source: HTTPSettingsSource

    /// How long a client may take to send the request that is refused, in nanoseconds.
    private static let refusedPatience: Int64 = 2_000_000_000

    /// Starts serving.
    ///
    /// - Parameters:
    ///   - descriptor: a listening socket; several reactors may each have one on the same port.
    ///   - isShared: whether other reactors listen on the same socket, with their own descriptors.
    ///   - revision: returns another number when the settings have changed, as after a reload; `nil` if each connection
    ///     keeps its own settings.
    ///   - settings: makes the settings.
    package init(
        on reactor: Reactor, listening descriptor: consuming FileDescriptor, isShared: Bool = false,
        handler: any ExchangeHandler, revision: (() -> Int)? = nil, settings: @escaping () -> HTTPSettings
    ) throws(Errno) {
        let dateLine = HTTPDateLine()
        let source = HTTPSettingsSource(revision: revision, plainAnswer: Self.plainAnswer, settings)
        self.source = source
        listener = try reactor.listen(on: descriptor, isShared: isShared) { [counters = reactor.counters] (raw, peer) in
            let current = source.current
            return current.welcome(raw, from: peer, counters: counters) { (stream, refusal) in
                HTTPConnection(
                    stream: stream,
                    settings: refusal == nil ? current : current.refusing(patience: Self.refusedPatience),
                    handler: handler, refusal: refusal, dateLine: dateLine)
            }
        }
    }

    /// The answer to plain HTTP where TLS is expected.
    private static let plainAnswer: [UInt8] = {
        let text = "This port speaks TLS: use https:// or wss://.\n"
        let head = """
            HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
            Content-Length: \(text.utf8.count)\r\nConnection: close\r\n\r\n
            """
        return Array((head + text).utf8)
    }()

    /// Gives open connections new settings, if these have changed.
    func takeOverSettings() { source.refresh() }

    /// Stops accepting; open connections continue.
    package func stop() { listener.close() }
}

/// The field line `Date` of the current second, for all answers of one listener.
final class HTTPDateLine {
    private var second = Int64.min
    // Without the checks of exclusive access, which would cost each answer: nothing is called while it changes.
    @exclusivity(unchecked) private var line: [UInt8] = []

    /// The line, with its CRLF.
    var current: [UInt8] {
        let now = WallClock.unixMilliseconds / 1000
        if now != second {
            second = now
            unsafe line = []
            unsafe line.append("Date: ")
            unsafe HTTPDate.append(unixSeconds: now, to: &line)
            unsafe line.append("\r\n")
        }
        return unsafe line
    }
}
