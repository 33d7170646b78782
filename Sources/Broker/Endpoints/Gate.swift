internal import WSTransport

/// Authenticates every request of a listener before it reaches the exchange.
///
/// This holds for each request of a persistent connection, because a proxy sends the requests of many clients over one.
final class Gate: Sendable {
    /// Serves an accepted request; a refusal that it throws becomes the response.
    typealias Route = @Sendable (Visit) throws(HTTPRefusal) -> Void

    let authenticator: any Authenticator
    /// The listener's address as configured; empty for the admin socket.
    let listener: String
    /// Whether clients are on this machine: the listener is on loopback or a Unix socket, and not behind a proxy.
    let isLocal: Bool
    /// Whether the listener has TLS.
    let isSecure: Bool
    /// Whether nobody else can read the traffic: the listener has TLS, or the peer, perhaps a proxy, is on this
    /// machine.
    let isPrivate: Bool
    /// Which header fields of a trusted proxy are used.
    let forwarded: Settings.Forwarded
    /// Whether connections begin with a PROXY header, which names the client.
    let hasPreface: Bool
    /// Whether the gate leads to administration: web pages are refused, and credentials that a browser or a log could
    /// reveal.
    let isForAdministrators: Bool

    // A class, because each request copies the reference several times.
    init(
        authenticator: any Authenticator, listener: String, isLocal: Bool = true, isSecure: Bool = false,
        isPrivate: Bool = true, forwarded: Settings.Forwarded = .none, hasPreface: Bool = false,
        isForAdministrators: Bool = false
    ) {
        self.authenticator = authenticator
        self.listener = listener
        self.isLocal = isLocal
        self.isSecure = isSecure
        self.isPrivate = isPrivate
        self.forwarded = forwarded
        self.hasPreface = hasPreface
        self.isForAdministrators = isForAdministrators
    }

    /// The same gate for administration.
    var forAdministrators: Gate {
        Gate(
            authenticator: authenticator, listener: listener, isLocal: isLocal, isSecure: isSecure,
            isPrivate: isPrivate, forwarded: forwarded, hasPreface: hasPreface, isForAdministrators: true)
    }

    /// Whether a proxy names the request's client, so that even a client on loopback is on another machine.
    func isForwarded(_ exchange: HTTPExchange) -> Bool { hasPreface || exchange.isForwarded }

    /// A handler that authenticates requests and passes accepted ones to `route`.
    func guarding(_ route: @escaping Route) -> any DirectHandler { GuardedHandler(gate: self, route: route) }

    /// The scheme that the client used, according to a trusted proxy; `nil` for that of the connection.
    func scheme(of exchange: HTTPExchange, _ endpoints: EndpointState) -> String? {
        guard forwarded != .none, endpoints.trusts(exchange.stream?.peer) else { return nil }
        return ForwardedPath.found(in: exchange.request.head.fields, forwarded, endpoints.settings.trustedProxies)
            .scheme
    }

    /// Authenticates a request, and passes it to `route` if it is accepted.
    ///
    /// - Parameter shown: credentials from the request's body; `nil` for those of its head.
    func enter(_ exchange: HTTPExchange, by shown: Credentials? = nil, _ route: @escaping Route) {
        do throws(HTTPRefusal) {
            let shard = try exchange.shard()
            try checkOpen(shard)
            if !shard.bans.isEmpty, !listener.isEmpty { try exchange.checkBans(of: .anonymous, on: shard) }
            let presented = shown.map { Presented($0, by: .body) } ?? Presented(exchange, shard, self)
            if isForAdministrators { try checkPage(exchange, presented) }
            try check(presented, exchange, shard)
            switch authenticator.authenticate(
                presented.credentials, shard.access, from: { exchange.request.peer?.host })
            {
            case .known(let principal):
                try admit(principal, presented, exchange, shard, route)
            case .refused(let failure):
                // The cookie of a browser session cannot be guessed, and was issued for a password.
                if presented.way != .session { try exchange.checkAttempts(self, on: shard) }
                throw refuse(presented, failure, exchange, shard)
            case .pending(let begin):
                // Remembered credentials were accepted above; only those that must be computed are refused here.
                try exchange.checkAttempts(self, on: shard)
                wait(for: begin, presented, PendingCheck(shard.access), exchange, route)
            }
        } catch {
            exchange.refuseVisibly(error)
        }
    }

