/// Opens a WebSocket for a URL: name resolution, connection, proxy, TLS, redirects, the opening handshake.
///
/// Runs on its reactor.
final class ClientOpening {
    typealias Completion = (Result<ClientOpened, ConnectError>) -> Void

    private let reactor: Reactor
    private let options: ClientOptions
    private let deadline: MonotonicTime
    private let origin: WebSocketURL
    private var url: WebSocketURL
    private var redirects = 0
    private var completion: Completion?
    private var dial: ClientDial?
    private var stream: StreamConnection?

    private init(
        _ url: WebSocketURL, _ options: ClientOptions, _ reactor: Reactor, _ completion: @escaping Completion
    ) {
        self.reactor = reactor
        self.options = options
        self.url = url
        origin = url
        deadline = reactor.now.advanced(byNanoseconds: options.handshakeTimeout)
        self.completion = completion
    }

    /// Starts; `completion` is called once, in a later turn.
    static func begin(
        _ url: WebSocketURL, _ options: ClientOptions, on reactor: Reactor, _ completion: @escaping Completion
    ) -> ClientOpening {
        let opening = ClientOpening(url, options, reactor, completion)
        reactor.runSoon { opening.start() }
        return opening
    }

    /// Cancels it: calls `completion` at once, unless it has been called already.
    func cancel() { finish(.failure(.cancelled)) }

    private func start() {
        guard completion != nil else { return }
        do throws(ConnectError) {
            try options.check()
            if options.proxy != nil, case .unix = url.endpoint {
                throw .invalidOption("no proxy leads to the socket \(url.endpoint)")
            }
            connect()
        } catch {
            finish(.failure(error))
        }
    }

    private func finish(_ result: Result<ClientOpened, ConnectError>) {
        guard let completion else { return }
        self.completion = nil
        dial?.cancel()
        dial = nil
        if case .failure = result { stream?.reset() }
        stream = nil
        completion(result)
    }

    // MARK: Connecting

    private func connect() {
        let endpoint = options.proxy?.endpoint ?? url.endpoint
        if let addresses = endpoint.numericAddresses { return resolved(addresses) }
        let link = ReactorLink(remote: reactor.remote)
        link.bind(self, on: reactor)
        Resolver.resolve(endpoint) { result in link.take(ClientOpening.self) { $0?.resolved(result) } }
        // The resolver has a time limit of its own.
        reactor.run(afterNanoseconds: deadline.nanoseconds(since: reactor.now)) { [unowned reactor] in
            link.take(ClientOpening.self, on: reactor)?.finish(.failure(.timedOut))
        }
    }

    private func resolved(_ result: Result<[SocketAddress], ConnectError>) {
        guard completion != nil else { return }
        switch result {
        case .failure(let error): finish(.failure(atProxy(error)))
        case .success(let addresses):
            dial = ClientDial.begin(
                addresses, on: reactor, deadline: deadline, delay: options.fallbackDelay
            ) { [self] in dialled($0) }
        }
    }

    /// An error of the first connection, attributed to the proxy if the connection leads to one.
    private func atProxy(_ error: ConnectError) -> ConnectError {
        guard options.proxy != nil, error != .timedOut else { return error }
        return .proxyFailed("\(error)")
    }

    private func dialled(_ result: Result<StreamConnection, ConnectError>) {
        dial = nil
        guard completion != nil else { return }
        switch result {
        case .failure(let error): finish(.failure(atProxy(error)))
        case .success(let stream):
            self.stream = stream
            guard let proxy = options.proxy else { return shakeHands(on: stream) }
            ProxyTunnel.begin(stream, to: url.endpoint, credentials: proxy.credentials, deadline: deadline) {
                [self] result in
                switch result {
                case .failure(let error): finish(.failure(error))
                case .success: shakeHands(on: stream)
                }
            }
        }
    }

    // MARK: The handshake

    private func shakeHands(on stream: StreamConnection) {
        guard completion != nil else { return }
        do throws(ConnectError) {
            let request = ClientHandshake.Request(
                url: url, options: options, fields: fields(), security: try security(), deadline: deadline)
            ClientHandshake.begin(stream, request) { [self] in ended($0, stream) }
        } catch {
            finish(.failure(error))
        }
    }

