/// One WebSocket connection, either role: the machine's bytes in and out, keepalive, the closing handshake.
///
/// Runs on the connection's reactor, and so do all calls to its session.
package final class WebSocketConnection: StreamDriver {
    package let stream: StreamConnection
    /// The subprotocol agreed upon; empty: none.
    package let subprotocol: String
    private var user: (any WebSocketSession)?
    package var session: (any WebSocketSession)? {
        get { user }
        set { user = newValue }
    }
    /// The round-trip time of the last PING, in nanoseconds; `nil` before the first answer.
    package private(set) var roundTrip: Int64?
    package var readyState: ReadyState { state }
    private var state = ReadyState.open
    // Those of one byte stand together: every connection has these.
    let isClient: Bool
    /// Whether all that the stream may have unsent are frames: the answer to the handshake has gone out.
    var hasOnlyFrames = false

    var machine: WebSocketMachine
    private let compression: MessageCompression?
    var options: Options
    private var pingSent: MonotonicTime?
    /// What was reported; `nil` as long as it has not ended.
    private var ended: CloseEvent?
    /// The peer broke the protocol, which it is told by this, once what came before is answered.
    private var failure: BrokenProtocol?
    /// When the message began that is under way; `nil`: none is.
    var unfinished: UnfinishedMessage?

    init(
        stream: StreamConnection, role: WebSocketMachine.Role, subprotocol: String,
        compression agreed: DeflateParameters? = nil, options: Options
    ) {
        self.stream = stream
        self.subprotocol = subprotocol
        self.options = options
        isClient = role == .client
        compression = agreed.map { agreed in
            MessageCompression(
                agreed, role: role, options: options.values.compression ?? CompressionOptions(),
                pool: stream.reactor.deflatePool)
        }
        machine = WebSocketMachine(
            role: role, maximumMessageSize: options.values.maximumMessage, compression: compression)
        stream.maximumUnsent = options.values.maximumUnsent
        stream.reactor.counters.webSockets.add(1)
        scheduleKeepalive()
        // The answer to the handshake goes out at this turn's end, if the socket takes it.
        // (A weak reference would cost 48 bytes for as long as the connection lives.)
        stream.reactor.runSoon { if self.stream.unsentBytes == 0 { self.hasOnlyFrames = true } }
    }

    var now: MonotonicTime { stream.reactor.now }

    /// Its place in the reactor's tables.
    package var slot: UInt32 { stream.slot }

    // MARK: Sending

    /// Sends one message at the end of the turn; nothing when the socket is not open.
    package func send(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) {
        guard readyState == .open else { return }
        unsafe sendFrame(opcode, payload)
    }

    /// Sends one message at the end of the turn; nothing when the socket is not open.
    package func send(_ opcode: Opcode, _ payload: [UInt8]) {
        unsafe payload.withUnsafeBytes { unsafe send(opcode, $0) }
    }

    /// Sends a PING of at most 125 bytes; it does not wait for messages that wait.
    package func ping(_ payload: [UInt8] = []) {
        guard readyState == .open else { return }
        unsafe payload.prefix(125).withUnsafeBytes { unsafe sendControl(.ping, $0) }
    }

    /// RFC 6455 §5.5.3: who has not taken the answer to one PING gets that to the newest only.
    private func pong(_ payload: UnsafeRawBufferPointer) { unsafe sendControl(.pong, payload) }

    /// Sends a PING or PONG before all frames of the backlog that have not begun.
    private func sendControl(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) {
        guard stream.isOpen else { return }
        guard hasOnlyFrames, stream.unsentBytes > 0 else {
            return unsafe sendFrame(opcode, payload, isCompressed: false)
        }
        var frame: [UInt8] = []
        let key: MaskingKey? = isClient ? .random() : nil
        unsafe FrameEncoder.appendFrame(opcode, payload, isCompressed: false, maskingKey: key, to: &frame)
        unsafe stream.sendAhead(frame, isReplaceable: opcode == .pong) { unsafe frameCount($0) }
    }

    /// The byte count of the frame, of ours, that `bytes` begin with.
    func frameCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        let reading = unsafe FrameHeader.read(bytes, isMasked: isClient, allowsCompression: true)
        guard case .whole(let header, let count) = reading else { return 1 }
        return count + header.payloadLength
    }

    private func sendFrame(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) {
        guard stream.isOpen else { return }
        if let compression, !opcode.isControl, let compressed = unsafe compression.deflate(payload) {
            return unsafe compressed.withUnsafeBytes { unsafe sendFrame(opcode, $0, isCompressed: true) }
        }
        unsafe sendFrame(opcode, payload, isCompressed: false)
    }

    private func sendFrame(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool) {
        if isClient {
            var frame: [UInt8] = []
            unsafe FrameEncoder.appendFrame(
                opcode, payload, isCompressed: isCompressed, maskingKey: .random(), to: &frame)
            return stream.send(frame)
        }
        let frame = unsafe Self.encode(
            opcode, payload, isCompressed: isCompressed, lane: 0, on: stream.reactor)
        stream.reactor.send(frame, to: slot)
    }

    /// The window bits that compressed messages may have which this socket shares with others; `nil`: it takes none.
    package var sharedWindowBits: Int? { compression?.sharedWindowBits }

    /// A server's frame, in this turn's arena, for as many sockets of the reactor as are to get it.
    ///
    /// `isCompressed`: `payload` is that of ``DeflatePool/deflate(_:windowBits:level:)``.
    package static func encode(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool = false, lane: Int, on reactor: Reactor
    ) -> Segment {
        let header = FrameEncoder.headerLength(payloadLength: payload.count)
        return unsafe reactor.encode(lane: lane, count: header + payload.count) { bytes in
            unsafe FrameEncoder.writeHeader(
                opcode, isCompressed: isCompressed, payloadLength: payload.count, into: bytes)
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[header...]).copyMemory(from: payload)
        }
    }

    /// Bytes given to send that the socket has not taken, those of this turn included.
    package var bufferedAmount: Int { stream.bufferedBytes }

    /// Begins the closing handshake; nothing when it has begun.
    ///
    /// RFC 6455 §5.5.1: the one way to close, after which no message is sent; what still comes is dropped.
    package func close(_ code: CloseCode = .normal, reason: String = "") {
        let held = machine.heldBytes
        guard readyState == .open, let frame = machine.close(code, reason: reason) else { return }
        countHeld(since: held)
        unfinished = nil
        state = .closing
        stream.send(frame)
        session?.closing()
        stream.resumeReading(for: .any)
        stream.peerWatch = nil
        stream.setDeadline(now.advanced(byNanoseconds: options.values.closeTimeout))
    }

    /// Ends the connection at once, without a closing handshake.
    package func terminate() {
        stream.reset()
        report(CloseEvent(code: .abnormal, reason: "", wasClean: false))
    }

    // MARK: Receiving

    package func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        var offset = 0
        let held = machine.heldBytes
        let before = stream.reactor.counters.messagesReceived.current
        defer {
            let isMidMessage = countHeld(since: held)
            if isMidMessage || unfinished != nil {
                noteUnfinished(isNew: stream.reactor.counters.messagesReceived.current != before)
            }
        }
        while let event = unsafe machine.next(bytes, &offset) {
            unsafe handle(event, bytes)
            if !stream.isOpen { break }
            // Who is not read any more by its session, or sends without taking the answers, is let wait with the rest.
            if stream.isReadingPaused { return offset }
            if readyState == .open, stream.bufferedBytes > options.values.maximumUnsent / 2 {
                waitForReader()
                return offset
            }
        }
        // Nor is a large message read to its end, whose answer would find no room.
        if readyState == .open, stream.unsentBytes > options.values.maximumUnsent / 2 { waitForReader() }
        return bytes.count
    }

    /// Reads on once everything has been sent.
    private func waitForReader() {
        stream.pauseReading(for: .unsent)
        // Where the socket takes it all at the turn's end there is no backlog, whose end would be told.
        stream.reactor.runSoon { [weak self] in
            guard let self, stream.unsentBytes == 0 else { return }
            stream.resumeReading(for: .unsent)
        }
    }

    private func handle(_ event: WebSocketMachine.Event, _ bytes: UnsafeMutableRawBufferPointer) {
        switch event {
        case .message where readyState != .open: break
        case .message(let opcode, .input(let range)):
            stream.reactor.counters.messagesReceived.add(1)
            let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
            let view = unsafe UnsafeBufferPointer(payload.bindMemory(to: UInt8.self))
            unsafe session?.received(opcode, view.span)
        case .message(let opcode, .assembled(let whole)):
            stream.reactor.counters.messagesReceived.add(1)
            session?.received(opcode, whole.span)
        case .ping(.input(let range)):
            unsafe pong(UnsafeRawBufferPointer(rebasing: bytes[range]))
            session?.pinged(unsafe Self.copy(.input(range), of: bytes))
        case .ping(.assembled(let whole)):
            unsafe whole.withUnsafeBytes { unsafe pong($0) }
            session?.pinged(whole)
        case .pong(let payload):
            if let sent = pingSent { roundTrip = now.nanoseconds(since: sent) }
            hasLife()
            session?.ponged(unsafe Self.copy(payload, of: bytes))
        case .close(let code, let reason, let reply):
            if !reply.isEmpty { stream.send(reply) }
            stream.finish()
            report(CloseEvent(code: code ?? .noStatusReceived, reason: reason, wasClean: true))
        case .failed(let code, let reason, let frame):
            stream.reactor.counters.protocolErrors.add(1)
            failure = BrokenProtocol { [unowned self] in
                if !frame.isEmpty { stream.send(frame) }
                stream.finish()
                report(CloseEvent(code: code, reason: reason, wasClean: false))
            }
            stream.setDeadline(now.advanced(byNanoseconds: options.values.closeTimeout))
            // What came in order before the violation is answered first, and its answers may come at the turn's end.
            stream.reactor.runSoon { [self] in
                if let session { session.isFailing { [weak self] in self?.fail() } } else { fail() }
            }
        }
    }

    /// Ends the connection to a peer that broke the protocol; once.
    private func fail() {
        guard let failure else { return }
        self.failure = nil
        stream.setDeadline(nil)
        if stream.isOpen { failure.end() }
    }

    /// At most 125 bytes of a control frame.
    private static func copy(
        _ payload: WebSocketMachine.Payload, of bytes: UnsafeMutableRawBufferPointer
    ) -> [UInt8] {
        switch payload {
        case .input(let range): unsafe Array(bytes[range])
        case .assembled(let whole): whole
        }
    }

    /// Whether the message that its session has just been given came compressed.
    package var messageWasCompressed: Bool { machine.messageWasCompressed }

    /// Gives the connection away, before its first frame; the new owner sets its driver.
    func detach() -> StreamConnection {
        ended = CloseEvent(code: .noStatusReceived, reason: "", wasClean: true)
        state = .closed
        stream.reactor.counters.webSockets.add(-1)
        stream.setDeadline(nil)
        return stream
    }

    package func receivedEnd() {
        guard failure == nil else { return }
        stream.finish()
        report(CloseEvent(code: .abnormal, reason: "", wasClean: false))
    }

    /// Takes its session, which is told at once where the end came before it.
    func begin(_ session: any WebSocketSession) {
        if let ended { return session.closed(ended) }
        self.session = session
        if readyState == .closing { session.closing() }
    }

    func report(_ event: CloseEvent) {
        guard ended == nil else { return }
        ended = event
        state = .closed
        stream.reactor.counters.webSockets.add(-1)
        let ending = session
        session = nil
        ending?.closed(event)
    }

    package func closed() {
        stream.reactor.counters.heldBytes.add(-machine.heldBytes)
        report(CloseEvent(code: .abnormal, reason: "", wasClean: false))
    }

    // MARK: Keepalive

    package func deadlinePassed() {
        guard failure == nil else { return fail() }
        switch readyState {
        case .closing, .closed, .connecting:
            // A CLOSE waits for what was begun before it.
            let isOnItsWay = stream.isOpen && stream.isStillTaking(within: options.values.closeTimeout, answers: true)
            if !isOnItsWay { terminate() }
        case .open:
            if let limit = options.values.maximumUnsentAge, stream.unsentAge >= limit {
                return closeSlowReader("unsent for \(limit / 1_000_000_000) s")
            }
            if isMessageTooLate {
                stream.reactor.counters.messageTimeouts.add(1)
                return close(.policyViolation, reason: "the message did not come in time")
            }
            keepAlive()
            scheduleKeepalive()
        }
    }

    private func keepAlive() {
        // Whoever is not read cannot answer; the age of what it has not taken decides about it.
        guard let interval = options.values.pingInterval, !stream.isReadingPaused else { return }
        if let sent = pingSent {
            // Any received byte is life, not only a PONG.
            if stream.lastReceived > sent {
                hasLife()
            } else if isLate(sent), isLate(stream.peerWatch?.sign ?? sent) {
                // The PING may still be on its way, after other bytes: whoever takes those is slow, not dead.
                let watch = stream.peerWatch ?? PeerWatch(since: sent)
                guard watch.isAlive(stream, limit: options.values.maximumUnsentAge) else {
                    stream.reactor.counters.evicted.add(1)
                    return terminate()
                }
                stream.peerWatch = watch
            }
        }
        if pingSent == nil, now.nanoseconds(since: stream.lastReceived) >= interval {
            pingSent = now
            stream.reactor.counters.pingsSent.add(1)
            ping()
        }
    }

    /// No PING is without an answer any more.
    private func hasLife() {
        if let sent = pingSent, isLate(sent) { stream.peerWatch = nil }
        pingSent = nil
    }

    /// Whether the answer to a PING is overdue; before that the peer has no watch.
    private func isLate(_ sent: MonotonicTime) -> Bool {
        now.nanoseconds(since: sent) >= options.values.pingTimeout
    }

    func scheduleKeepalive() {
        guard readyState == .open, failure == nil else { return }
        var deadline: MonotonicTime?
        if let interval = options.values.pingInterval {
            let timeout = options.values.pingTimeout
            if let sent = pingSent, isLate(sent), let watch = stream.peerWatch {
                deadline = watch.sign.advanced(byNanoseconds: timeout)
            } else if let sent = pingSent {
                // After an interval it is seen whether there was life, though the answer may take longer.
                let isEarly = now.nanoseconds(since: sent) < interval
                deadline = sent.advanced(byNanoseconds: isEarly ? min(interval, timeout) : timeout)
            } else {
                deadline = stream.lastReceived.advanced(byNanoseconds: interval)
            }
        }
        if let limit = options.values.messageTimeout, let unfinished {
            let tooLate = unfinished.since.advanced(byNanoseconds: limit)
            deadline = deadline.map { min($0, tooLate) } ?? tooLate
        }
        if let limit = options.values.maximumUnsentAge, stream.unsentBytes > 0 {
            let tooOld = now.advanced(byNanoseconds: max(0, limit - stream.unsentAge))
            deadline = deadline.map { min($0, tooOld) } ?? tooOld
        }
        stream.setDeadline(deadline)
    }
}
