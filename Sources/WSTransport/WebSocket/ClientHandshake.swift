/// Performs the client's side of the opening handshake on a connected stream (RFC 6455 §4.1).
///
/// Runs on the connection's reactor.
final class ClientHandshake: StreamDriver {
    /// The request to make.
    struct Request {
        let url: WebSocketURL
        let options: ClientOptions
        /// Fields of the request in addition to the handshake's own.
        let fields: HeaderFields
        /// `nil` for no TLS.
        let security: Security?
        let deadline: MonotonicTime
    }

    /// How the server is identified.
    struct Security {
        let context: TLSContext
        /// The name, or numeric address, that its certificate must have.
        let name: String
        let port: UInt16
    }

    /// The outcome.
    enum Outcome {
        /// Set the driver of the stream at once, because the server's first bytes may have arrived already.
        case opened(Handshake.Agreement, HTTPResponseHead)
        case refused(AnswerReader.Answer)
        case failed(ConnectError)
    }

    private enum Phase { case securing, asking, done }

    private let stream: StreamConnection
    private let request: Request
    private let key = Handshake.makeKey()
    private let completion: (Outcome) -> Void
    private var phase = Phase.securing
    private var reader = AnswerReader { $0 == 101 }

    private init(_ stream: StreamConnection, _ request: Request, _ completion: @escaping (Outcome) -> Void) {
        self.stream = stream
        self.request = request
        self.completion = completion
    }

    /// Begins.
    ///
    /// `completion` is called once; unless the handshake succeeded, the stream has been reset by then.
    static func begin(
        _ stream: StreamConnection, _ request: Request, _ completion: @escaping (Outcome) -> Void
    ) {
        let handshake = ClientHandshake(stream, request, completion)
        stream.driver = handshake
        stream.setDeadline(request.deadline)
        guard let security = request.security else { return handshake.ask() }
        if !stream.secure(asClient: security.context, host: security.name, port: security.port) {
            handshake.fail(.insecure(.failed("the name \(security.name) cannot be verified")))
        }
    }

    /// The server has been verified, so the request can be sent.
    func drained() { if case .securing = phase, stream.isSecured { ask() } }

    private func ask() {
        phase = .asking
        let options = request.options
        stream.send(
            Handshake.request(
                host: request.url.endpoint.hostField, path: request.url.target, key: key, origin: options.origin,
                subprotocols: options.subprotocols, compression: options.webSocket.compression, fields: request.fields))
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard case .asking = phase else { return bytes.count }
        do throws(HTTPParseError) {
            let (taken, answer) = try unsafe reader.take(UnsafeRawBufferPointer(bytes))
            if let answer { answered(answer) }
            return taken
        } catch {
            fail(.invalidAnswer(error.inAnswer))
            return bytes.count
        }
    }

    private func answered(_ answer: AnswerReader.Answer) {
        guard answer.head.status == 101 else { return end(.refused(answer)) }
        do throws(Handshake.ResponseError) {
            let agreed = try Handshake.checkResponse(
                answer.head, key: key, offered: request.options.subprotocols,
                compression: request.options.webSocket.compression)
            end(.opened(agreed, answer.head))
        } catch {
            fail(.invalidAnswer(error.reason))
        }
    }

    private func fail(_ error: ConnectError) { end(.failed(error)) }

    private func end(_ outcome: Outcome) {
        if case .done = phase { return }
        phase = .done
        if case .opened = outcome {
            stream.setDeadline(nil)
            return completion(outcome)
        }
        stream.reset()
        completion(outcome)
    }

    func receivedEnd() { end(insteadOf: .connectionLost) }

    func deadlinePassed() { end(insteadOf: .timedOut) }

    /// A response that was understood says more than the lost connection, or the timeout, which ended its body.
    private func end(insteadOf error: ConnectError) {
        guard var answer = reader.begun else { return fail(error) }
        answer.body = []
        end(.refused(answer))
    }

    func closed() {
        if let failure = stream.tlsFailure { return fail(.insecure(failure)) }
        fail(stream.failure.map { .unreachable($0) } ?? .connectionLost)
    }

    func fellBehind() {}

    func overflowed() {}
}