    private func visit(_ exchange: HTTPExchange, _ shard: Shard, _ principal: Principal) -> Visit {
        // The path, perhaps with a token, must not be sent to other sites.
        if principal.kind != .anonymous { exchange.extraFields.append("Referrer-Policy", "no-referrer") }
        return Visit(exchange: exchange, shard: shard, principal: principal, gate: self)
    }

    private func checkOpen(_ shard: Shard) throws(HTTPRefusal) {
        let isOpenEarly = isForAdministrators || listener.isEmpty
        do throws(Refusal) { isOpenEarly ? try shard.checkNotDraining() : try shard.checkOpen() } catch {
            throw HTTPRefusal(error)
        }
    }

    /// Begins a check that takes time; meanwhile the connection is not read, and has the time limit of a request head.
    private func wait(
        for begin: Authentication.Beginning, _ presented: Presented, _ check: PendingCheck, _ exchange: HTTPExchange,
        _ route: @escaping Route
    ) {
        let reply = exchange.suspend { [self] exchange, outcome in
            conclude(exchange, outcome, presented, check, route)
        }
        if let reply { begin(reply) }
    }

    private func conclude(
        _ exchange: HTTPExchange, _ outcome: Result<Principal, AuthenticationFailure>, _ presented: Presented,
        _ check: PendingCheck, _ route: @escaping Route
    ) {
        do throws(HTTPRefusal) {
            let shard = try exchange.shard()
            // The broker may have begun to shut down meanwhile.
            try checkOpen(shard)
            let host = exchange.request.peer?.host
            switch check.concluded(outcome, presented.credentials, authenticator, on: shard, from: { host }) {
            case .known(let principal): try admit(principal, presented, exchange, shard, route)
            case .refused(let failure): throw refuse(presented, failure, exchange, shard)
            case .pending(let begin): wait(for: begin, presented, check.repeated(by: shard.access), exchange, route)
            }
        } catch {
            exchange.refuseVisibly(error)
        }
    }

    private func admit(
        _ principal: Principal, _ presented: Presented, _ exchange: HTTPExchange, _ shard: Shard, _ route: Route
    ) throws(HTTPRefusal) {
        if presented.way == .query, !shard.access.options.mayBeInAddress(principal) {
            let failure = AuthenticationFailure(.invalid, "This token's lifetime is too long for a URL.")
            throw refuse(presented, failure, exchange, shard, isCounted: false)
        }
        if principal.kind != .anonymous {
            try exchange.checkBans(of: principal, on: shard)
            shard.examined(presented.credentials, .success(principal), from: exchange.request.peer)
        }
        try exchange.checkConnections(of: principal, self, on: shard)
        do throws(HTTPRefusal) {
            try route(visit(exchange, shard, principal))
        } catch {
            throw error.asked(of: principal, exchange)
        }
    }

    /// - Parameter isCounted: whether the failure counts as a wrong attempt of the address.
    private func refuse(
        _ presented: Presented, _ failure: AuthenticationFailure, _ exchange: HTTPExchange, _ shard: Shard,
        isCounted: Bool = true
    ) -> HTTPRefusal {
        if isCounted { exchange.failed(presented, failure, self, on: shard) }
        shard.examined(presented.credentials, .failure(failure), from: exchange.request.peer)
        return HTTPRefusal(failure)
    }

