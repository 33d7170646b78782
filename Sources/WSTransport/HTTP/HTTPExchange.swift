/// One request and the one answer to it.
///
/// Runs on the connection's reactor.
///
/// Its handler calls exactly one of ``respond(_:)``, ``refuse(_:)`` and ``startStream(_:)``, or turns the connection
/// into a WebSocket. Calls after the connection has gone do nothing.
package final class HTTPExchange {
    package let request: IncomingRequest
    /// The path that routes match, percent-encoded; a matching route leaves the rest of it here.
    package var value: String {
        get { rest }
        set {
            if groups == nil { groups = [rest] }
            rest = newValue
        }
    }
    /// The values of the groups in the matched pattern, percent-encoded.
    package var params: [String] {
        get { groups ?? [rest] }
        set { groups = newValue }
    }
    /// Fields that are added to any answer.
    package var extraFields: HeaderFields {
        get { added }
        set { added = newValue }
    }
    /// Why its handler must refuse it; `nil` if there is no reason.
    package var objection: HTTPRefusal? { unwanted?.objection }
    // If other modules could change these stored properties, each access would be checked for exclusivity.
    private var rest: String
    /// The groups; `nil` if ``value`` is the only one.
    private var groups: [String]? = []
    private var added: HeaderFields
    private let unwanted: Inspection.Unwanted?
    /// The connection; `nil` when it is done with the exchange, or gone.
    private(set) var connection: HTTPConnection?
    private(set) var isAnswered = false
    /// Its number, if a task refers to it.
    private var link: ReactorLink?
    /// Called when the connection is done with it.
    private var endings: [() -> Void] = []

    /// - Parameter found: the result of the inspection; `nil` if there was none.
    init(request: IncomingRequest, connection: HTTPConnection, _ found: Inspection?) {
        self.request = request
        self.connection = connection
        rest = request.path
        added = found?.fields ?? HeaderFields()
        unwanted = found?.unwanted
    }

    /// Adopts the match of a route.
    func arrive(at match: RoutePattern.Match) { (rest, groups) = (match.value, match.groups) }

    /// The reactor on which it runs; `nil` when the connection is done with it, or has gone.
    package var reactor: Reactor? { connection?.stream.reactor }

    /// The stream on which the request arrived; `nil` when the connection is done with it, or has gone.
    package var stream: StreamConnection? { connection?.stream }

    /// Called with errors of handlers; `nil` if they are not reported, or the connection is done with the exchange.
    var report: (@Sendable (any Error, ServerRequest) -> Void)? { connection?.settings.report }

    /// A handle for tasks, valid until the connection is done with the exchange; `nil` if it already is.
    func makeLink() -> ReactorLink? {
        if let link { return link }
        guard let reactor else { return nil }
        let made = ReactorLink(remote: reactor.remote)
        made.bind(self, on: reactor)
        link = made
        return made
    }

    /// Calls `body` when the connection is done with the exchange: answered, handed over, or gone.
    package func onEnd(_ body: @escaping () -> Void) { endings.append(body) }

    /// The connection is done with it.
    func detached(from stream: StreamConnection) {
        connection = nil
        if let link { link.release(on: stream.reactor) }
        link = nil
        if endings.isEmpty { return }
        let bodies = endings
        endings = []
        for body in bodies { body() }
    }

    /// The object that handlers keep with the connection from one request to the next; `nil` if there is none of this
    /// class.
    ///
    /// There is one at a time, and it is released when the connection becomes a WebSocket.
    package subscript<Object: AnyObject>(_ type: Object.Type) -> Object? {
        get { connection?.kept as? Object }
        set { connection?.kept = newValue }
    }

    /// Reads the whole body of the request.
    ///
    /// - Parameters:
    ///   - maximum: in bytes; a longer body is answered with 413 and not handed over.
    ///   - then: gets the body, once, now or later on the same reactor; never if the connection breaks or the body is
    ///     malformed.
    package func readBody(maximum: Int, _ then: @escaping (Span<UInt8>) -> Void) {
        connection?.readBody(for: self, maximum: maximum, then)
    }

    /// Holds the request until its admission is decided; the connection is not read meanwhile, and has the time of a
    /// head.
    ///
    /// - Parameter then: runs on the reactor, unless the time is over or the connection has gone before.
    /// - Returns: a closure to call once with the outcome, on any thread; `nil` if the connection has gone.
    package func suspend<Outcome: Sendable>(
        _ then: @escaping @Sendable (HTTPExchange, Outcome) -> Void
    ) -> (@Sendable (Outcome) -> Void)? {
        guard let connection, let link = makeLink(), connection.suspend(self) else { return nil }
        return { outcome in
            link.run(with: HTTPExchange.self) { exchange in
                guard let exchange, exchange.connection?.resume(exchange) ?? false else { return }
                then(exchange, outcome)
            }
        }
    }

    /// Answers with a whole response.
    package func respond(_ response: OutgoingResponse) {
        guard !isAnswered else { return }
        isAnswered = true
        connection?.finishExchange(response, extraFields)
    }

    /// Answers with an error.
    package func refuse(_ refusal: HTTPRefusal) {
        guard let connection else { return }
        // A client that asked for a WebSocket, by whatever method, may already have sent frames.
        if Handshake.isUpgrade(request.head) { connection.endAfterAnswer() }
        if !isAnswered { connection.settings.refused?(refusal, request, connection.stream.peer) }
        respond(connection.settings.makeRefusal(refusal))
    }

    /// Begins an answer of unknown length; `nil` if there was an answer, or the connection is gone.
    package func startStream(_ fields: HeaderFields) -> HTTPStream? {
        guard !isAnswered, let connection else { return nil }
        isAnswered = true
        return connection.startStream(fields, extraFields)
    }

    /// Whether the connection was handed to another protocol.
    private(set) var isTakenOver = false

    /// Hands the connection to another protocol; `nil` if it is gone or answered.
    func takeOver() -> StreamConnection? {
        guard !isAnswered, let connection else { return nil }
        isAnswered = true
        isTakenOver = true
        return connection.takeOver()
    }
}

