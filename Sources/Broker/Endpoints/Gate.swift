internal import WSTransport

/// What every request of a listener passes before it reaches the exchange: what it presents, and who that is.
///
/// Each request is asked, also on a connection that is kept: a proxy sends those of many clients by one.
struct Gate: Sendable {
    /// Serves a request that has passed; a refusal it throws is the answer.
    typealias Route = @Sendable (Visit) throws(HTTPRefusal) -> Void

    let authenticator: any Authenticator
    /// The listener's address, as it is configured; empty: the administrator's socket.
    let listener: String
    /// Whether the listener is on loopback or in the file system.
    var isLocal = true

    /// A handler that has `route` serve the requests that pass.
    func guarding(_ route: @escaping Route) -> any DirectHandler { GuardedHandler(gate: self, route: route) }

    fileprivate func enter(_ exchange: HTTPExchange, _ route: @escaping Route) {
        do throws(HTTPRefusal) {
            let shard = try exchange.shard()
            do throws(Refusal) { try shard.checkOpen() } catch { throw HTTPRefusal(error) }
            let credentials = Credentials(exchange.request)
            switch authenticator.authenticate(credentials, from: { exchange.request.peer?.host }) {
            case .known(let principal):
                try route(visit(exchange, shard, principal))
            case .refused(let failure):
                throw HTTPRefusal(failure)
            case .pending(let begin):
                // The connection is not read on meanwhile, and has the time that a head has.
                let reply = exchange.suspend { exchange, outcome in conclude(exchange, outcome, route) }
                if let reply { begin(reply) }
            }
        } catch {
            exchange.turnDown(error)
        }
    }

    private func visit(_ exchange: HTTPExchange, _ shard: Shard, _ principal: Principal) -> Visit {
        // What one user is shown, perhaps by a token in the path, is nobody else's to hear of.
        if principal.kind != .anonymous { exchange.extraFields.append("Referrer-Policy", "no-referrer") }
        return Visit(exchange: exchange, shard: shard, principal: principal, gate: self)
    }

    private func conclude(
        _ exchange: HTTPExchange, _ outcome: Result<Principal, AuthenticationFailure>, _ route: Route
    ) {
        do throws(HTTPRefusal) {
            let shard = try exchange.shard()
            switch outcome {
            case .success(let principal):
                try route(visit(exchange, shard, principal))
            case .failure(let failure):
                throw HTTPRefusal(failure)
            }
        } catch {
            exchange.turnDown(error)
        }
    }
}

/// A request that has passed the gate.
///
/// Runs on the connection's reactor.
struct Visit {
    let exchange: HTTPExchange
    let shard: Shard
    let principal: Principal
    let gate: Gate

    /// Whether the request asks for a WebSocket.
    var wantsSocket: Bool { Handshake.isUpgrade(exchange.request.head) }

    /// A client of its own, as a socket or a stream has it.
    func makeClient(_ protocolName: String) -> Client {
        shard.makeClient(
            principal, peer: exchange.request.peer, protocolName: protocolName, listener: gate.listener,
            isLocal: gate.isLocal)
    }

    /// The connection's client, whose rate is that of all its requests; another one for another principal.
    func client() -> Client {
        let known = exchange.attachment as? Client
        if let known, known.principal === principal { return known }
        let client = makeClient("http")
        if let known { client.takeOverRate(of: known) }
        exchange.attachment = client
        return client
    }
}

private struct GuardedHandler: DirectHandler {
    let gate: Gate
    let route: Gate.Route

    func handle(_ exchange: HTTPExchange) { gate.enter(exchange, route) }
}

extension Credentials {
    /// What a request presents; the first that is there counts, and a wrong one is not passed over for the next.
    init(_ request: IncomingRequest) {
        let fields = request.head.fields
        if let field = fields.first("Authorization") {
            self = Self.authorization(field)
        } else if let offer = fields.list("Sec-WebSocket-Protocol").first(where: { $0.hasPrefix("bearer.") }) {
            self = .bearer(String(offer.dropFirst(7)))
        } else if let token = request.parameter("token") {
            self = .bearer(token)
        } else {
            self = .nothing
        }
    }

    /// RFC 9110 §11.4; `Basic` is RFC 7617.
    private static func authorization(_ field: String) -> Credentials {
        let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, let scheme = parts.first?.lowercased() else { return .malformed }
        let value = parts[1].drop { $0 == " " }
        switch scheme {
        case "bearer": return .bearer(String(value))
        case "basic":
            guard let bytes = Base64.decode(String(value)), let text = String(validating: bytes, as: UTF8.self),
                let colon = text.utf8.firstIndex(of: UInt8(ascii: ":"))
            else { return .malformed }
            return .basic(user: String(text[..<colon]), password: String(text[text.utf8.index(after: colon)...]))
        default: return .malformed
        }
    }
}

extension HTTPRefusal {
    init(_ failure: AuthenticationFailure) {
        switch failure.reason {
        case .invalid: self.init(Refusal(.unauthenticated, failure.message))
        case .unavailable: self.init(Refusal(.unavailable, failure.message))
        }
    }
}

// MARK: Turning down

extension HTTPExchange {
    /// Refuses a request; a page that wants a WebSocket is told by its CLOSE, as it learns nothing of a status.
    func turnDown(_ refusal: HTTPRefusal) {
        guard request.method == "GET", Handshake.isUpgrade(request.head), let shard = try? shard() else {
            return refuse(refusal)
        }
        upgrade { request throws(HTTPRefusal) in
            guard let told = Admission(turningDown: request, refusal, shard.endpoints.settings.socketOptions) else {
                throw refusal
            }
            return told
        }
    }
}

extension Admission {
    /// Opens the socket of a page that is turned down, only to close it with the reason; `nil`: a status tells it.
    ///
    /// A browser keeps from its page every answer but 101.
    fileprivate init?(
        turningDown request: Handshake.Request, _ refusal: HTTPRefusal, _ options: WebSocketConnection.Options
    ) {
        guard request.origin != nil, let code = CloseCode(status: refusal.status) else { return nil }
        // A browser whose offer is not answered makes 1006 of everything; a token is not repeated.
        let answered = request.subprotocols.first { !$0.hasPrefix("bearer.") }
        self.init(subprotocol: answered, options: options) { socket in
            socket.close(code, reason: refusal.message)
            return Farewell()
        }
        isRefusal = true
    }
}

/// The session of a page that is being told why it may not come in.
private final class Farewell: WebSocketSession {
    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {}
    func closed(_ event: CloseEvent) {}
}

extension CloseCode {
    /// What stands for the status of a refused request; `nil`: nothing does.
    fileprivate init?(status: Int) {
        switch status {
        case 400: self = .badRequest
        case 401: self = .unauthenticated
        case 403: self = .forbidden
        case 429: self = .tooManyMessages
        case 503: self = .tryAgainLater
        default: return nil
        }
    }
}