    /// Refuses a web page's request before its credentials are checked: a page must not learn which ones are right.
    ///
    /// A request with a browser session is accepted from a page of exactly this origin.
    private func checkPage(_ exchange: HTTPExchange, _ presented: Presented) throws(HTTPRefusal) {
        guard exchange.request.head.fields.has(.origin) else { return }
        if presented.way == .session, exchange.isOfSamePage(self) { return }
        throw HTTPRefusal(Refusal(.forbidden, "Web pages may not administer the broker: use brokerctl."))
    }

    /// The refusal of a password that others could read.
    static let openPassword = Refusal(
        .forbidden, "Passwords are accepted only over TLS or on this machine: use https or a token.")

    /// Refuses credentials that are presented in a way in which they are not accepted.
    private func check(_ presented: Presented, _ exchange: HTTPExchange, _ shard: Shard) throws(HTTPRefusal) {
        let refusal: Refusal
        let cause: String
        if case .basic = presented.credentials, !isPrivate {
            (refusal, cause) = (Self.openPassword, "a password without TLS")
        } else if presented.way == .query, shard.access.options.queryTokens == .none || isForAdministrators {
            refusal = Refusal(.unauthenticated, "Tokens in the URL are not accepted here.")
            cause = "a token in the URL"
        } else {
            return
        }
        let failure = AuthenticationFailure(.invalid, refusal.message).because(cause)
        shard.examined(presented.credentials, .failure(failure), from: exchange.request.peer)
        throw HTTPRefusal(refusal)
    }
}

extension HTTPRefusal {
    /// The refusal; a client without credentials gets 401 instead of 403.
    fileprivate func asked(of principal: Principal, _ exchange: HTTPExchange) -> HTTPRefusal {
        guard principal.kind == .anonymous, status == 403, code == ErrorCode.forbidden.rawValue else { return self }
        if exchange.isOfTheBroker { return self }
        return HTTPRefusal(status: 401, code: ErrorCode.unauthenticated.rawValue, message: message, fields: fields)
    }
}

extension HTTPExchange {
    /// Whether the request is for topics of the broker itself, which no credentials allow.
    fileprivate var isOfTheBroker: Bool {
        guard let name = PercentCoding.decode(value) else { return false }
        switch name.prefix(while: { $0 != "/" }) {
        case "$SYS": return request.method != "GET" && request.method != "HEAD"
        case "$cluster": return true
        // A client that knows an inbox may publish to it.
        case "$inbox": return request.method == "GET" || request.method == "HEAD"
        default: return false
        }
    }
}

/// A request that the gate has accepted.
///
/// Runs on the connection's reactor.
struct Visit {
    let exchange: HTTPExchange
    let shard: Shard
    let principal: Principal
    let gate: Gate

    /// Whether the request asks for a WebSocket.
    var wantsSocket: Bool { Handshake.isUpgrade(exchange.request.head) }

    /// Creates a client for a WebSocket or a stream, in place of the client of the connection's requests.
    func makeClient(_ protocolName: String) throws(HTTPRefusal) -> Client {
        let known = exchange[Client.self]
        exchange[Client.self] = nil
        let (peer, isForwarded) = (exchange.request.peer, exchange.isForwarded)
        if isForwarded {
            // The connection is the proxy's, and was not counted for the client.
            do throws(Refusal) { try shard.checkConnections(forwardedFrom: peer) } catch { throw HTTPRefusal(error) }
        }
        let client = newClient(protocolName, isConnection: isForwarded)
        if let known { client.takeOverRate(of: known) }
        let fields = exchange.request.head.fields
        client.source = shard.endpoints.sources.source(in: fields)
        return client
    }

    /// A new client, without its source.
    private func newClient(_ protocolName: String, isConnection: Bool = false) -> Client {
        shard.makeClient(
            principal, peer: exchange.request.peer, protocolName: protocolName, listener: gate.listener,
            isLocal: gate.isLocal, isForwarded: gate.isForwarded(exchange), isConnection: isConnection)
    }

