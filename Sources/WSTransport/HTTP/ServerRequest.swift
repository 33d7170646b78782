internal import Synchronization

/// An HTTP request as handlers receive it, with its response.
///
/// Any thread.
public final class ServerRequest: HandlerMessage {
    private struct State {
        var value: String
        var params: [String]
        var lastError = ""
        var isEnded = false
        /// The response; `nil` until it is used.
        var response: ServerResponse?
    }

    private let incoming: IncomingRequest
    private let state: Mutex<State>
    /// `nil` if it is already answered, such as the request for a WebSocket.
    private let link: ReactorLink?
    /// The response, sent when the handlers have finished.
    public var response: ServerResponse {
        state.withLock { state in
            if let response = state.response { return response }
            let made = ServerResponse()
            state.response = made
            return made
        }
    }
    private let isTaken = Atomic<Bool>(false)

    init(_ exchange: HTTPExchange, link: ReactorLink?) {
        incoming = exchange.request
        state = Mutex(State(value: exchange.value, params: exchange.params))
        self.link = link
    }

    // MARK: The request

    /// The method, usually in capital letters: `GET`.
    public var method: String { incoming.method }

    /// The path without the server's prefix, percent-encoded as received.
    public var path: String { incoming.path }

    /// The names and values of the query, decoded, in order.
    public var query: [(name: String, value: String)] { incoming.query }

    /// The value of the first query parameter with this name; empty if it has no value, `nil` if it is absent.
    public func parameter(_ name: String) -> String? { incoming.parameter(name) }

    /// The header fields.
    public var fields: HeaderFields { incoming.head.fields }

    /// The value of the first header field with this name, ignoring case; `nil` if there is none.
    public func firstHeader(_ name: String) -> String? { fields.first(name) }

    /// The requested host: the value of `Host`, or the authority if the request target is a whole URI.
    ///
    /// `nil` for an HTTP/1.0 request without either.
    public var host: String? { incoming.head.host }

    /// The request's cookies by name (RFC 6265 §5.4); if two have the same name, the first one.
    public var cookies: [String: String] { Self.cookies(in: fields.all("Cookie")) }

    static func cookies(in lines: [String]) -> [String: String] {
        var found: [String: String] = [:]
        for line in lines {
            // By bytes: as characters, `;` and `=` would not be found before an accent.
            for pair in line.utf8.split(separator: UInt8(ascii: ";")) {
                guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
                let name = String(Substring(pair[..<equals].drop { $0 == .space }))
                if found[name] == nil { found[name] = String(Substring(pair[equals...].dropFirst())) }
            }
        }
        return found
    }

    /// The client's address, as `address:port`; empty if the system does not know it.
    public var remoteAddress: String { incoming.peer?.description ?? "" }

    // MARK: Data of handlers

    /// The path that ``Routing`` matches; a matching route replaces it with what its pattern did not match.
    public var value: String {
        get { state.withLock { $0.value } }
        set { state.withLock { $0.value = newValue } }
    }

    /// The values of the parameters and groups in the matched pattern, percent-encoded as received.
    public var params: [String] {
        get { state.withLock { $0.params } }
        set { state.withLock { $0.params = newValue } }
    }

    /// An error that a handler left for the error handler; empty if there is none.
    public var lastError: String {
        get { state.withLock { $0.lastError } }
        set { state.withLock { $0.lastError = newValue } }
    }

    /// Marks the request as finished; a ``Chain`` then stops before its next handler.
    public func end() { state.withLock { $0.isEnded = true } }

    /// Whether the request or its ``response`` was marked as finished.
    public var isEnded: Bool { state.withLock { $0.isEnded || $0.response?.isEnded ?? false } }

    // MARK: The body and the answer

    /// Reads the whole body.
    ///
    /// - Parameter maximum: the longest accepted body in bytes; a longer one is answered with 413.
    ///
    /// Throws ``WS/Error/endOfStream`` if the connection breaks, or if the body is malformed or too long; in the last
    /// two cases the request is already answered. Throws `CancellationError` if the task is cancelled first; the request
    /// can then still be answered. A body can be read only once.
    public func readBody(maximum: Int = 64 << 20) async throws -> [UInt8] {
        guard let link, !isTaken.load(ordering: .relaxed) else { throw WS.Error.endOfStream }
        return try await FirstAnswer<[UInt8]>.wait { answer in
            link.run(with: HTTPExchange.self) { exchange in
                guard let exchange else { return answer.give(.failure(WS.Error.endOfStream)) }
                guard answer.isAwaited else { return }
                exchange.onEnd { answer.give(.failure(WS.Error.endOfStream)) }
                exchange.readBody(maximum: maximum) { body in
                    unsafe answer.give(.success(body.withUnsafeBytes { unsafe [UInt8]($0) }))
                }
            }
        }
    }

