internal import Synchronization

/// The reactor's side of a ``WebSocket``: passes received messages to the core, and sends what the core posts.
///
/// Not an object: each socket would have one. Runs on the connection's reactor.
struct SocketSession {
    let connection: WebSocketConnection
    let core: SocketCore
    /// What only messages in parts, and an end that waits, need.
    private var rare: Rare? { unsafe core.rare }
    /// How often it checks whether the socket's user only sends, in nanoseconds.
    private static let lookInterval: Int64 = 200_000_000

    final class Rare {
        /// Ends the connection to a peer that closed or violated the protocol.
        var end: (() -> Void)?
        /// Whether a message is being sent whose last part is still to come.
        var isSending = false
        /// Messages that wait until it is complete.
        fileprivate var delayed: [Delayed] = []
        /// The size of these messages, in bytes.
        var delayedBytes = 0
        /// How many bytes of the message that is being received have been delivered.
        var received = 0
    }

    private var madeRare: Rare {
        if let rare { return rare }
        let made = Rare()
        unsafe core.rare = made
        return made
    }

    /// The size of the messages that wait until another one is complete, in bytes.
    var delayedBytes: Int { rare?.delayedBytes ?? 0 }

    /// A message that waits until another one is complete.
    fileprivate struct Delayed {
        let type: Opcode
        let body: MessageBody
        /// Whether the core counts it as posted.
        let isPosted: Bool
    }

    // MARK: From the socket

    func send(_ type: Opcode, _ body: MessageBody) {
        guard connection.readyState == .open else {
            _ = core.sent(body.count, unsent: unsent)
            return
        }
        if waits(type, isPosted: true, body) { return }
        unsafe body.withBytes { unsafe connection.send(type, $0) }
        if core.sent(body.count, unsent: unsent) { update() }
    }

    /// How much is unsent now.
    private var unsent: SocketCore.Unsent {
        let (stream, reactor) = (connection.stream, connection.stream.reactor)
        return SocketCore.Unsent(
            count: stream.bufferedBytes(on: reactor), turn: stream.unsentBytes == 0 ? reactor.remote.turn : 0)
    }

    /// Delays a message while another is sent in parts; `false` if it can be sent now.
    func waits(_ type: Opcode, isPosted: Bool, _ body: @autoclosure () -> MessageBody) -> Bool {
        guard let rare, rare.isSending, !type.isControl else { return false }
        let body = body()
        rare.delayed.append(Delayed(type: type, body: body, isPosted: isPosted))
        rare.delayedBytes += body.count
        return true
    }

    func sendPart(_ type: Opcode, _ part: [UInt8], isFirst: Bool, isLast: Bool) {
        connection.sendPart(type, part, isFirst: isFirst, isLast: isLast)
        let rare = madeRare
        rare.isSending = !isLast
        core.sentPart(part.count, unsent: unsent)
        if isLast { sendDelayed(rare) }
        update()
    }

    private func sendDelayed(_ rare: Rare) {
        let messages = rare.delayed
        (rare.delayed, rare.delayedBytes) = ([], 0)
        for message in messages {
            unsafe message.body.withBytes { unsafe connection.send(message.type, $0) }
            if message.isPosted { _ = core.sent(message.body.count, unsent: unsent) }
        }
    }

    /// Sends a message that the core counts as unsent, not as posted.
    func sendAtOnce(_ type: Opcode, _ bytes: UnsafeRawBufferPointer) {
        if waits(type, isPosted: false, MessageBody(unsafe Array(bytes))) { return }
        unsafe connection.send(type, bytes)
        update()
    }

    /// Tells at the end of this turn how much is unsent then: only then is it known how much the system has accepted.
    func update() {
        guard unsafe !core.isUpdateDue else { return }
        unsafe core.isUpdateDue = true
        connection.stream.reactor.settle(core)
    }

    func turnWasSent() {
        unsafe core.isUpdateDue = false
        core.settled(unsent)
    }

    func close(_ code: CloseCode, reason: String) {
        unsafe core.isClosing = true
        connection.close(code, reason: reason)
        // If the peer has closed before, there is nothing left to wait for.
        caughtUp()
    }

    func ping(_ payload: [UInt8]) { connection.ping(payload) }

    func closeSlow() { connection.closeSlowReader("more than \(core.limits.unsent) bytes unsent") }

    func terminate() { connection.terminate() }

    /// Resumes reading after there was no room for received messages.
    func resumeReading() { if !core.isFull { connection.stream.resumeReading() } }

    /// Ends the connection when everything has been handled that arrived before the peer closed or violated the
    /// protocol.
    func caughtUp() {
        let end = rare?.end.take()
        end?()
    }

    // MARK: From the connection

    /// Waits, because tasks answer in a later turn than the one in which the messages arrived.
    func isEnding(_ end: @escaping () -> Void) {
        madeRare.end = end
        // Messages that they have sent may still be in the reactor's mailbox, so the end is posted there, too, after
        // them.
        if core.awaitsCatchingUp() { look() } else { core.run { $0?.caughtUp() } }
    }