/// An answer of unknown length: in chunks (RFC 9112 §7.1) or, with HTTP/1.0, until the connection ends.
///
/// Runs on the connection's reactor.
package final class HTTPStream {
    package let stream: StreamConnection
    /// Whether the answer has no body at all: the request was `HEAD`.
    package let isBodyless: Bool
    /// Whether the data is framed as chunks.
    package let isChunked: Bool
    /// Whether it ends by itself, so that a client that has closed its half still wants it.
    package var isFinite = false
    /// Sent at intervals while nothing waits, to show that the stream is alive; empty to send nothing.
    package var heartbeat: [UInt8] = [] {
        didSet { connection?.scheduleStream() }
    }
    /// Called once when the connection is gone.
    package var onClosed: (() -> Void)?
    /// Whether it was abandoned because the peer gave no sign of life.
    package internal(set) var isDead = false
    /// Called when the socket took less than it was given, for the first time since it had taken everything.
    package var onFellBehind: (() -> Void)?
    /// Called when everything unsent has been sent.
    package var onDrained: (() -> Void)?
    /// Called when more is unsent than the connection allows; the connection is then reset.
    package var onOverflow: (() -> Void)?
    private weak var connection: HTTPConnection?
    private var isEnded = false
    private var lastBeat: MonotonicTime

    init(connection: HTTPConnection, stream: StreamConnection, isBodyless: Bool, isChunked: Bool) {
        self.connection = connection
        self.stream = stream
        self.isBodyless = isBodyless
        self.isChunked = isChunked
        lastBeat = stream.reactor.now
    }

    /// Sends `bytes`, which are not empty, as one chunk if there are chunks.
    package func send(_ bytes: [UInt8]) {
        guard !isEnded, !isBodyless, !bytes.isEmpty else { return }
        stream.send(isChunked ? Self.chunk(bytes) : bytes)
    }

    /// Bytes given to ``send(_:)`` that the socket has not taken.
    package var bufferedAmount: Int { stream.bufferedBytes }

    // MARK: Heartbeat

    /// Adopts the interval of the heartbeat from the connection's present settings.
    package func takeOverSettings() { connection?.scheduleStream() }

    /// Sends the heartbeat if it is due and nothing waits, and checks what is still on its way.
    ///
    /// Times in nanoseconds.
    ///
    /// - Parameter limit: how long the peer may read nothing while its TCP responds; `nil` for no limit.
    /// - Returns: whether the peer is alive, as far as TCP can tell.
    func beat(every interval: Int64, within timeout: Int64, _ limit: Int64?) -> Bool {
        let now = stream.reactor.now
        if let watch = stream.peerWatch, now.nanoseconds(since: watch.sign) >= timeout {
            // A follower sends no answers, so acknowledged bytes are all that can be known.
            if stream.isTaken { stream.peerWatch = nil } else if !watch.isAlive(stream, limit: limit) { return false }
        }
        guard now.nanoseconds(since: lastBeat) >= interval else { return true }
        lastBeat = now
        if stream.bufferedBytes == 0 { send(heartbeat) }
        if stream.peerWatch == nil { stream.peerWatch = PeerWatch(since: now) }
        return true
    }

    /// When ``beat(every:within:_:)`` must be called again.
    func nextLook(every interval: Int64, within timeout: Int64) -> MonotonicTime {
        let beat = lastBeat.advanced(byNanoseconds: interval)
        guard let watch = stream.peerWatch else { return beat }
        return min(beat, watch.sign.advanced(byNanoseconds: timeout))
    }

    /// `bytes` framed as a chunk, for sharing between streams.
    package static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        var chunk = Array(String(bytes.count, radix: 16).utf8)
        chunk.reserveCapacity(chunk.count + bytes.count + 4)
        chunk += [13, 10]
        chunk += bytes
        chunk += [13, 10]
        return chunk
    }

    /// Ends the answer; the connection may carry another request.
    package func end() {
        guard !isEnded else { return }
        isEnded = true
        if !isBodyless, isChunked { stream.send(Array("0\r\n\r\n".utf8)) }
        connection?.endStream()
    }
}