    /// The client of the connection, whose rate limits cover all its requests; another principal or address gets a new
    /// client.
    func client() -> Client {
        let known = exchange[Client.self]
        let peer = exchange.request.peer
        // A proxy sends the requests of many clients over one connection.
        let isForwarded = gate.isForwarded(exchange)
        if let known, known.principal.isSame(as: principal),
            !(isForwarded || known.isForwarded) || known.address == peer?.description ?? ""
        {
            return known
        }
        let client = newClient("http")
        if let known { client.takeOverRate(of: known) }
        exchange[Client.self] = client
        return client
    }
}

extension ClientSources {
    /// The source of a client, according to its request.
    fileprivate mutating func source(in fields: HTTPFields) -> ClientSource? {
        let agent = HTTPWord("User-Agent")
        let isUsual =
            fields.bytes(ofFirst: .origin).isEmpty != fields.has(.origin)
            && fields.bytes(ofFirst: agent).isEmpty != fields.has(agent)
        if isUsual, let known = recent(origin: fields.bytes(ofFirst: .origin), agent: fields.bytes(ofFirst: agent)) {
            return known
        }
        return source(origin: fields.first(.origin), agent: fields.first("User-Agent"))
    }
}

private struct GuardedHandler: DirectHandler {
    let gate: Gate
    let route: Gate.Route

    func handle(_ exchange: HTTPExchange) { gate.enter(exchange, route) }
}

extension HTTPRefusal {
    init(_ failure: AuthenticationFailure) { self.init(Refusal(failure)) }
}

extension Refusal {
    init(_ failure: AuthenticationFailure) {
        switch failure.reason {
        case .invalid: self.init(.unauthenticated, failure.message)
        case .unavailable: self.init(.unavailable, failure.message)
        case .limited: self.init(.limitExceeded, failure.message)
        }
    }
}

// MARK: Attempts

extension HTTPExchange {
    /// Refuses an address that has presented too many wrong credentials, without checking those of this request.
    fileprivate func checkAttempts(_ gate: Gate, on shard: Shard) throws(HTTPRefusal) {
        guard let seconds = shard.credentialBlock(of: request.peer, isForwarded: gate.isForwarded(self)) else { return }
        let refusal = Refusal(.limitExceeded, "Too many wrong credentials from one address: wait \(seconds) s.")
        throw HTTPRefusal(
            status: refusal.code.status, code: refusal.code.rawValue, message: refusal.message,
            fields: ["Retry-After": String(seconds)])
    }

    /// Refuses a client that is banned.
    func checkBans(of principal: Principal, on shard: Shard) throws(HTTPRefusal) {
        if shard.bans.isEmpty { return }
        do throws(Refusal) { try shard.checkBans(of: principal, at: request.peer) } catch { throw HTTPRefusal(error) }
    }

    /// Records rejected credentials.
    fileprivate func failed(
        _ presented: Presented, _ failure: AuthenticationFailure, _ gate: Gate, on shard: Shard
    ) {
        // A session that has ended was valid once, and every page of the browser still sends its cookie.
        if presented.way == .session { return forgetSession() }
        guard failure.isGuess, presented.isGuess else { return }
        shard.credentialsFailed(request.peer, isForwarded: gate.isForwarded(self))
    }

    /// Whether a proxy's header field names the request's client.
    fileprivate var isForwarded: Bool { request.isSpokenFor && request.peer != stream?.peer }

    /// Refuses one more connection of a user that has reached its limit.
    fileprivate func checkConnections(
        of principal: Principal, _ gate: Gate, on shard: Shard
    ) throws(HTTPRefusal) {
        guard principal.user != nil, self[Client.self]?.principal.user.exact != principal.user.exact else {
            return
        }
        do throws(Refusal) {
            try shard.checkConnections(of: principal, at: request.peer) {
                Subject(principal, address: request.peer?.host, listener: gate.listener, isLocal: gate.isLocal)
            }
        } catch {
            throw HTTPRefusal(error)
        }
    }
}