    /// Ends the connection when requests have been answered and the user of the socket only sends.
    private func look() {
        connection.stream.reactor.run(afterNanoseconds: Self.lookInterval) { [weak core] in
            guard let core, let session = core.session, session.rare?.end != nil else { return }
            if core.onlySends() { session.caughtUp() } else { session.look() }
        }
    }

    func receivedPart(_ opcode: Opcode, _ part: Span<UInt8>, isLast: Bool) {
        guard unsafe !core.isClosing else { return }
        let rare = madeRare
        rare.received += part.count
        guard rare.received <= connection.options.values.maximumMessage else { return connection.failTooBig() }
        let isFirst = rare.received == part.count
        if isLast { rare.received = 0 }
        let bytes = unsafe part.withUnsafeBufferPointer { unsafe Array($0) }
        let isFull = core.received(
            opcode, bytes, isCompressed: connection.messageWasCompressed, isFirst: isFirst, isLast: isLast)
        if isFull { connection.stream.pauseReading() }
    }

    func pinged(_ payload: [UInt8]) {
        if core.happened(.payload(.ping(payload))) { connection.stream.pauseReading() }
    }

    func ponged(_ payload: [UInt8]) {
        core.answerPings(payload)
        if core.happened(.payload(.pong(payload))) { connection.stream.pauseReading() }
    }

    func fellBehind() {
        core.settled(unsent)
        core.state.withLock { $0.observation }?.fellBehind()
    }

    func drained() { _ = core.sent(0, unsent: unsent) }

    func closed(_ event: CloseEvent) {
        core.link.release(on: connection.stream.reactor)
        unsafe (core.connection, core.rare) = (nil, nil)
        core.ending()
        // A slow reader is released at once; its closing handshake may take longer.
        guard !connection.stream.isOpen else { return core.finished(event) }
        // RFC 6455 §7.1.4: the WebSocket ends with TCP. If the process ends then, the answer to the CLOSE has been
        // sent.
        connection.stream.onEnd { [core] in core.finished(event) }
    }
}

extension SocketCore: WebSocketSession, TurnSender {
    /// The reactor's side; `nil` if there is no connection (any more).
    var session: SocketSession? {
        guard let connection else { return nil }
        return SocketSession(connection: connection, core: self)
    }

    /// Becomes the session of `connection`.
    ///
    /// The reactor's thread.
    func attach(to connection: WebSocketConnection) {
        // A server that stops finds its sockets by their links.
        link.bind(self, on: connection.stream.reactor)
        self.connection = connection
        // Senders that can wait do so; the core limits the others.
        connection.stream.maximumUnsent = .max
        if limits.receivesParts { connection.handOverParts() }
    }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard unsafe !isClosing else { return }
        if limits.receivesParts { return receivedPart(opcode, payload, isLast: true) }
        guard let isCompressed = unsafe uncounted?._withUnsafeGuaranteedRef({ $0.messageWasCompressed }) else { return }
        let isFull = unsafe payload.withUnsafeBytes { bytes in
            unsafe received(ReceivedBytes(opcode, bytes, isCompressed: isCompressed))
        }
        if isFull { connection?.stream.pauseReading() }
    }

    func receivedPart(_ opcode: Opcode, _ part: Span<UInt8>, isLast: Bool) {
        session?.receivedPart(opcode, part, isLast: isLast)
    }

    func pinged(_ payload: [UInt8]) { session?.pinged(payload) }

    func ponged(_ payload: [UInt8]) { session?.ponged(payload) }

    func fellBehind() { session?.fellBehind() }

    func violated(_ code: CloseCode, _ reason: String) { state.withLock { $0.observation }?.violated(code, reason) }

    func evicted(_ reason: String) { state.withLock { $0.observation }?.evicted(reason) }

    func drained() { session?.drained() }

    func isEnding(_ end: @escaping () -> Void) { session?.isEnding(end) ?? end() }

    func closed(_ event: CloseEvent) { session?.closed(event) }

    func turnWasSent() { session?.turnWasSent() }

    /// Reports the end of the connection.
    fileprivate func finished(_ event: CloseEvent) {
        guard !event.wasClean else { return finished(event, error: nil) }
        // A lost connection has no code of its own: 1001, and 1006 at the end, as in browsers.
        let code = event.code == .abnormal ? .goingAway : event.code
        finished(event, error: (code, event.reason.isEmpty ? "\(event.cause)" : event.reason))
    }
}

/// The stream of a message that a socket received: its bytes belong to the socket, so it can only be closed.
extension SocketCore: ByteStream {
    func read(_ maximum: Int?) async throws -> [UInt8]? { throw WS.Error.busy }

    func write(_ bytes: [UInt8]) async throws { throw WS.Error.busy }

    func flush() async throws {}

    /// Ends the connection at once, without a closing handshake.
    func close() async {
        await withCheckedContinuation { continuation in
            self.run { session in
                session?.terminate()
                continuation.resume()
            }
        }
    }
}
