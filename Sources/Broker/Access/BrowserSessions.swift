internal import Cryptography
package import Synchronization
package import WSTransport

/// What the cookie of a person at a browser stands for, from the login to its end.
///
/// Any thread.
package final class BrowserSession: Sendable {
    /// Its name in logs, which is not the cookie.
    package let id: String
    /// The SHA-256 of the cookie's value, which itself is not kept.
    fileprivate let digest: [UInt8]
    fileprivate let user: ExactText
    /// As a monotonic time in nanoseconds.
    private let lastUse: Atomic<Int64>
    private let connections = Atomic<Int>(0)
    private let hasEnded = Atomic<Bool>(false)

    fileprivate init(digest: [UInt8], user: String, now: MonotonicTime) {
        id = String(Base64.encode(digest, alphabet: .url).prefix(8))
        self.digest = digest
        self.user = ExactText(user)
        lastUse = Atomic(now.nanoseconds)
    }

    /// Whether it has ended: nothing that came by it goes on.
    package var isEnded: Bool { hasEnded.load(ordering: .relaxed) }

    fileprivate func end() { hasEnded.store(true, ordering: .relaxed) }

    fileprivate func use(_ now: MonotonicTime) { lastUse.store(now.nanoseconds, ordering: .relaxed) }

    /// Whether nobody has used it for so long, in nanoseconds; an open connection is a use.
    fileprivate func isIdle(for most: Int64, now: MonotonicTime) -> Bool {
        connections.load(ordering: .relaxed) == 0 && now.nanoseconds - lastUse.load(ordering: .relaxed) > most
    }

    /// A connection of it is open.
    package func connected() { connections.wrappingAdd(1, ordering: .relaxed) }

    /// One that was open has gone.
    package func disconnected() {
        use(.now)
        connections.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// The people at browsers that have logged in by a password: in memory, a bounded number, of one user and in all.
///
/// Any thread.
package final class BrowserSessions: Sendable {
    /// How long they last, and how many there may be.
    package struct Limits: Sendable, Equatable {
        /// In seconds.
        package var lifetime: Int64 = 12 * 3600
        /// In nanoseconds.
        package var idle: Int64 = 3_600_000_000_000
        /// With one more, the oldest of the user ends.
        package var perUser = 32
        /// With one more, nobody can log in.
        package var all = 10_000

        package init() {}
    }

    fileprivate struct State {
        /// By the SHA-256 of their cookies.
        var principals: [[UInt8]: Principal] = [:]
        /// The oldest first.
        var ofUsers: [ExactText: [BrowserSession]] = [:]
        /// When those that are over were looked for last.
        var sweptAt: MonotonicTime?
    }

    private let state = Mutex(State())
    /// Logins that found no room.
    package let refused = Atomic<Int>(0)
    /// Rises with each that ends before its time.
    package let endings = Atomic<Int>(0)

    /// The name of the cookie: browsers take it from this host alone, over TLS or from their own machine, for all paths.
    package static let cookie = "__Host-broker"
    /// In bytes.
    private static let secretSize = 32
    /// Between two looks for those that are over, in nanoseconds.
    private static let sweepInterval: Int64 = 1_000_000_000

    package init() {}

    /// How many there are, those among them that are over and were not looked for since.
    package var count: Int { state.withLock { $0.principals.count } }

    /// Begins one for a person whose password was right; `nil`: there is no room for more, or no randomness.
    ///
    /// - Parameters:
    ///   - time: in Unix seconds.
    /// - Returns: the cookie's value, and whom it stands for.
    package func begin(
        _ person: Principal, _ limits: Limits, now: MonotonicTime, time: Int64
    ) -> (value: String, principal: Principal)? {
        guard let secret = try? Secret.random(Self.secretSize) else { return nil }
        let value = Base64.encode(secret, alphabet: .url)
        guard let digest = Self.digest(value) else { return nil }
        let session = BrowserSession(digest: digest, user: person.user ?? "", now: now)
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

    /// The user of a cookie, as users are now; `nil`: it stands for none any more.
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

    /// Ends one; its connections are not told by this.
    package func end(_ session: BrowserSession) {
        state.withLock { $0.remove(session) }
        endings.add(1, ordering: .relaxed)
    }

    /// Forgets those of users that are not there any more or have another password, so that none comes back with its user.
    ///
    /// - Parameter time: in Unix seconds.
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

    /// Makes room of those that are over; not again within an interval, in nanoseconds.
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