    private func ended(_ outcome: ClientHandshake.Outcome, _ stream: StreamConnection) {
        switch outcome {
        case .opened(let agreed, let head):
            keepCookies(of: head)
            finish(.success(ClientOpened(stream: stream, url: url, agreed: agreed, head: head, options: options)))
        case .refused(let answer):
            keepCookies(of: answer.head)
            self.stream = nil
            do throws(ConnectError) {
                guard let next = try redirect(answer.head) else {
                    throw .refused(status: answer.head.status, body: answer.body)
                }
                url = next
                connect()
            } catch {
                finish(.failure(error))
            }
        case .failed(let error): finish(.failure(error))
        }
    }

    /// The URL to which `head` redirects; `nil` if it does not, or the redirect must not be followed.
    private func redirect(_ head: HTTPResponseHead) throws(ConnectError) -> WebSocketURL? {
        guard options.maximumRedirects > 0, [301, 302, 303, 307, 308].contains(head.status) else { return nil }
        guard let location = head.fields.only("Location") else { throw .invalidRedirect("it names no place") }
        guard redirects < options.maximumRedirects else { throw .invalidRedirect("there were \(redirects) before it") }
        redirects += 1
        let next: WebSocketURL
        do throws(WebSocketURL.ParseError) { next = try url.resolving(location) } catch {
            throw .invalidRedirect("\(error)")
        }
        guard !url.isSecure || next.isSecure else { throw .invalidRedirect("it leads out of TLS") }
        return next
    }

    /// The fields of the request in addition to the handshake's own.
    private func fields() -> HeaderFields {
        let isOrigin = url.endpoint == origin.endpoint
        var fields = HeaderFields()
        var cookies: [String] = []
        for field in options.fields {
            // Credentials are sent only to the server for which they were given.
            let isSecret = ["Authorization", "Cookie"].contains { $0.isSameIgnoringCase(field.name) }
            if isSecret, !isOrigin { continue }
            if field.name.isSameIgnoringCase("Cookie") {
                cookies.append(field.value)
            } else {
                fields.append(field.name, field.value)
            }
        }
        if isOrigin { cookies += options.cookies.map { "\($0.name)=\($0.value)" } }
        if let kept = options.cookieJar?.fieldValue(for: url.cookieScope, now: Self.unixSeconds) {
            cookies.append(kept)
        }
        // RFC 6265 §5.4: one line for all cookies.
        if !cookies.isEmpty { fields.append("Cookie", cookies.joined(separator: "; ")) }
        let credentials = isOrigin ? options.credentials ?? url.credentials ?? origin.credentials : url.credentials
        if let credentials, fields.first("Authorization") == nil {
            fields.append("Authorization", credentials.fieldValue)
        }
        return fields
    }

    private func keepCookies(of head: HTTPResponseHead) {
        options.cookieJar?.store(head.fields, from: url.cookieScope, now: Self.unixSeconds)
    }

    private static var unixSeconds: Int64 { WallClock.unixMilliseconds / 1000 }

    private static let systemTrust = Result { () throws(TLSFileError) in try TLSContext.client(.system) }

    private func security() throws(ConnectError) -> ClientHandshake.Security? {
        guard case .internet(let host, let port, isSecure: true) = url.endpoint else { return nil }
        let name = url.endpoint == origin.endpoint ? options.serverName ?? host : host
        do throws(TLSFileError) {
            let context = if let tls = options.tls { tls } else { try Self.systemTrust.get() }
            return ClientHandshake.Security(context: context, name: name, port: port)
        } catch {
            throw .unusableFile(error)
        }
    }
}

/// A stream with a completed opening handshake.
struct ClientOpened {
    /// Its driver must be set at once.
    let stream: StreamConnection
    /// The server that answered, after redirects.
    let url: WebSocketURL
    let agreed: Handshake.Agreement
    /// The response, with status 101.
    let head: HTTPResponseHead
    let options: ClientOptions

    /// Makes a WebSocket on the stream; its session must be set at once.
    func makeWebSocket() -> WebSocketConnection {
        let socket = WebSocketConnection(
            stream: stream, role: .client, subprotocol: agreed.subprotocol ?? "", compression: agreed.compression,
            options: WebSocketConnection.Options(options.webSocket))
        stream.driver = socket
        return socket
    }
}

extension WebSocketURL {
    /// Whether it uses TLS.
    var isSecure: Bool { if case .internet(_, _, let isSecure) = endpoint { isSecure } else { false } }

    fileprivate var cookieScope: Cookie.Scope {
        guard case .internet(let host, _, let isSecure) = endpoint else {
            return Cookie.Scope(host: "localhost", isAddress: false, path: path, isSecure: false)
        }
        let isAddress = SocketAddress(host: host, port: 0) != nil
        return Cookie.Scope(host: host, isAddress: isAddress, path: path, isSecure: isSecure)
    }
}
