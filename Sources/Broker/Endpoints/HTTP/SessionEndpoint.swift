internal import Synchronization
internal import WSTransport

/// `/session`: a person at a browser logs in with a password, and gets a cookie.
///
/// Only pages of this broker's origin may use it, so that no other page can log its reader in or out.
struct SessionEndpoint: Sendable {
    let gate: Gate

    /// The maximum size of a login's body, in bytes.
    private static let maximumBody = 4096
    private static let limit = "access.sessions.maximum"

    static func add(to routing: inout Routing, _ gate: Gate) {
        let endpoint = SessionEndpoint(gate: gate)
        routing.add(["POST"], exactly: "/session") { (exchange) throws(HTTPRefusal) in try endpoint.logIn(exchange) }
        routing.add(
            ["GET"], exactly: "/session",
            gate.guarding { visit throws(HTTPRefusal) in
                try visit.exchange.takesOnly([])
                visit.exchange.respond(Self.answer(visit.principal))
            })
        routing.add(
            ["DELETE"], exactly: "/session",
            gate.guarding { visit throws(HTTPRefusal) in
                try visit.exchange.takesOnly([])
                try Self.logOut(visit)
            })
    }

    // MARK: In

    private func logIn(_ exchange: HTTPExchange) throws(HTTPRefusal) {
        try exchange.takesOnly([])
        guard exchange.isOfSamePage(gate) else {
            throw HTTPRefusal(Refusal(.forbidden, "Log in from a page of this broker; elsewhere use Authorization."))
        }
        guard exchange.request.query.isEmpty, !exchange.request.head.fields.has("Authorization") else {
            throw HTTPRefusal(Refusal(.badRequest, "The credentials of a login must be in its body only."))
        }
        exchange.readBody(maximum: Self.maximumBody) { [gate] body in
            guard let credentials = Self.credentials(body) else {
                return exchange.refuse(Refusal(.badRequest, #"Expected {"user":"NAME","password":"PASSWORD"}."#))
            }
            gate.enter(exchange, by: credentials) { visit throws(HTTPRefusal) in try Self.begin(visit) }
        }
    }

    /// The credentials in the body; `nil` if the body is something else.
    private static func credentials(_ body: Span<UInt8>) -> Credentials? {
        do throws(JSONError) {
            let object = try JSONObject.parse(body)
            guard object.count == 2, let user = try object.string("user"), let password = try object.string("password")
            else { return nil }
            return .basic(user: user, password: password)
        } catch {
            return nil
        }
    }

    private static func begin(_ visit: Visit) throws(HTTPRefusal) {
        let shard = visit.shard
        guard let desk = shard.endpoints.sessions else {
            throw HTTPRefusal(Refusal(.unavailable, "This broker keeps no sessions."))
        }
        let access = shard.access
        let limits = access.options.sessions
        let endings = desk.sessions.endings.load(ordering: .relaxed)
        let time = WallClock.unixMilliseconds / 1000
        guard let begun = desk.sessions.begin(visit.principal, access, limits, now: shard.reactor.now, time: time)
        else {
            shard.reactor[AuditTally.self]?.count(
                AuditTally.Matter(.limitHit, Self.limit), AuditEvent(.limitHit, target: Self.limit))
            throw HTTPRefusal(Refusal(.unavailable, "The limit of \(limits.all) sessions is reached."))
        }
        // The user's oldest session may have ended to make room.
        if desk.sessions.endings.load(ordering: .relaxed) != endings { desk.disconnectEnded() }
        var response = answer(begun.principal)
        response.fields.append("Set-Cookie", HTTPExchange.sessionCookie(begun.value))
        visit.exchange.respond(response)
    }

    // MARK: Out

    private static func logOut(_ visit: Visit) throws(HTTPRefusal) {
        guard let session = visit.principal.session, let desk = visit.shard.endpoints.sessions else {
            throw HTTPRefusal(Refusal(.unauthenticated, "There is no session to end."))
        }
        desk.sessions.end(session)
        desk.disconnectEnded()
        visit.exchange.forgetSession()
        visit.exchange.respond(OutgoingResponse(status: 204, fields: ["Cache-Control": "no-store"]))
    }

    /// The description of a client's credentials.
    private static func answer(_ principal: Principal) -> OutgoingResponse {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.member("kind", principal.kind.rawValue)
        if let user = principal.user { writer.member("user", user) }
        if !principal.roles.isEmpty {
            writer.name("roles")
            writer.beginArray()
            for role in principal.roles.map(\.text).sorted() { writer.string(role) }
            writer.endArray()
        }
        if let expires = principal.expires { writer.member("expires", expires * 1000) }
        writer.endObject()
        return OutgoingResponse(
            status: 200, fields: ["Content-Type": "application/json", "Cache-Control": "no-store"],
            body: writer.takeLine())
    }
}

/// The browser sessions, and all reactors, whose clients end with their sessions; one desk per reactor.
final class SessionDesk {
    let sessions: BrowserSessions
    private let everyone: ShardGroup
    /// The value of ``BrowserSessions/endings`` at the last look for ended sessions.
    private var looked = 0

    init(_ sessions: BrowserSessions, _ everyone: ShardGroup) {
        self.sessions = sessions
        self.everyone = everyone
    }

    /// Disconnects the clients of ended sessions, on all reactors.
    func disconnectEnded() { everyone.run { $0.endpoints.sessions?.disconnectEnded(on: $0) } }

    private func disconnectEnded(on shard: Shard) {
        let endings = sessions.endings.load(ordering: .relaxed)
        // One look covers all sessions that ended before it.
        guard looked != endings else { return }
        looked = endings
        shard.endSessions { $0.session?.isEnded ?? false }
    }
}

extension HTTPExchange {
    /// Whether the request was sent by a page of exactly the origin that it is for.
    func isOfSamePage(_ gate: Gate) -> Bool {
        let fields = request.head.fields
        guard let origin = fields.first("Origin"), let shard = try? shard() else { return false }
        return OriginPolicy.Rule.sameOrigin.allowsExactly(
            OriginPolicy.Page(
                origin: origin, host: fields.first("Host"), isSecure: gate.isSecure,
                scheme: gate.scheme(of: self, shard.endpoints)))
    }

    /// The cookie of a session; `SameSite` and `HttpOnly` keep it from other sites and from scripts.
    static func sessionCookie(_ value: String) -> String {
        "\(BrowserSessions.cookie)=\(value); Path=/; Secure; HttpOnly; SameSite=Strict"
    }

    /// Deletes the cookie of a session that has ended.
    func forgetSession() { extraFields.append("Set-Cookie", Self.sessionCookie("") + "; Max-Age=0") }
}
