internal import Cryptography
package import Synchronization
package import WSTransport

/// A login of a person at a browser, identified by a cookie.
///
/// Any thread.
package final class BrowserSession: Sendable {
    /// The session's name in logs; it does not reveal the cookie.
    package let id: String
    /// The SHA-256 of the cookie's value; the value itself is not stored.
    fileprivate let digest: [UInt8]
    fileprivate let user: ExactText
    /// The version of the access data that accepted the password; a reactor that has older data cannot judge it.
    fileprivate let version: UInt64
    /// The monotonic time of the last use, in nanoseconds.
    private let lastUse: Atomic<Int64>
    private let connections = Atomic<Int>(0)
    private let hasEnded = Atomic<Bool>(false)

    fileprivate init(digest: [UInt8], user: String, version: UInt64, now: MonotonicTime) {
        id = String(Base64.encode(digest, alphabet: .url).prefix(8))
        self.digest = digest
        self.user = ExactText(user)
        self.version = version
        lastUse = Atomic(now.nanoseconds)
    }

    /// Whether the session has ended; connections that were opened with it must close.
    package var isEnded: Bool { hasEnded.load(ordering: .relaxed) }

    fileprivate func end() { hasEnded.store(true, ordering: .relaxed) }

    fileprivate func use(_ now: MonotonicTime) { lastUse.store(now.nanoseconds, ordering: .relaxed) }

    /// Whether the session was unused for longer than `most` nanoseconds; an open connection counts as use.
    fileprivate func isIdle(for most: Int64, now: MonotonicTime) -> Bool {
        connections.load(ordering: .relaxed) == 0 && now.nanoseconds - lastUse.load(ordering: .relaxed) > most
    }

    /// Counts a connection that was opened with the session.
    package func connected() { connections.wrappingAdd(1, ordering: .relaxed) }

    /// Counts the end of a connection.
    package func disconnected() {
        use(.now)
        connections.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// The logins at browsers by password: kept in memory, bounded per user and in all.
///
/// Any thread.
package final class BrowserSessions: Sendable {
    /// The lifetimes and the maximum numbers of sessions.
    package struct Limits: Sendable, Equatable {
        /// The lifetime of a session, in seconds.
        package var lifetime: Int64 = 12 * 3600
        /// How long a session may be unused, in nanoseconds.
        package var idle: Int64 = 3_600_000_000_000
        /// The maximum of one user; one more login ends the user's oldest session.
        package var perUser = 32
        /// The maximum of all users; one more login is refused.
        package var all = 10_000

        package init() {}
    }

    fileprivate struct State {
        /// The principals by the SHA-256 of their cookies.
        var principals: [[UInt8]: Principal] = [:]
        /// The sessions of each user, the oldest first.
        var ofUsers: [ExactText: [BrowserSession]] = [:]
        /// When expired sessions were last removed.
        var sweptAt: MonotonicTime?
    }

    private let state = Mutex(State())
    /// Logins that were refused because ``Limits/all`` was reached.
    package let refused = Atomic<Int>(0)
    /// Rises each time a session is ended; not when expired sessions are swept.
    package let endings = Atomic<Int>(0)

    /// The name of the cookie; browsers send a `__Host-` cookie only to its host, over TLS or on loopback.
    package static let cookie = "__Host-broker"
    /// The size of a cookie's random value, in bytes.
    private static let secretSize = 32
    /// The shortest time between two removals of expired sessions, in nanoseconds.
    private static let sweepInterval: Int64 = 1_000_000_000

    package init() {}

    /// How many sessions there are, including expired ones that were not removed yet.
    package var count: Int { state.withLock { $0.principals.count } }

    /// Begins a session after a correct password; `nil` if the limit is reached or no random bytes are available.
    ///
    /// - Parameters:
    ///   - access: the access data that accepted the password.
    ///   - time: Unix seconds.
    /// - Returns: the cookie's value, and the principal of the session.
    package func begin(
        _ person: Principal, _ access: Access, _ limits: Limits, now: MonotonicTime, time: Int64
    ) -> (value: String, principal: Principal)? {
        guard let secret = try? Secret.random(Self.secretSize) else { return nil }
        let value = Base64.encode(secret, alphabet: .url)
        guard let digest = Self.digest(value) else { return nil }
        let session = BrowserSession(digest: digest, user: person.user ?? "", version: access.version, now: now)
        let principal = Principal(
            .session, user: person.user, roles: person.roles, token: session.id, expires: time + limits.lifetime,
            issued: time, stamp: person.stamp, session: session)
        let isIn = state.withLock { state in
            while let oldest = state.ofUsers[session.user]?.first,
                state.ofUsers[session.user]?.count ?? 0 >= limits.perUser
            {
                state.remove(oldest)
                endings.add(1, ordering: .relaxed)
            }
            if state.principals.count >= limits.all { state.sweep(limits, now: now, time: time, Self.sweepInterval) }
            guard state.principals.count < limits.all else { return false }
            state.principals[session.digest] = principal
            state.ofUsers[session.user, default: []].append(session)
            return true
        }
        guard isIn else {
            refused.add(1, ordering: .relaxed)
            return nil
        }
        return (value, principal)
    }

    /// The principal of a cookie, with the user's present roles; `nil` if the session is unknown or has ended.
    package func principal(
        of value: String, _ access: Access, now: MonotonicTime, time: Int64
    ) -> Principal? {
        guard let digest = Self.digest(value), let known = state.withLock({ $0.principals[digest] }),
            let session = known.session
        else { return nil }
        guard time < known.expires ?? 0, !session.isIdle(for: access.options.sessions.idle, now: now) else {
            end(session)
            return nil
        }
        session.use(now)
        if access.version < session.version { return known }
        switch access.renewal(of: known, from: { nil }, now: time) {
        case .same: return known
        case .changed(let new):
            state.withLock { state in if state.principals[digest] != nil { state.principals[digest] = new } }
            return new
        case .ended:
            end(session)
            return nil
        }
    }

    /// Ends a session; the caller closes its connections.
    package func end(_ session: BrowserSession) {
        state.withLock { $0.remove(session) }
        endings.add(1, ordering: .relaxed)
    }

    /// Ends the sessions of users that were removed or disabled, or whose password changed.
    ///
    /// A user that is added again later does not get the old sessions back.
    ///
    /// - Parameter time: Unix seconds.
    package func review(_ access: Access, time: Int64 = WallClock.unixMilliseconds / 1000) {
        for principal in state.withLock({ Array($0.principals.values) }) {
            guard let session = principal.session else { continue }
            if case .ended = access.renewal(of: principal, from: { nil }, now: time) { end(session) }
        }
    }

    private static func digest(_ value: String) -> [UInt8]? {
        let bytes = Array(value.utf8)
        return try? HashFunction.sha256.digest(of: bytes.span)
    }
}

extension BrowserSessions.State {
    fileprivate mutating func remove(_ session: BrowserSession) {
        session.end()
        principals[session.digest] = nil
        ofUsers[session.user]?.removeAll { $0 === session }
        if ofUsers[session.user]?.isEmpty ?? false { ofUsers[session.user] = nil }
    }

    /// Removes expired sessions, but at most once per `interval`, in nanoseconds.
    fileprivate mutating func sweep(
        _ limits: BrowserSessions.Limits, now: MonotonicTime, time: Int64, _ interval: Int64
    ) {
        if let sweptAt, now.nanoseconds(since: sweptAt) < interval { return }
        sweptAt = now
        for principal in principals.values {
            guard let session = principal.session else { continue }
            if time >= principal.expires ?? 0 || session.isIdle(for: limits.idle, now: now) { remove(session) }
        }
    }
}
