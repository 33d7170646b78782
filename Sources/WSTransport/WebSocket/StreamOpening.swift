/// Opens a stream to a server of a protocol other than HTTP: name resolution, connection, and TLS.
///
/// Runs on its reactor.
package final class StreamOpening {
    package typealias Completion = (Result<StreamConnection, ConnectError>) -> Void

    /// How the server is verified.
    package struct Security: Sendable {
        /// Verifies its certificate, and has the client's own.
        package var context: TLSContext
        /// The name, or numeric address, that its certificate must have; `nil` for the host that is connected to.
        package var serverName: String?

        package init(_ context: TLSContext, serverName: String? = nil) {
            (self.context, self.serverName) = (context, serverName)
        }
    }

    private let reactor: Reactor
    private let endpoint: Endpoint
    private let security: Security?
    private let deadline: MonotonicTime
    private var completion: Completion?
    private var dial: ClientDial?
    private var stream: StreamConnection?

    /// How long one address of a host may be silent before the next is tried as well, in nanoseconds.
    private static let fallbackDelay: Int64 = 250_000_000

    private init(
        _ reactor: Reactor, _ endpoint: Endpoint, _ security: Security?, _ deadline: MonotonicTime,
        _ completion: @escaping Completion
    ) {
        (self.reactor, self.endpoint, self.security, self.deadline) = (reactor, endpoint, security, deadline)
        self.completion = completion
    }

    /// Starts; `completion` is called once, in a later turn, unless it is cancelled.
    ///
    /// It gets a connected stream without a driver, with a verified server if there is `security`; its driver must be
    /// set at once.
    ///
    /// - Parameter security: `nil` for no TLS.
    package static func begin(
        _ endpoint: Endpoint, security: Security?, deadline: MonotonicTime, on reactor: Reactor,
        _ completion: @escaping Completion
    ) -> StreamOpening {
        let opening = StreamOpening(reactor, endpoint, security, deadline, completion)
        reactor.runSoon { opening.resolve() }
        return opening
    }

    /// Stops without calling `completion`.
    package func cancel() {
        completion = nil
        dial?.cancel()
        dial = nil
        drop()
    }

    private func drop() {
        stream?.driver = nil
        stream?.reset()
        stream = nil
    }

    private func finish(_ result: Result<StreamConnection, ConnectError>) {
        guard let completion else { return }
        self.completion = nil
        dial = nil
        if case .failure = result { drop() }
        stream = nil
        completion(result)
    }

    private func resolve() {
        guard completion != nil else { return }
        if let addresses = endpoint.numericAddresses { return connect(addresses) }
        let link = ReactorLink(remote: reactor.remote)
        link.bind(self, on: reactor)
        Resolver.resolve(endpoint) { result in link.take(StreamOpening.self) { $0?.connect(result) } }
        // The resolver has a time limit of its own.
        reactor.run(afterNanoseconds: deadline.nanoseconds(since: reactor.now)) { [unowned reactor] in
            link.take(StreamOpening.self, on: reactor)?.finish(.failure(.timedOut))
        }
    }

    private func connect(_ addresses: Result<[SocketAddress], ConnectError>) {
        guard completion != nil else { return }
        switch addresses {
        case .failure(let error): finish(.failure(error))
        case .success(let addresses):
            dial = ClientDial.begin(addresses, on: reactor, deadline: deadline, delay: Self.fallbackDelay) {
                [self] result in
                switch result {
                case .failure(let error): finish(.failure(error))
                case .success(let stream): connected(stream)
                }
            }
        }
    }

    private func connected(_ stream: StreamConnection) {
        guard let security, case .internet(let host, let port, _) = endpoint else { return finish(.success(stream)) }
        self.stream = stream
        stream.driver = self
        stream.setDeadline(deadline)
        let name = security.serverName ?? host
        if !stream.secure(asClient: security.context, host: name, port: port) {
            finish(.failure(.insecure(.failed("the name \(name) cannot be verified"))))
        }
    }
}

extension StreamOpening: StreamDriver {
    package func drained() {
        guard let stream, stream.isSecured else { return }
        stream.driver = nil
        stream.setDeadline(nil)
        finish(.success(stream))
    }

    package func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int { 0 }

    package func receivedEnd() { finish(.failure(.connectionLost)) }

    package func deadlinePassed() { finish(.failure(.timedOut)) }

    package func fellBehind() {}

    package func overflowed() {}

    package func closed() {
        let failure = stream?.tlsFailure.map(ConnectError.insecure) ?? stream?.failure.map(ConnectError.unreachable)
        finish(.failure(failure ?? .connectionLost))
    }
}
