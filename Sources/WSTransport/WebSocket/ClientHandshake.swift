/// Connects, and does the client's side of the opening handshake (RFC 6455 §4.1).
///
/// Runs on the connection's reactor.
final class ClientHandshake: StreamDriver {
    /// What is asked, of whom.
    struct Attempt: Sendable {
        let address: SocketAddress
        let host: String
        let path: String
        let options: ClientOptions
        let timeout: Int64
        /// `nil`: without TLS.
        let security: Security?
    }

    /// How the server is known.
    struct Security: Sendable {
        let context: TLSContext
        /// The name, or numeric address, that its certificate must have.
        let name: String
    }

    private enum Phase {
        case connecting
        case head
        case body(status: Int, length: Int)
        case done
    }

    /// The longest head of an answer, and the longest body of a refusal that is read, in bytes.
    private static let maximumHead = 16 * 1024
    private static let maximumBody = 64 * 1024

    private let stream: StreamConnection
    private let attempt: Attempt
    private let key = Handshake.makeKey()
    private let completion: (Result<WebSocketConnection, ConnectError>) -> Void
    private var phase = Phase.connecting
    private var body: [UInt8] = []

    private init(
        stream: StreamConnection, attempt: Attempt,
        completion: @escaping (Result<WebSocketConnection, ConnectError>) -> Void
    ) {
        self.stream = stream
        self.attempt = attempt
        self.completion = completion
    }

    /// Starts `attempt`.
    ///
    /// `completion` is called once: with a socket whose session is to be set at once, for its first message may
    /// have come already, or with the reason why there is none.
    static func begin(
        _ attempt: Attempt, on reactor: Reactor,
        _ completion: @escaping (Result<WebSocketConnection, ConnectError>) -> Void
    ) {
        do throws(Errno) {
            let descriptor = try Socket.connecting(to: attempt.address)
            let stream = reactor.adopt(descriptor, peer: attempt.address, isConnecting: true)
            if let security = attempt.security, !stream.secure(asClient: security.context, host: security.name) {
                stream.reset()
                return completion(.failure(.insecure(.failed("the name \(security.name) cannot be verified"))))
            }
            stream.driver = ClientHandshake(stream: stream, attempt: attempt, completion: completion)
            stream.setDeadline(reactor.now.advanced(byNanoseconds: attempt.timeout))
        } catch {
            completion(.failure(.unreachable(error)))
        }
    }

    /// The socket is writable for the first time, or its TLS handshake is done: it is connected.
    func drained() {
        guard case .connecting = phase else { return }
        phase = .head
        let options = attempt.options
        stream.send(
            Handshake.request(
                host: attempt.host, path: attempt.path, key: key, origin: options.origin,
                subprotocols: options.subprotocols, compression: options.webSocket.compression, fields: options.fields))
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        switch phase {
        case .connecting, .done: return bytes.count
        case .head: return unsafe receivedHead(UnsafeRawBufferPointer(bytes))
        case .body(let status, let length):
            let part = min(bytes.count, length - body.count)
            unsafe body.append(contentsOf: bytes[..<part])
            if body.count == length { fail(.refused(status: status, body: body)) }
            return bytes.count
        }
    }

    private func receivedHead(_ bytes: UnsafeRawBufferPointer) -> Int {
        var taken = 0
        do throws(HTTPParseError) {
            while true {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken...])
                guard
                    let (head, count) = try unsafe HTTPHeadParser.parseResponse(rest, maximumHeadSize: Self.maximumHead)
                else { return taken }
                taken += count
                // RFC 9110 §15.2: other interim answers may precede the one that counts.
                if (100..<200).contains(head.status), head.status != 101 { continue }
                answered(head)
                return taken
            }
        } catch {
            fail(.invalidAnswer("\(error)"))
            return bytes.count
        }
    }

    private func answered(_ head: HTTPResponseHead) {
        guard head.status == 101 else { return refused(head) }
        do throws(Handshake.ResponseError) {
            let agreed = try Handshake.checkResponse(
                head, key: key, offered: attempt.options.subprotocols,
                compression: attempt.options.webSocket.compression)
            phase = .done
            let socket = WebSocketConnection(
                stream: stream, role: .client, subprotocol: agreed.subprotocol ?? "", compression: agreed.compression,
                options: WebSocketConnection.Options(attempt.options.webSocket))
            stream.driver = socket
            completion(.success(socket))
        } catch {
            fail(.invalidAnswer(error.reason))
        }
    }

    private func refused(_ head: HTTPResponseHead) {
        let length = head.fields.only("Content-Length").flatMap { Int($0) } ?? 0
        guard (1...Self.maximumBody).contains(length) else {
            return fail(.refused(status: head.status, body: []))
        }
        phase = .body(status: head.status, length: length)
    }

    private func fail(_ error: ConnectError) {
        if case .done = phase { return }
        phase = .done
        completion(.failure(error))
        stream.reset()
    }

    func receivedEnd() {
        // What was understood of a refusal says more than that it was cut off.
        if case .body(let status, _) = phase { return fail(.refused(status: status, body: [])) }
        fail(.connectionLost)
    }

    func deadlinePassed() { fail(.timedOut) }

    func closed() {
        if let failure = stream.tlsFailure { return fail(.insecure(failure)) }
        fail(stream.failure.map { .unreachable($0) } ?? .connectionLost)
    }

    func fellBehind() {}

    func overflowed() {}
}
