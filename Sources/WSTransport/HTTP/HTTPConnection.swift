/// One HTTP/1.1 connection (RFC 9112), server side: heads, bodies, answers, one exchange at a time.
///
/// Pipelined requests wait in the connection until the answer before them is out. Runs on the reactor's thread.
package final class HTTPConnection: StreamDriver {
    private enum Phase {
        /// Waiting for a head.
        case head
        /// Reading the body for the handler that requested it.
        case body
        /// The credentials are being checked, which has a deadline.
        case admitting
        /// The handler has the request.
        case answering
        /// An answer without a known end is under way.
        case streaming
        /// The connection belongs to another protocol, or is ending.
        case done
    }

    let stream: StreamConnection
    private let counters: ReactorCounters  // Kept, because each look at a stream's reactor counts references.
    private let shared: SharedHTTPSettings
    var settings: HTTPSettings { _read { yield shared.values } }
    private let handler: any ExchangeHandler
    private let refusal: HTTPRefusal?
    private let dateLine: HTTPDateLine
    private var phase = Phase.head
    private var exchange: HTTPExchange? {
        didSet { if oldValue !== exchange { oldValue?.detached(from: stream) } }
    }
    private var httpStream: HTTPStream?
    private var framing = BodyFraming.none
    // Without the checks of exclusive access, which would cost each request: the code that it calls does not know the
    // connection.
    @exclusivity(unchecked) private var body = HTTPBodyReader()
    /// What handlers keep from one request to the next.
    var kept: AnyObject?
    private var keepsAlive = true
    private var isHead = false
    /// Whether the client speaks HTTP/1.0, for which the connection continues only if the answer says so.
    private var isOld = false
    private var sentFirstByte = false
    /// Since when it waits for another request; `nil` before the first.
    private var idleSince: MonotonicTime?
    /// The present deadline, if it is one for the next request: each answer would only move it a little.
    private var idleDeadline: MonotonicTime?
    /// The time limit for a body of which nothing has been read, in nanoseconds; 0 if it is set already, or there is
    /// none.
    private var bodyTime: Int64 = 0
    /// Bytes answered since the connection was last known to accept them.
    private var answeredBytes = 0
    /// Pipelined requests wait until the answers before them have been sent.
    private var isThrottled = false
    private static let answeredAtOnce = 64 * 1024

    /// - Parameter refusal: the answer to every request, if the server is full.
    init(
        stream: StreamConnection, settings: SharedHTTPSettings, handler: any ExchangeHandler, refusal: HTTPRefusal?,
        dateLine: HTTPDateLine = HTTPDateLine()
    ) {
        self.dateLine = dateLine
        (self.stream, counters) = (stream, stream.reactor.counters)
        shared = settings
        self.handler = handler
        self.refusal = refusal
        stream.maximumUnsent = settings.values.maximumUnsent
        waitForHead(settings.values.headTimeout)
    }

    /// Creates a connection with its own settings.
    convenience init(
        stream: StreamConnection, settings: HTTPSettings, handler: any ExchangeHandler, refusal: HTTPRefusal?
    ) {
        self.init(stream: stream, settings: SharedHTTPSettings(settings), handler: handler, refusal: refusal)
    }

    private func waitForHead(_ nanoseconds: Int64) {
        setDeadline(stream.reactor.now.advanced(byNanoseconds: nanoseconds))
    }

    private func setDeadline(_ deadline: MonotonicTime?) {
        idleDeadline = nil
        stream.setDeadline(deadline)
    }

    /// Sets the deadline of the next request; ``deadlinePassed()`` checks whether it was extended.
    private func waitForRequest() {
        let now = stream.reactor.now
        idleSince = now
        let end = now.advanced(byNanoseconds: settings.idleTimeout)
        if let idleDeadline, idleDeadline <= end { return }
        setDeadline(end)
        idleDeadline = end
    }

    // MARK: Bytes in

    package func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let bytes = UnsafeRawBufferPointer(bytes)
        var offset = 0
        while true {
            switch phase {
            case .head:
                if isThrottled { return offset }
                if unsafe !readHead(bytes, &offset) { return offset }
            case .body:
                if unsafe !readBodyBytes(bytes, &offset) { return offset }
            case .admitting, .answering:
                stream.pauseReading()
                return offset
            case .streaming:
                // If the connection ends with its stream, nothing more is read: neither the rest of a body nor a
                // request.
                guard keepsAlive else { return bytes.count }
                // What a client sends during a stream waits; too much of it is not kept.
                if bytes.count - offset > 16 * 1024 { stream.reset() }
                return offset
            case .done:
                return offset
            }
        }
    }

    /// Whether more can be done with the available bytes.
    private func readHead(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Bool {
        // RFC 9112 §2.2: ignore an empty line before a request.
        while unsafe offset + 1 < bytes.count && bytes[offset] == 13 && bytes[offset + 1] == 10 { offset += 2 }
        guard offset < bytes.count else { return false }
        let isFirst = !sentFirstByte
        sentFirstByte = true
        let start = offset
        do throws(HTTPParseError) {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            guard let (head, count) = try unsafe HTTPHeadParser.parse(rest, maximumHeadSize: settings.maximumHead)
            else {
                // Most heads arrive whole, and need no deadline.
                if isFirst { waitForHead(settings.headTimeout) }
                return false
            }
            offset += count
            framing = try BodyFraming.of(head)
            begin(head)
            return true
        } catch {
            counters.badRequests.add(1)
            unsafe fail(HTTPRefusal(status: error.status, message: error.message), legibleFields(bytes, start))
            return false
        }
    }

    /// The fields for the answer to a head that cannot be read.
    private func legibleFields(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> HeaderFields {
        guard let inspect = settings.inspect else { return [:] }
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...].prefix(settings.maximumHead))
        let fields = unsafe HTTPHeadParser.legibleFields(rest)
        return inspect(fields, fields.only("Host"), stream)?.fields ?? [:]
    }

    private func begin(_ head: consuming HTTPRequestHead) {
        counters.requests.add(1)
        stream.maximumUnsent = settings.maximumUnsent
        phase = .answering
        // A client that asked for a WebSocket may already have sent frames: after any other answer they must not be
        // read as requests.
        keepsAlive = head.keepsAlive && (head.method != "GET" || !Handshake.isUpgrade(head))
        isHead = head.method == "HEAD"
        isOld = head.versionMinor == 0
        var found = settings.inspect?(head.fields, head.host, stream)
        if let refusal {
            let isShown = settings.showsRefusal(head)
            guard isShown || settings.isAlwaysAnswered(head) else { return fail(refusal, found?.fields ?? [:]) }
            if isShown { found = Inspection(found, objection: refusal) }
            keepsAlive = false
        }
        if let unwanted = found?.refusal {
            return makeExchange(copy head, path: head.path, query: [], found).refuse(unwanted)
        }
        // RFC 9110 §10.1.1: only one expectation is defined, and none for a client of HTTP/1.0.
        if !isOld, head.fields.has(.expect),
            let other = head.fields.tokens("Expect").first(where: { $0 != "100-continue" })
        {
            return fail(
                HTTPRefusal(status: 417, message: "Expect: only 100-continue is supported, found \"\(other)\"."),
                found?.fields ?? HeaderFields())
        }
        guard let path = Self.strip(settings.pathPrefix, from: head.path) else {
            return makeExchange(copy head, path: head.path, query: [], found).refuse(
                HTTPRefusal(status: 404, code: "not-found", message: "There is nothing at \(head.path)."))
        }
        guard let query = head.query.map(PercentCoding.decodeQuery) ?? [] else {
            return makeExchange(head, path: path, query: [], found).refuse(
                HTTPRefusal(status: 400, message: "The query is not percent-encoded UTF-8."))
        }
        handler.handle(makeExchange(head, path: path, query: query, found))
    }

    /// Reads no further request.
    func endAfterAnswer() { keepsAlive = false }

    private func makeExchange(
        _ head: consuming HTTPRequestHead, path: String, query: [(name: String, value: String)], _ found: Inspection?
    ) -> HTTPExchange {
        let request = IncomingRequest(
            head: head, path: path, query: query, stated: found?.client, peer: stream.peer)
        let made = HTTPExchange(request: request, connection: self, found)
        exchange = made
        return made
    }

    private static func strip(_ prefix: String, from path: String) -> String? {
        // `*` has no path.
        if prefix.isEmpty || path == "*" { return path }
        guard path.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = String(path.utf8.dropFirst(prefix.utf8.count)) ?? ""
        return rest.isEmpty ? "/" : rest.utf8.first == UInt8(ascii: "/") ? rest : nil
    }

    /// Waits for ``resume(_:)``; returns `false` if the request was answered.
    func suspend(_ exchange: HTTPExchange) -> Bool {
        guard phase == .answering, exchange === self.exchange else { return false }
        phase = .admitting
        waitForHead(settings.headTimeout)
        return true
    }

    /// The handler continues; returns `false` if the request was answered meanwhile.
    func resume(_ exchange: HTTPExchange) -> Bool {
        guard phase == .admitting, exchange === self.exchange else { return false }
        phase = .answering
        setDeadline(nil)
        return true
    }

    func readBody(for exchange: HTTPExchange, maximum: Int, _ then: @escaping (Span<UInt8>) -> Void) {
        guard phase == .answering, exchange === self.exchange else { return }
        if case .length(let count) = framing, count > maximum {
            return exchange.refuse(Self.tooLarge(maximum))
        }
        guard framing != .none else { return then([UInt8]().span) }
        unsafe body.start(framing, maximum: maximum, counters, then)
        // RFC 9110 §10.1.1: a client of HTTP/1.0 does not know interim answers.
        if exchange.request.head.versionMinor >= 1,
            exchange.request.head.fields.hasToken(HTTPWord("100-continue"), in: .expect)
        {
            stream.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
        phase = .body
        // A body has as much time as a head, and a second more for each 16 KiB.
        bodyTime = settings.headTimeout.addingReportingOverflow(Int64(maximum / 16_384) * 1_000_000_000).partialValue
        // Most bodies arrive with their heads, and are read at once.
        if !stream.isHandling { waitForBody() }
        stream.resumeReading()
    }

    private func waitForBody() {
        if bodyTime > 0 { waitForHead(bodyTime) }
        bodyTime = 0
    }

    private static func tooLarge(_ maximum: Int) -> HTTPRefusal {
        let message = "The body is longer than the limit of \(maximum) bytes."
        var refusal = HTTPRefusal(status: 413, code: "too-large", message: message)
        refusal.isBodyTooLong = true
        return refusal
    }

    package var heldBytes: Int { unsafe body.heldBytes }

    private func readBodyBytes(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Bool {
        switch unsafe body.read(bytes, &offset, counters) {
        case .more:
            waitForBody()
            return false
        case .whole(let body):
            phase = .answering
            framing = .none
            bodyTime = 0
            unsafe body.hand(from: bytes)
            return true
        case .tooLarge(let maximum):
            exchange?.refuse(Self.tooLarge(maximum))
            return false
        case .bad(let message):
            counters.badRequests.add(1)
            exchange?.refuse(HTTPRefusal(status: 400, message: message))
            return false
        }
    }

    // MARK: Answers out

    private func fail(_ refusal: HTTPRefusal, _ fields: HeaderFields) {
        keepsAlive = false
        settings.refused?(refusal, nil, stream.peer)
        finishExchange(settings.makeRefusal(refusal), fields)
    }

    func finishExchange(_ response: OutgoingResponse, _ extraFields: HeaderFields) {
        guard phase != .done, phase != .streaming else { return }
        unsafe body.drop(counters)
        // A body that was not read precedes the next request.
        if framing != .none { keepsAlive = false }
        let hasBody = response.status != 204 && response.status != 304
        counters.answered(response.status)
        answeredBytes += sendHead(
            response.status, response.fields, extraFields, response.lines, length: hasBody ? response.body.count : nil,
            body: isHead || !hasBody ? [] : response.body)
        exchange = nil
        next()
    }

    /// Sends the head of an answer, and its body; returns their size in bytes.
    ///
    /// - Parameter length: the length of the body, in bytes; `nil` if it is not sent.
    private func sendHead(
        _ status: Int, _ fields: HeaderFields, _ extraFields: HeaderFields, _ lines: [UInt8], length: Int?,
        body: [UInt8]
    ) -> Int {
        let date = dateLine.current
        let size =
            AnswerWriter.frame + fields.writtenCount + extraFields.writtenCount + lines.count + date.count
            + settings.standardFields.count + body.count
        return unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { room in
            var writer = unsafe AnswerWriter(room)
            writer.put(status: status)
            writer.put(fields)
            writer.put(extraFields)
            writer.put(lines)
            if let length {
                writer.put("Content-Length: ")
                writer.put(decimal: length)
                writer.put("\r\n")
            }
            writer.put(settings.standardFields)
            writer.put(date)
            if !keepsAlive {
                writer.put("Connection: close\r\n")
            } else if isOld {
                writer.put("Connection: keep-alive\r\n")
            }
            writer.put("\r\n")
            writer.put(body)
            unsafe stream.send(writer.written)
            return unsafe writer.written.count
        }
    }

    /// After an answer, takes the next request or ends the connection.
    private func next() {
        isHead = false
        framing = .none
        guard keepsAlive, !settings.isDraining() else {
            phase = .done
            stream.finish()
            return
        }
        phase = .head
        sentFirstByte = false
        waitForRequest()
        if answeredBytes > Self.answeredAtOnce {
            isThrottled = true
            stream.pauseReading()
            stream.reactor.runSoon { [weak self] in self?.relieve() }
        } else {
            stream.resumeReading()
        }
    }

    /// Resumes reading when the peer has taken its answers.
    private func relieve() {
        guard isThrottled, stream.unsentBytes == 0 else { return }
        isThrottled = false
        answeredBytes = 0
        stream.resumeReading()
    }

    func startStream(_ fields: HeaderFields, _ extraFields: HeaderFields) -> HTTPStream {
        // A body that was not read would be taken for the next request; without chunks only the end of the connection
        // ends the answer.
        if framing != .none || isOld { keepsAlive = false }
        counters.answered(200)
        _ = sendHead(
            200, fields, extraFields, isOld ? [] : Array("Transfer-Encoding: chunked\r\n".utf8), length: nil, body: [])
        phase = .streaming
        Socket.setKeepAlive(
            stream.rawDescriptor, idleSeconds: settings.probeIdleSeconds, timeoutSeconds: settings.probeTimeoutSeconds)
        let made = HTTPStream(connection: self, stream: stream, isBodyless: isHead, isChunked: !isOld)
        httpStream = made
        stream.resumeReading()
        return made
    }

    func endStream() {
        guard phase == .streaming else { return }
        httpStream = nil
        stream.peerWatch = nil
        exchange = nil
        phase = .answering
        // Paused, so that resuming hands over what arrived during the stream.
        stream.pauseReading()
        next()
    }

    func takeOver() -> StreamConnection {
        phase = .done
        exchange = nil
        setDeadline(nil)
        return stream
    }

    // MARK: The connection's life

    package var isIdle: Bool {
        if case .head = phase { true } else { false }
    }

    package func receivedEnd() {
        switch phase {
        case .head, .body, .done: stream.finish()
        case .admitting, .answering: keepsAlive = false  // Half-closed: the peer still wants its answer.
        case .streaming:
            // A client that has closed its half still wants an answer that ends by itself; it could not notice the end
            // of other answers.
            if httpStream?.isFinite ?? false { keepsAlive = false } else { stream.reset() }
        }
    }

    package func deadlinePassed() {
        idleDeadline = nil
        switch phase {
        case .head where !sentFirstByte:
            // A reload may have lifted the limit meanwhile.
            let end = idleSince?.advanced(byNanoseconds: settings.idleTimeout)
            if let end, end > stream.reactor.now { stream.setDeadline(end) } else { stream.finish() }
        case .head, .body:
            counters.requestTimeouts.add(1)
            let refusal = HTTPRefusal(status: 408, code: "bad-request", message: "The request did not arrive in time.")
            fail(refusal, exchange?.extraFields ?? [:])
        case .admitting:
            counters.requestTimeouts.add(1)
            let message = "The credentials could not be checked in time."
            fail(HTTPRefusal(status: 503, code: "unavailable", message: message), exchange?.extraFields ?? [:])
        // The deadline of a head or a body that has arrived since, or that of a stream.
        case .answering, .streaming, .done: checkStream()
        }
    }

    /// Closes a follower that reads nothing for too long, or whose TCP does not respond.
    private func checkStream() {
        guard phase == .streaming, let httpStream else { return }
        if let limit = settings.maximumUnsentAge, stream.unsentAge >= limit { return overflowed() }
        if let interval = settings.heartbeatInterval, !httpStream.heartbeat.isEmpty {
            guard httpStream.beat(every: interval, within: settings.heartbeatTimeout, settings.maximumUnsentAge) else {
                counters.evicted.add(1)
                httpStream.isDead = true
                return stream.reset()
            }
        }
        scheduleStream()
    }

    /// Returns when a stream's next heartbeat is due, or what is unsent has become too old.
    func scheduleStream() {
        guard phase == .streaming, let httpStream else { return }
        var deadline: MonotonicTime?
        if let interval = settings.heartbeatInterval, !httpStream.heartbeat.isEmpty {
            deadline = httpStream.nextLook(every: interval, within: settings.heartbeatTimeout)
        }
        if let limit = settings.maximumUnsentAge, stream.unsentBytes > 0 {
            let tooOld = stream.reactor.now.advanced(byNanoseconds: max(0, limit - stream.unsentAge))
            deadline = deadline.map { min($0, tooOld) } ?? tooOld
        }
        setDeadline(deadline)
    }

    package func fellBehind() {
        scheduleStream()
        httpStream?.onFellBehind?()
    }

    package func drained() {
        relieve()
        httpStream?.onDrained?()
    }

    package func overflowed() {
        counters.slowReaders.add(1)
        httpStream?.onOverflow?()
        stream.reset()
    }

    package func closed() {
        phase = .done
        unsafe body.drop(counters)
        exchange = nil
        let closing = httpStream
        httpStream = nil
        closing?.onClosed?()
    }
}