    /// Begins a response of unknown length, with the current status and fields of ``response``.
    ///
    /// Throws ``WS/Error/endOfStream`` if the client has disconnected or the request was already answered. For an
    /// HTTP/1.0 client, the end of the connection marks the end of the response.
    public func startStream() async throws -> HTTPResponseStream {
        let fields = response.fields
        // Handed over by a lock, because the reactor often answers before its answer is awaited: the thread sanitizer
        // does not see how Swift's runtime orders that.
        let made = Mutex<HTTPResponseStream?>(nil)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            guard let link else { return continuation.resume() }
            link.run(with: HTTPExchange.self) { exchange in
                let stream = exchange?.startStream(fields).map { HTTPResponseStream($0) }
                made.withLock { $0 = stream }
                continuation.resume()
            }
        }
        guard let stream = made.withLock({ $0 }) else { throw WS.Error.endOfStream }
        isTaken.store(true, ordering: .relaxed)
        return stream
    }

    /// Passes the request to a handler that answers on the reactor, and waits until the response is being sent.
    ///
    /// If the connection becomes a WebSocket, waits until that has ended.
    func handled(by handler: any DirectHandler) async {
        guard let link else { return }
        isTaken.store(true, ordering: .relaxed)
        response.end()
        let fields = response.fields
        let (value, params) = state.withLock { ($0.value, $0.params) }
        await withCheckedContinuation { continuation in
            link.run(with: HTTPExchange.self) { exchange in
                guard let exchange, let stream = exchange.connection?.stream else { return continuation.resume() }
                exchange.value = value
                exchange.params = params
                for field in fields { exchange.extraFields.append(field.name, field.value) }
                exchange.onEnd {
                    // A stream with another driver belongs to a WebSocket, which reports its own end.
                    guard exchange.isTakenOver else { return continuation.resume() }
                    stream.onEnd { continuation.resume() }
                }
                handler.handle(exchange)
            }
        }
    }

    /// Sends the answer, unless a handler already has.
    fileprivate func finish(_ refusal: HTTPRefusal?) {
        guard let link, !isTaken.load(ordering: .relaxed) else { return }
        let outgoing = response.outgoing
        link.run(with: HTTPExchange.self) { exchange in
            if let refusal { exchange?.refuse(refusal) } else { exchange?.respond(outgoing) }
        }
    }
}

extension HTTPExchange {
    /// Runs `handler` in a task, and sends the resulting response.
    func serve(by handler: any Handler) {
        guard let link = makeLink() else { return }
        let request = ServerRequest(self, link: link)
        let report = report
        let tasks = reactor?[HandlerTasks.self]
        tasks?.enter()
        let task = Task {
            await HandlerTasks.$isInside.withValue(true) { await request.answered(by: handler, report) }
            tasks?.leave()
        }
        // Once it is answered, the handler may continue; before, its work has become useless.
        onEnd { [unowned self] in if !isAnswered { task.cancel() } }
    }
}

extension ServerRequest {
    fileprivate func answered(by handler: any Handler, _ report: (@Sendable (any Error, ServerRequest) -> Void)?) async
    {
        do {
            try await invoke(handler, self)
            finish(nil)
        } catch let refusal as HTTPRefusal {
            finish(refusal)
        } catch WS.Error.endOfStream {
            // The client has gone, or has its answer: there is nothing to report, and no fault of the handler.
            finish(HTTPRefusal(status: 400, message: "The request broke off."))
        } catch is CancellationError where Task.isCancelled {
            // The same, reported by another wait of the handler.
            finish(HTTPRefusal(status: 400, message: "The request broke off."))
        } catch {
            lastError = "\(error)"
            report?(error, self)
            finish(HTTPRefusal(status: 500, message: "The request could not be handled."))
        }
    }
}

/// The tasks of handlers and closures that a server has started and that have not ended.
///
/// Any thread.
package final class HandlerTasks: Sendable {
    /// Whether the caller is in such a task, or in a child of one.
    @TaskLocal static var isInside = false
    private let state = Mutex(0)

    /// Creates an empty count.
    package init() {}

    func enter() { state.withLock { $0 += 1 } }

    func leave() { state.withLock { $0 -= 1 } }

    /// The number of tasks, without the caller's own.
    package var others: Int { state.withLock { $0 } - (Self.isInside ? 1 : 0) }
}
