internal import Synchronization

/// The reactor's side of a ``WebSocket``: passes received messages to the core, and sends what the core posts.
///
/// Runs on the connection's reactor.
final class SocketSession: WebSocketSession, TurnSender {
    let connection: WebSocketConnection
    let core: SocketCore
    /// What only messages in parts, and an end that waits, need.
    private var rare: Rare?
    /// How often it checks whether the socket's user only sends, in nanoseconds.
    private static let lookInterval: Int64 = 200_000_000

    /// Becomes the session of `connection`.
    init(_ connection: WebSocketConnection, _ core: SocketCore) {
        self.connection = connection
        self.core = core
        // A server that stops finds its sockets by their links.
        core.link.bind(self, on: connection.stream.reactor)
        unsafe core.session = self
        // Senders that can wait do so; the core limits the others.
        connection.stream.maximumUnsent = .max
        if core.limits.receivesParts { connection.handOverParts() }
    }

    private final class Rare {
        /// Ends the connection to a peer that closed or violated the protocol.
        var end: (() -> Void)?
        /// Whether a message is being sent whose last part is still to come.
        var isSending = false
        /// Messages that wait until it is complete.
        var delayed: [Delayed] = []
        /// The size of these messages, in bytes.
        var delayedBytes = 0
        /// How many bytes of the message that is being received have been delivered.
        var received = 0
    }

    private var madeRare: Rare {
        if let rare { return rare }
        let made = Rare()
        rare = made
        return made
    }

    /// The size of the messages that wait until another one is complete, in bytes.
    var delayedBytes: Int { rare?.delayedBytes ?? 0 }

    /// A message that waits until another one is complete.
    private struct Delayed {
        let type: Opcode
        let body: MessageBody
        /// Whether the core counts it as posted.
        let isPosted: Bool
    }

    // MARK: From the socket

    func send(_ type: Opcode, _ body: MessageBody) {
        guard connection.readyState == .open else { return core.sent(body.count, unsent: 0) }
        if waits(type, isPosted: true, body) { return }
        unsafe body.withBytes { unsafe connection.send(type, $0) }
        core.sent(body.count, unsent: connection.bufferedAmount)
        update()
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
        core.sentPart(part.count, unsent: connection.bufferedAmount)
        if isLast { sendDelayed(rare) }
        update()
    }

    private func sendDelayed(_ rare: Rare) {
        let messages = rare.delayed
        (rare.delayed, rare.delayedBytes) = ([], 0)
        for message in messages {
            unsafe message.body.withBytes { unsafe connection.send(message.type, $0) }
            if message.isPosted { core.sent(message.body.count, unsent: connection.bufferedAmount) }
        }
    }

    /// Sends a message that the core counts as unsent, not as posted.
    func sendAtOnce(_ type: Opcode, _ bytes: UnsafeRawBufferPointer) {
        if waits(type, isPosted: false, MessageBody(unsafe Array(bytes))) { return }
        unsafe connection.send(type, bytes)
        update()
    }

    /// How much the system has accepted is known only at the end of this turn.
    func update() {
        guard unsafe !core.isUpdateDue else { return }
        unsafe core.isUpdateDue = true
        connection.stream.reactor.settle(self)
    }

    func turnWasSent() {
        unsafe core.isUpdateDue = false
        core.settled(unsent: connection.bufferedAmount)
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
        connection.stream.reactor.run(afterNanoseconds: Self.lookInterval) { [weak self] in
            guard let self, rare?.end != nil else { return }
            if core.onlySends() { caughtUp() } else { look() }
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

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard unsafe !core.isClosing else { return }
        guard !core.limits.receivesParts else { return receivedPart(opcode, payload, isLast: true) }
        let message = WebSocketMessage(
            opcode, copying: payload, masked: !core.isClient, compress: connection.messageWasCompressed,
            stream: core, held: payload.count + SocketCore.overhead)
        if core.received(message) { connection.stream.pauseReading() }
    }

    func pinged(_ payload: [UInt8]) {
        if core.happened(.payload(.ping(payload))) { connection.stream.pauseReading() }
    }

    func ponged(_ payload: [UInt8]) {
        core.ponged(payload)
        if core.happened(.payload(.pong(payload))) { connection.stream.pauseReading() }
    }

    func fellBehind() { core.state.withLock { $0.observation }?.fellBehind() }

    func violated(_ code: CloseCode, _ reason: String) {
        core.state.withLock { $0.observation }?.violated(code, reason)
    }

    func evicted(_ reason: String) { core.state.withLock { $0.observation }?.evicted(reason) }

    func drained() {
        core.sent(0, unsent: connection.bufferedAmount)
    }

    func closed(_ event: CloseEvent) {
        core.link.release(on: connection.stream.reactor)
        unsafe core.session = nil
        core.ending()
        // A slow reader is released at once; its closing handshake may take longer.
        guard !connection.stream.isOpen else { return core.finished(event) }
        // RFC 6455 §7.1.4: the WebSocket ends with TCP. If the process ends then, the answer to the CLOSE has been
        // sent.
        connection.stream.onEnd { [core] in core.finished(event) }
    }
}

extension SocketCore {
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
