internal import Synchronization

/// The reactor's side of a ``WebSocket``: what comes goes to the core, what the core has room for is sent.
///
/// Runs on the connection's reactor.
final class SocketSession: WebSocketSession {
    private let connection: WebSocketConnection
    private let core: SocketCore
    /// What its messages name as their stream.
    private let stream: SocketStream
    private var isUpdateDue = false
    private var isClosing = false
    /// Ends the connection to a peer that broke the protocol.
    private var fail: (() -> Void)?

    /// Takes the place of `connection`'s session.
    init(_ connection: WebSocketConnection, _ core: SocketCore) {
        self.connection = connection
        self.core = core
        stream = SocketStream(core.link)
        core.link.bind(self, on: connection.stream.reactor)
        // Who waits for room is let wait; the core looks after the others.
        connection.stream.maximumUnsent = .max
    }

    // MARK: From the socket

    func send(_ type: Opcode, _ payload: [UInt8]) {
        guard connection.readyState == .open else { return core.sent(payload.count, unsent: 0) }
        connection.send(type, payload)
        core.sent(payload.count, unsent: connection.bufferedAmount)
        update()
    }

    /// What the system took at once is known only after this turn.
    private func update() {
        guard !isUpdateDue else { return }
        isUpdateDue = true
        connection.stream.reactor.runSoon { [self] in
            isUpdateDue = false
            core.sent(0, unsent: connection.bufferedAmount)
        }
    }

    func close(_ code: CloseCode, reason: String) {
        isClosing = true
        connection.close(code, reason: reason)
    }

    func closeSlow() { connection.closeSlowReader("more than \(core.limits.unsent) bytes unsent") }

    func terminate() { connection.terminate() }

    /// Reads on after there was no room for what came.
    func readOn() { if !core.isFull { connection.stream.resumeReading() } }

    /// Whoever receives has dealt with all that came before the peer broke the protocol.
    func caughtUp() {
        let fail = fail.take()
        fail?()
    }

    // MARK: From the connection

    /// Tasks answer in a later turn than the one that brought the messages.
    func isFailing(_ fail: @escaping () -> Void) {
        if core.awaitsCatchingUp() { self.fail = fail } else { fail() }
    }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard !isClosing else { return }
        let bytes = unsafe payload.withUnsafeBufferPointer { unsafe Array($0) }
        let message = WebSocketMessage(
            opcode, bytes, masked: !core.isClient, compress: connection.messageWasCompressed, stream: stream)
        if core.received(message) { connection.stream.pauseReading() }
    }

    func pinged(_ payload: [UInt8]) {
        if core.happened(.payload(.ping(payload))) { connection.stream.pauseReading() }
    }

    func ponged(_ payload: [UInt8]) {
        core.state.withLock { $0.lastPong = .now }
        if core.happened(.payload(.pong(payload))) { connection.stream.pauseReading() }
    }

    func drained() {
        core.sent(0, unsent: connection.bufferedAmount)
    }

    func closed(_ event: CloseEvent) {
        core.link.release(on: connection.stream.reactor)
        core.ending()
        // A slow reader is let go at once; its closing handshake may take its time.
        guard !connection.stream.isOpen else { return core.finished(event) }
        // RFC 6455 §7.1.4: it is over when TCP is. Whoever ends the process then has let the answer to the CLOSE go out.
        connection.stream.onEnd { [core] in core.finished(event) }
    }
}

extension SocketCore {
    /// The connection has ended; `event` says how.
    fileprivate func finished(_ event: CloseEvent) {
        guard !event.wasClean else { return finished(event, error: nil) }
        // A connection that is lost has no code of its own: 1001, and 1006 at the end, as browsers say it.
        let code = event.code == .abnormal ? .goingAway : event.code
        finished(event, error: (code, event.reason.isEmpty ? "the connection was lost" : event.reason))
    }
}

/// The stream of a message that a socket received: its bytes belong to the socket, and only its end can be had.
final class SocketStream: ByteStream {
    private let link: ReactorLink

    init(_ link: ReactorLink) { self.link = link }

    func read(_ maximum: Int?) async throws -> [UInt8]? { throw WS.Error.busy }

    func write(_ bytes: [UInt8]) async throws { throw WS.Error.busy }

    func flush() async throws {}

    /// Ends the connection at once, without a closing handshake.
    func close() async {
        await withCheckedContinuation { continuation in
            link.run(with: SocketSession.self) { session in
                session?.terminate()
                continuation.resume()
            }
        }
    }
}
