internal import Synchronization

extension WS {
    /// Opens a WebSocket, and waits until it is open.
    ///
    /// Throws ``WS/Error/invalidURL(_:)``, ``WS/Error/invalidOption(_:)``, ``WS/HandshakeError`` if the socket cannot
    /// be opened, and `CancellationError` if the task is cancelled first.
    public static func open(_ url: String, options: ConnectOptions = ConnectOptions()) async throws -> WebSocket {
        _ = try WebSocketURL(of: url)
        do throws(ConnectError) { return try await opened { WebSocket(url, options: options) } } catch {
            throw publicError(error)
        }
    }

    /// Opens a WebSocket, runs `body` with it, and closes it; the socket has ended when this returns.
    ///
    /// The socket is closed with 1000 if `body` returns, with 1011 if it throws, and with 1001 if the task is
    /// cancelled. The function waits for the server's answer, for at most ``ConnectOptions/closeTimeout``. It throws
    /// what ``open(_:options:)`` and `body` throw.
    ///
    /// - Parameters:
    ///   - url: a `ws://` or `wss://` URL (RFC 6455 §3).
    ///   - options: header fields, TLS, proxy, limits.
    ///   - isolation: the actor on which `body` runs; the caller's by default.
    ///   - body: called with the open socket.
    public static func withSocket<Outcome>(
        _ url: String, options: ConnectOptions = ConnectOptions(), isolation: isolated (any Actor)? = #isolation,
        _ body: (WebSocket) async throws -> Outcome
    ) async throws -> Outcome {
        let socket = try await open(url, options: options)
        do {
            let outcome = try await body(socket)
            await socket.end(Task.isCancelled ? .goingAway : .normal)
            return outcome
        } catch {
            await socket.end(Task.isCancelled ? .goingAway : .internalError)
            throw error
        }
    }

    static func publicError(_ error: ConnectError) -> any Swift.Error {
        if case .invalidOption(let reason) = error { return Error.invalidOption(reason) }
        return error == .cancelled && Task.isCancelled ? CancellationError() : HandshakeError(error)
    }

    /// Opens a WebSocket, with options that only this package uses.
    package static func open(
        _ url: WebSocketURL, client options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocket {
        try await opened { WebSocket(url, client: options) }
    }

    private static func opened(_ make: () -> WebSocket) async throws(ConnectError) -> WebSocket {
        // A socket starts to connect as soon as it is made.
        if Task.isCancelled { throw .cancelled }
        let socket = make()
        await withTaskCancellationHandler {
            await socket.core.handshake()
        } onCancel: {
            socket.core.giveUp()
        }
        if let failure = socket.core.state.withLock({ $0.failure }) { throw failure }
        return socket
    }

    /// Performs a client's handshake and returns the raw stream, for ``WebSocketMessage/sendTo(_:)`` and
    /// ``WebSocketMessage/readFrom(_:)``.
    ///
    /// The caller must answer PINGs and perform the closing handshake. Options for messages do not apply. Throws what
    /// ``open(_:options:)`` throws.
    ///
    /// - Parameters:
    ///   - url: a `ws://` or `wss://` URL (RFC 6455 §3).
    ///   - origin: the value of `Origin`; if empty, that of the options is used.
    ///   - options: header fields, TLS, proxy, time limits.
    public static func connect(
        _ url: String, origin: String = "", options: ConnectOptions = ConnectOptions()
    ) async throws -> any ByteStream {
        let url = try WebSocketURL(of: url)
        do throws(ConnectError) {
            var options = options
            if !origin.isEmpty { options.origin = origin }
            var client = try options.client()
            // Frames that are read by hand have no inflater for a whole connection.
            client.webSocket.compression = nil
            let limits = ConnectionDriver.Limits(held: options.maximumHeld, unsent: options.maximumUnsent)
            return try await raw(try options.place(url), client, limits)
        } catch {
            throw publicError(error)
        }
    }

    private static func raw(
        _ url: WebSocketURL, _ options: ClientOptions, _ limits: ConnectionDriver.Limits
    ) async throws(ConnectError) -> any ByteStream {
        if Task.isCancelled { throw .cancelled }
        let remote: Remote
        do throws(Errno) { remote = try ClientReactor.shared.get() } catch { throw .unreachable(error) }
        let link = ReactorLink(remote: remote)
        let isGivenUp = Atomic<Bool>(false)
        let result: Result<ConnectionStream, ConnectError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                remote.run { reactor in
                    let opening = ClientOpening.begin(url, options, on: reactor) { result in
                        link.release(on: reactor)
                        continuation.resume(
                            returning: result.map { ConnectionStream($0.stream, limits: limits) })
                    }
                    link.bind(opening, on: reactor)
                    if isGivenUp.load(ordering: .acquiring) { opening.cancel() }
                }
            }
        } onCancel: {
            isGivenUp.store(true, ordering: .releasing)
            link.run(with: ClientOpening.self) { $0?.cancel() }
        }
        return try result.get()
    }
}

