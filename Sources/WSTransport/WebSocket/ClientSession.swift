/// What a client's WebSocket receives goes to its inbox, what is sent waits for room.
///
/// Runs on the client reactor.
final class ClientSession: WebSocketSession {
    typealias Sent = CheckedContinuation<Result<Void, ClosedError>, Never>

    private let socket: WebSocketConnection
    private let inbox: ClientInbox
    private let maximumUnsent: Int
    private let gone: () -> Void
    private var senders: [Sent] = []
    private var isClosing = false

    /// Takes the place of `socket`'s session; `gone` is called once, at the end.
    init(socket: WebSocketConnection, inbox: ClientInbox, maximumUnsent: Int, gone: @escaping () -> Void) {
        self.socket = socket
        self.inbox = inbox
        self.maximumUnsent = maximumUnsent
        self.gone = gone
        socket.session = self
    }

    /// Sends a message; `sent` is told when there is room for another.
    func send(_ opcode: Opcode, _ payload: [UInt8], _ sent: Sent) {
        guard socket.readyState == .open else {
            return sent.resume(returning: .failure(Self.lost))
        }
        socket.send(opcode, payload)
        // What the kernel took at once is known only after this turn.
        socket.stream.reactor.runSoon { [weak self] in
            guard let self, socket.readyState == .open, socket.bufferedAmount > maximumUnsent else {
                return sent.resume(returning: .success(()))
            }
            senders.append(sent)
        }
    }

    /// The error of one who uses a socket that is on its way out.
    static var lost: ClosedError { ClosedError(event: CloseEvent(code: .abnormal, reason: "", wasClean: false)) }

    /// Begins the closing handshake; what still comes is for nobody.
    func close(_ code: CloseCode, reason: String) {
        isClosing = true
        socket.close(code, reason: reason)
    }

    /// Reads on after ``ClientInbox`` was full.
    func resumeReading() { if !inbox.isFull { socket.stream.resumeReading() } }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard !isClosing else { return }
        let bytes = unsafe payload.withUnsafeBufferPointer { unsafe Array($0) }
        if inbox.append(ReceivedMessage(opcode: opcode, bytes: bytes)) { socket.stream.pauseReading() }
    }

    func drained() {
        // The socket reads on by itself now; a reader that is behind still is.
        if inbox.isFull, !isClosing { socket.stream.pauseReading() }
        release(.success(()))
    }

    func closed(_ event: CloseEvent) {
        release(.failure(ClosedError(event: event)))
        inbox.finish(event)
        gone()
    }

    private func release(_ result: Result<Void, ClosedError>) {
        let waiting = senders
        senders = []
        for sender in waiting { sender.resume(returning: result) }
    }
}
