/// One WebSocket connection, either role: the machine's bytes in and out, keepalive, the closing handshake.
///
/// Runs on the connection's reactor, and so do all calls to its session.
package final class WebSocketConnection: StreamDriver {
    package let stream: StreamConnection
    /// The negotiated subprotocol; empty if there is none.
    package let subprotocol: String
    private var user: (any WebSocketSession)?
    package var session: (any WebSocketSession)? {
        get { user }
        set { user = newValue }
    }
    /// The round-trip time of the last PING, in nanoseconds; `nil` before the first answer.
    package var roundTrip: Int64? { lastRoundTrip < 0 ? nil : lastRoundTrip }
    // Not optional, nor is the next one: that would take 8 bytes more in every connection.
    private var lastRoundTrip: Int64 = -1
    /// When the PING was sent that has not been answered; 0 if there is none.
    private var pingTime = MonotonicTime(nanoseconds: 0)
    private var pingSent: MonotonicTime? {
        get { pingTime.nanoseconds == 0 ? nil : pingTime }
        set { pingTime = newValue ?? MonotonicTime(nanoseconds: 0) }
    }
    package var readyState: ReadyState { state }
    private(set) var state = ReadyState.open
    // One-byte properties are together to save padding in every connection.
    let isClient: Bool
    /// Whether all unsent bytes of the stream are frames, because the response to the handshake has been sent.
    var hasOnlyFrames = false
    /// The code of our CLOSE; 0 if none has been sent.
    package private(set) var sentCode: UInt16 = 0

    // Unchecked, because each message uses it, and the machine calls nothing that knows the connection.
    @exclusivity(unchecked) var machine: WebSocketMachine
    var compression: MessageCompression? { unsafe machine.compression }
    var options: Options
    /// What was reported; `nil` until the socket has ended.
    // An object, because most sockets have not.
    private var ended: PendingEnd?
    /// The answer to a peer that closed or violated the protocol, sent after earlier messages have been answered.
    private(set) var pending: PendingEnd?
    /// The age of the message under way; `nil` if there is none.
    var unfinished: UnfinishedMessage?

    init(
        stream: StreamConnection, role: WebSocketMachine.Role, subprotocol: String,
        compression agreed: DeflateParameters? = nil, options: Options
    ) {
        self.stream = stream
        self.subprotocol = subprotocol
        self.options = options
        isClient = role == .client
        let compression = agreed.map { agreed in
            MessageCompression(
                agreed, role: role, options: options.values.compression ?? CompressionOptions(),
                pool: stream.reactor.deflatePool)
        }
        unsafe machine = WebSocketMachine(
            role: role, maximumMessageSize: options.values.maximumMessage, compression: compression)
        stream.maximumUnsent = options.values.maximumUnsent
        stream.reactor.counters.webSockets.add(1)
        scheduleKeepalive()
        // The response to the handshake is sent at the end of this turn, if the socket takes it.
        // (A weak reference would cost 48 bytes for as long as the connection lives.)
        stream.reactor.runSoon { if self.stream.unsentBytes == 0 { self.hasOnlyFrames = true } }
    }

    var now: MonotonicTime { stream.reactor.now }

    /// Its slot in the reactor's tables.
    package var slot: UInt32 { stream.slot }

    // MARK: Sending

    /// Sends one message at the end of the turn; does nothing if the socket is not open.
    package func send(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) {
        guard readyState == .open else { return }
        unsafe sendFrame(opcode, payload)
    }

    /// Sends one message at the end of the turn; does nothing if the socket is not open.
    package func send(_ opcode: Opcode, _ payload: [UInt8]) {
        unsafe payload.withUnsafeBytes { unsafe send(opcode, $0) }
    }

    /// Sends a PING of at most 125 bytes, ahead of waiting messages.
    package func ping(_ payload: [UInt8] = []) {
        guard readyState == .open else { return }
        unsafe payload.prefix(125).withUnsafeBytes { unsafe sendControl(.ping, $0) }
    }

    /// RFC 6455 §5.5.3: a peer that has not taken the answer to one PING gets an answer only to the newest.
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

    /// The length of the frame, one of ours, at the start of `bytes`.
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
        // Read once, because each access counts references.
        let (stream, reactor) = (stream, stream.reactor)
        let frame = unsafe Self.encode(opcode, payload, isCompressed: isCompressed, lane: 0, on: reactor)
        reactor.send(frame, to: stream.slot)
    }

    /// Whether permessage-deflate was agreed on.
    var compresses: Bool { compression != nil }

    /// The window bits of compressed messages that this socket can share with others; `nil` if it cannot.
    package var sharedWindowBits: Int? { compression?.sharedWindowBits }

    /// Encodes a server's frame in this turn's arena, for all sockets of the reactor that get it.
    ///
    /// `isCompressed`: `payload` is the result of ``DeflatePool/deflate(_:windowBits:level:)``.
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

    /// Bytes given to send that the socket has not taken, including those of this turn.
    package var bufferedAmount: Int { stream.bufferedBytes }

    /// Begins the closing handshake; does nothing if it has begun.
    ///
    /// RFC 6455 §5.5.1: the only way to close. No message is sent after it, and incoming ones are dropped.
    package func close(_ code: CloseCode = .normal, reason: String = "") {
        let held = unsafe machine.heldBytes
        guard readyState == .open, let frame = unsafe machine.close(code, reason: reason) else { return }
        countHeld(since: held)
        unfinished = nil
        sentCode = code.rawValue
        state = .closing
        stream.send(frame)
        session?.closing()
        stream.resumeReading(for: .any)
        stream.peerWatch = nil
        stream.setDeadline(now.advanced(byNanoseconds: options.values.closeTimeout))
    }

    /// Ends the connection at once, without a closing handshake.
    package func terminate() { terminate(.terminated) }

    private func terminate(_ cause: EndReason) {
        stream.reset()
        report(CloseEvent(code: .abnormal, reason: "", wasClean: false, cause: cause))
    }

    // MARK: Receiving

    package func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        var offset = 0
        let held = unsafe machine.heldBytes
        // Read once for all messages, because each access to a stream's reactor counts references.
        let (stream, reactor) = (stream, stream.reactor)
        let counters = reactor.counters
        // Read once, too. It changes only when the socket ends, and then no message is handed over.
        let session = user
        let before = counters.messagesReceived.current
        defer {
            let isMidMessage = countHeld(since: held)
            if isMidMessage || unfinished != nil {
                noteUnfinished(isNew: counters.messagesReceived.current != before)
            }
        }
        while true {
            if let compression, offset < bytes.count {
                if !compression.mayInflate(inTurn: now.nanoseconds) {
                    waitForTurn()
                    return offset
                }
                if unsafe machine.handsOverParts {
                    unsafe receivePiece(of: bytes, &offset, counters)
                    if !stream.isOpen { break }
                    if stream.isReadingPaused { return offset }
                    continue
                }
            }
            // Nearly all messages are in one frame that is all here.
            if state == .open, let (opcode, range) = unsafe machine.nextWhole(bytes, &offset) {
                unsafe hand(opcode, bytes, range, to: session, counters)
            } else {
                guard let event = unsafe machine.next(bytes, &offset) else { break }
                if case .message(let opcode, .input(let range)) = event, state == .open {
                    unsafe hand(opcode, bytes, range, to: session, counters)
                } else {
                    unsafe handle(event, bytes, counters)
                }
            }
            if !stream.isOpen { break }
            // Stop parsing while the session has paused reading or the peer is not taking our answers.
            if stream.isReadingPaused { return offset }
            if readyState == .open, stream.bufferedBytes(on: reactor) > options.values.maximumUnsent / 2 {
                waitForReader()
                return offset
            }
        }
        // Also stop reading within a large message while there is no room for its answer.
        if readyState == .open, stream.unsentBytes > options.values.maximumUnsent / 2 { waitForReader() }
        return bytes.count
    }

    /// Hands a message over that is in the input.
    @inline(__always)
    private func hand(
        _ opcode: Opcode, _ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>,
        to session: (any WebSocketSession)?, _ counters: ReactorCounters
    ) {
        counters.messagesReceived.add(1)
        let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
        let view = unsafe UnsafeBufferPointer(payload.bindMemory(to: UInt8.self))
        unsafe session?.received(opcode, view.span)
    }

    /// Resumes reading in the next turn, because this one has inflated enough.
    private func waitForTurn() {
        stream.reactor.counters.inflatePauses.add(1)
        stream.pauseReading(for: .inflating)
        stream.reactor.runSoon { [stream] in stream.resumeReading(for: .inflating) }
    }

    /// Resumes reading when everything has been sent.
    private func waitForReader() {
        stream.pauseReading(for: .unsent)
        // If the socket takes everything at the end of the turn, there is no backlog, and so no event when it is empty.
        stream.reactor.runSoon { [weak self] in
            guard let self, stream.unsentBytes == 0 else { return }
            stream.resumeReading(for: .unsent)
        }
    }

    func handle(
        _ event: WebSocketMachine.Event, _ bytes: UnsafeMutableRawBufferPointer, _ counters: ReactorCounters
    ) {
        switch event {
        case .part(let opcode, let payload): unsafe handOver(opcode, payload, of: bytes, isLast: false)
        case .message where readyState != .open: break
        // It has been handed over before.
        case .message(_, .input): break
        case .message(let opcode, .assembled(let whole)):
            counters.messagesReceived.add(1)
            session?.received(opcode, whole.span)
        case .ping(.input(let range)):
            unsafe pong(UnsafeRawBufferPointer(rebasing: bytes[range]))
            session?.pinged(unsafe Self.copy(.input(range), of: bytes))
        case .ping(.assembled(let whole)):
            unsafe whole.withUnsafeBytes { unsafe pong($0) }
            session?.pinged(whole)
        case .pong(let payload):
            if let sent = pingSent { lastRoundTrip = max(0, now.nanoseconds(since: sent)) }
            hasLife()
            session?.ponged(unsafe Self.copy(payload, of: bytes))
        case .close(let code, let reason, let reply):
            let cause: EndReason = state == .open ? .closedByPeer : .closed
            let end = CloseEvent(
                code: code ?? .noStatusReceived, reason: reason, wasClean: true, cause: cause)
            let pending = PendingEnd(reply, end)
            // RFC 6455 §5.5.1: the answer may be delayed until earlier messages have been answered.
            guard state == .open, let session else { return complete(pending) }
            wait(for: pending)
            session.isEnding { [weak self] in self?.completeEnd() }
        case .failed(let code, let reason, let frame): fail(code, reason, frame)
        }
    }

    /// Handles a violation of the protocol or of a limit; `frame` is the CLOSE that reports it.
    func fail(_ code: CloseCode, _ reason: String, _ frame: [UInt8]) {
        stream.reactor.counters.protocolErrors.add(1)
        session?.violated(code, reason)
        wait(for: PendingEnd(frame, CloseEvent(code: code, reason: reason, wasClean: false, cause: .violation)))
        // Messages before the violation are answered first, and their answers may come at the end of the turn.
        stream.reactor.runSoon { [self] in
            if let session { session.isEnding { [weak self] in self?.completeEnd() } } else { completeEnd() }
        }
    }

    private func wait(for end: PendingEnd) {
        pending = end
        stream.setDeadline(now.advanced(byNanoseconds: options.values.closeTimeout))
    }

    /// Ends the connection to a peer that closed or violated the protocol; once.
    private func completeEnd() {
        guard let pending else { return }
        self.pending = nil
        stream.setDeadline(nil)
        if stream.isOpen { complete(pending) }
    }

    private func complete(_ end: PendingEnd) {
        if !end.frame.isEmpty { stream.send(end.frame) }
        stream.finish()
        report(end.event)
    }

    /// Copies the payload of a control frame, at most 125 bytes.
    private static func copy(
        _ payload: WebSocketMachine.Payload, of bytes: UnsafeMutableRawBufferPointer
    ) -> [UInt8] {
        switch payload {
        case .input(let range): unsafe Array(bytes[range])
        case .assembled(let whole): whole
        }
    }

    /// Whether the message that was just passed to its session was compressed.
    package var messageWasCompressed: Bool { unsafe machine.messageWasCompressed }

    package func receivedEnd() {
        guard pending == nil else { return }
        stream.finish()
        report(CloseEvent(code: .abnormal, reason: "", wasClean: false))
    }

    /// Sets its session, which is told at once if the socket has ended already.
    func begin(_ session: any WebSocketSession) {
        if let ended { return session.closed(ended.event) }
        self.session = session
        if readyState == .closing { session.closing() }
    }

    func report(_ event: CloseEvent) {
        guard ended == nil else { return }
        ended = PendingEnd([], event)
        state = .closed
        stream.reactor.counters.webSockets.add(-1)
        let ending = session
        session = nil
        ending?.closed(event)
    }

    package func closed() {
        stream.reactor.counters.heldBytes.add(unsafe -machine.heldBytes)
        // The peer's CLOSE or violation says more than the end of the connection.
        report(pending?.event ?? CloseEvent(code: .abnormal, reason: "", wasClean: false))
    }

    // MARK: Keepalive

    package func deadlinePassed() {
        guard pending == nil else { return completeEnd() }
        switch readyState {
        case .closing, .closed, .connecting:
            // A CLOSE must wait for a frame that has begun before it.
            let isOnItsWay = stream.isOpen && stream.isStillTaking(within: options.values.closeTimeout, answers: true)
            if !isOnItsWay { terminate(.unanswered) }
        case .open:
            if let limit = options.values.maximumUnsentAge, stream.unsentAge >= limit {
                return closeSlowReader("unsent for \(limit / 1_000_000_000) s")
            }
            if isMessageTooLate {
                stream.reactor.counters.messageTimeouts.add(1)
                return close(.policyViolation, reason: "the message did not arrive in time")
            }
            keepAlive()
            scheduleKeepalive()
        }
    }

    private func keepAlive() {
        // A peer that is not being read cannot answer; the age of its unsent bytes decides.
        guard let interval = options.values.pingInterval, !stream.isReadingPaused else { return }
        if let sent = pingSent {
            // Any received byte is a sign of life, not only a PONG.
            if stream.lastReceived > sent {
                hasLife()
            } else if isLate(sent), isLate(stream.peerWatch?.sign ?? sent) {
                // The PING may still wait after other bytes: a peer that takes those is slow, not dead.
                let watch = stream.peerWatch ?? PeerWatch(since: sent)
                guard watch.isAlive(stream, limit: options.values.maximumUnsentAge) else {
                    stream.reactor.counters.evicted.add(1)
                    session?.evicted("no sign of life after a PING")
                    stream.reset()
                    return report(CloseEvent(code: .abnormal, reason: "", wasClean: false, cause: .silent))
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

    /// Forgets the PING, because it has been answered.
    private func hasLife() {
        if let sent = pingSent, isLate(sent) { stream.peerWatch = nil }
        pingSent = nil
    }

    /// Whether the answer to a PING is overdue; the peer is watched only then.
    private func isLate(_ sent: MonotonicTime) -> Bool {
        now.nanoseconds(since: sent) >= options.values.pingTimeout
    }

    func scheduleKeepalive() {
        guard readyState == .open, pending == nil else { return }
        var deadline: MonotonicTime?
        if let interval = options.values.pingInterval {
            let timeout = options.values.pingTimeout
            if let sent = pingSent, isLate(sent), let watch = stream.peerWatch {
                deadline = watch.sign.advanced(byNanoseconds: timeout)
            } else if let sent = pingSent {
                // Signs of life are checked after one interval, although the answer may take longer.
                let isEarly = now.nanoseconds(since: sent) < interval
                deadline = sent.advanced(byNanoseconds: isEarly ? min(interval, timeout) : timeout)
            } else {
                deadline = stream.lastReceived.advanced(byNanoseconds: interval)
            }
        }
        if let limit = options.values.messageTimeout, let unfinished {
            let tooLate = now.advanced(byNanoseconds: limit - unfinished.age(at: now))
            deadline = deadline.map { min($0, tooLate) } ?? tooLate
        }
        if let limit = options.values.maximumUnsentAge, stream.unsentBytes > 0 {
            let tooOld = now.advanced(byNanoseconds: max(0, limit - stream.unsentAge))
            deadline = deadline.map { min($0, tooOld) } ?? tooOld
        }
        stream.setDeadline(deadline)
    }
}

extension WebSocketConnection {
    package func fellBehind() {
        scheduleKeepalive()
        session?.fellBehind()
    }

    package func drained() {
        hasOnlyFrames = true
        stream.resumeReading(for: .unsent)
        scheduleKeepalive()
        session?.drained()
    }

    package func overflowed() {
        closeSlowReader("more than \(options.values.maximumUnsent) bytes unsent")
    }

    /// Closes the connection of a peer that takes too little: the CLOSE follows a frame that has begun, and the rest is
    /// dropped.
    package func closeSlowReader(_ reason: String) {
        if readyState == .open, !isClient { stream.reactor.counters.slowReaders.add(1) }
        if readyState == .open { session?.evicted(reason) }
        closeEmpty(.tryAgainLater, reason: reason, cause: .slow)
    }

    /// Closes the connection with a CLOSE, and drops all its unsent frames.
    package func closeEmpty(_ code: CloseCode, reason: String, cause: EndReason = .closed) {
        // Only a server's frames, which are not masked, can be distinguished once they are encoded.
        guard readyState == .open, !isClient else { return stream.reset() }
        stream.maximumUnsent = .max
        // Earlier, that would drop the response to the handshake.
        if hasOnlyFrames { unsafe stream.dropUnsent { unsafe frameCount($0) } }
        close(code, reason: reason)
        // The session ends now; the closing handshake may take longer.
        report(CloseEvent(code: code, reason: reason, wasClean: false, cause: cause))
    }
}
