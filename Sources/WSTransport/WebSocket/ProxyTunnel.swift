/// Asks a proxy for a tunnel to a server (RFC 9110 §9.3.6).
///
/// Runs on the connection's reactor.
final class ProxyTunnel: StreamDriver {
    typealias Completion = (Result<Void, ConnectError>) -> Void

    private let stream: StreamConnection
    private var reader = AnswerReader { (200..<300).contains($0) }
    private var completion: Completion?

    private init(_ stream: StreamConnection, _ completion: @escaping Completion) {
        self.stream = stream
        self.completion = completion
    }

    /// Asks for a tunnel to `endpoint`; on success `stream` has no driver and leads there.
    static func begin(
        _ stream: StreamConnection, to endpoint: Endpoint, credentials: BasicCredentials?, deadline: MonotonicTime,
        _ completion: @escaping Completion
    ) {
        stream.driver = ProxyTunnel(stream, completion)
        stream.setDeadline(deadline)
        // RFC 9112 §3.2.3: the port is always given.
        var fields: HeaderFields = ["Host": endpoint.description]
        if let credentials { fields.append("Proxy-Authorization", credentials.fieldValue) }
        var request = Array("CONNECT \(endpoint) HTTP/1.1\r\n".utf8)
        Handshake.appendFields([fields], to: &request)
        stream.send(request)
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        do throws(HTTPParseError) {
            let (taken, answer) = try unsafe reader.take(UnsafeRawBufferPointer(bytes))
            if let answer {
                guard (200..<300).contains(answer.head.status) else { return refused(answer, bytes.count) }
                // Nothing has been sent to the server yet.
                guard taken == bytes.count else { return failed("bytes came before the server's", bytes.count) }
                finish(.success(()))
            }
            return taken
        } catch {
            return failed("its answer is not that of a proxy", bytes.count)
        }
    }

    private func refused(_ answer: AnswerReader.Answer, _ count: Int) -> Int {
        finish(.failure(.proxyRefused(status: answer.head.status, body: answer.body)))
        return count
    }

    private func failed(_ reason: String, _ count: Int) -> Int {
        finish(.failure(.proxyFailed(reason)))
        return count
    }

    private func finish(_ result: Result<Void, ConnectError>) {
        guard let completion else { return }
        self.completion = nil
        stream.driver = nil
        completion(result)
        if case .failure = result { stream.reset() }
    }

    func receivedEnd() {
        guard let answer = reader.begun else { return finish(.failure(.proxyFailed("it hung up"))) }
        finish(.failure(.proxyRefused(status: answer.head.status, body: [])))
    }

    func deadlinePassed() { finish(.failure(.timedOut)) }

    func closed() { finish(.failure(.proxyFailed(stream.failure.map { "\($0)" } ?? "it hung up"))) }

    func fellBehind() {}

    func drained() {}

    func overflowed() {}
}

/// An HTTP proxy that connects to servers by CONNECT (RFC 9110 §9.3.6).
package struct ClientProxy: Hashable, Sendable {
    /// The address of the proxy.
    package let endpoint: Endpoint
    /// The credentials for `Proxy-Authorization`; `nil` for none.
    package let credentials: BasicCredentials?

    /// Why a text does not name a proxy.
    package enum ParseError: Error, Equatable, Sendable, CustomStringConvertible {
        /// A scheme other than `http`, or none.
        case unknownScheme
        case malformedUser
        case malformedAddress
        /// Something after the port.
        case surplus

        /// A phrase for people.
        package var description: String {
            switch self {
            case .unknownScheme: "expected http://HOST:PORT"
            case .malformedUser: "the user or the password is malformed"
            case .malformedAddress: "the host or the port is missing or malformed"
            case .surplus: "nothing may follow the port"
            }
        }
    }

    /// Makes a proxy at `endpoint`.
    package init(endpoint: Endpoint, credentials: BasicCredentials? = nil) {
        self.endpoint = endpoint
        self.credentials = credentials
    }

    /// Parses `http://user:password@host:port`; the default port is 80.
    package init(parsing text: String) throws(ParseError) {
        guard text.prefix(7).isSameIgnoringCase("http://") else { throw .unknownScheme }
        let url: WebSocketURL
        do throws(WebSocketURL.ParseError) {
            url = try WebSocketURL(parsing: text)
        } catch {
            switch error {
            case .malformedUser: throw .malformedUser
            case .unknownScheme, .malformedHost, .malformedPort: throw .malformedAddress
            case .malformedPath, .fragment: throw .surplus
            }
        }
        guard url.target == "/" else { throw .surplus }
        self.init(endpoint: url.endpoint, credentials: url.credentials)
    }
}