extension WebSocket {
    /// Begins to connect.
    ///
    /// Never throws: an error, such as an invalid URL, is reported by an `error` event and a `close` event.
    ///
    /// - Parameters:
    ///   - url: a `ws://` or `wss://` URL (RFC 6455 §3).
    ///   - protocol: the subprotocol to offer; empty for none.
    ///   - origin: the value of `Origin`; empty to send none.
    public convenience init(_ url: String, protocol: String = "", origin: String = "") {
        var options = ConnectOptions()
        options.protocols = `protocol`.isEmpty ? [] : [`protocol`]
        options.origin = origin
        self.init(url, options: options)
    }

    /// Begins to connect.
    public convenience init(_ url: String, options: ConnectOptions) {
        self.init(
            url: url, origin: options.origin, offered: options.protocols.joined(separator: ", "),
            core: SocketCore(
                link: ReactorLink(remote: ClientReactor.remote), limits: options.limits, isClient: true, subprotocol: ""
            ))
        do throws(ConnectError) {
            core.connect(to: try options.place(WebSocketURL(checking: url)), try options.client())
        } catch {
            core.failed(error)
        }
    }
}

extension WebSocketURL {
    fileprivate init(checking text: String) throws(ConnectError) {
        do throws(WS.Error) { try self.init(of: text) } catch { throw .invalidOption("\(error)") }
    }

    /// Throws ``WS/Error/invalidURL(_:)``.
    fileprivate init(of text: String) throws(WS.Error) {
        do throws(ParseError) { try self.init(parsing: text) } catch { throw .invalidURL("\(text): \(error)") }
    }
}

extension WS {
    /// Connects, and returns a stream of the connection's bytes.
    package static func stream(to address: SocketAddress) async throws(HandshakeError) -> any ByteStream {
        let remote: Remote
        do throws(Errno) { remote = try ClientReactor.shared.get() } catch { throw .unreachable("\(error)") }
        // The reactor often answers before its answer is awaited. Swift's runtime orders that by its own atomics, which
        // the thread sanitizer does not know; it does know the lock.
        let answer = Mutex<Result<ConnectionStream, ConnectError>>(.failure(.cancelled))
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            remote.run { reactor in
                let number = Box()
                number.dial = ClientDial.begin(
                    [address], on: reactor, deadline: reactor.now.advanced(byNanoseconds: 10_000_000_000),
                    delay: 0
                ) { result in
                    number.dial = nil
                    answer.withLock { $0 = result.map { ConnectionStream($0, limits: .init()) } }
                    continuation.resume()
                }
            }
        }
        do throws(ConnectError) { return try answer.withLock { $0 }.get() } catch { throw HandshakeError(error) }
    }

    /// Keeps an attempt alive until it is finished.
    private final class Box {
        var dial: ClientDial?
    }
}
