package import Cryptography
package import Synchronization
package import WSTransport

/// Verifies passwords on a few threads of low priority, because each computation takes memory and time.
///
/// Identical checks share one computation, and correct passwords are remembered for a time. Any thread.
package final class PasswordChecks: Sendable {
    /// The result of a check.
    package enum Outcome: Sendable, Equatable {
        case right
        case wrong
        /// Too many checks are waiting, or the computation failed.
        case unavailable
        /// Too many passwords of the user were computed lately.
        case limited
    }

    package typealias Reply = @Sendable (Outcome) -> Void

    /// How many checks may wait for a thread.
    package static let maximumWaiting = 64
    /// How many correct passwords are remembered.
    package static let maximumRemembered = 4096
    /// How many passwords of one user are computed: one such allowance for each address that the user has logged in
    /// from lately, and one for all other addresses together, so that an attacker cannot use up the user's own.
    static let perUser = Rate(10, perMilliseconds: 60_000)
    /// How many clients may share one computation.
    static let maximumReplies = 1024

    fileprivate struct State {
        /// The checks that are running or waiting, with the replies to their clients.
        var waiting: [[UInt8]: [Reply]] = [:]
        /// When each remembered password is forgotten.
        var right: [[UInt8]: MonotonicTime] = [:]
        /// The allowances of users, existing or not, and of users at addresses that they have logged in from.
        var users = AccountTable<ExactText>()
        var places = AccountTable<Place>()
    }

    /// A user at an address, or at an IPv6 network.
    fileprivate struct Place: Hashable, Sendable {
        let user: ExactText
        let network: SocketAddress

        /// Creates a place; `nil` if the client has no address.
        init?(_ user: String, _ address: String?) {
            guard let network = address.flatMap({ SocketAddress(host: $0, port: 0) })?.network else { return nil }
            (self.user, self.network) = (user.exact, network)
        }
    }

    private let state = Mutex(State())
    private let pool: WorkerPool
    /// A random key of this process: the remembered marks are useless to others.
    private let key: [UInt8]
    /// The hash that an unknown user's password is compared with, so that the answer takes as long.
    private let nobody: PasswordHash
    /// Computations that were started.
    package let begun = Atomic(0)
    /// Checks that were refused because too many were waiting.
    package let refused = Atomic(0)
    /// Checks that were refused because too many passwords of their user were computed.
    package let limited = Atomic(0)

    /// - Parameters:
    ///   - threads: the maximum number of computations at a time.
    ///   - cost: that of the password of an unknown user.
    package init(threads: Int, cost: Scrypt = .standard) throws(CryptographyError) {
        pool = WorkerPool(
            name: "password", maximumThreads: threads, maximumWaiting: Self.maximumWaiting, isModest: true)
        key = try Secret.random(32)
        nobody = try PasswordHash.ofNobody(cost: cost)
    }

    /// Changes the maximum number of computations at a time.
    package func adopt(threads: Int) { pool.adopt(maximumThreads: threads) }

    /// How many checks wait for a thread.
    package var waiting: Int { pool.waiting }

    /// Whether a password was found correct lately; takes no computation.
    ///
    /// - Parameter hash: the user's present hash; a changed password is not remembered.
    package func remembers(
        _ user: String, _ password: String, _ hash: PasswordHash?, now: MonotonicTime
    ) -> Bool {
        guard let hash, let mark = mark(user, password, hash) else { return false }
        return state.withLock { state in
            guard let end = state.right[mark] else { return false }
            if now < end { return true }
            state.right[mark] = nil
            return false
        }
    }

    /// Verifies a password, and replies once, on another thread or before it returns.
    ///
    /// - Parameters:
    ///   - hash: the user's hash; `nil` for an unknown user, whose check takes as long.
    ///   - address: the client's address, without the port; `nil` if it has none.
    ///   - memory: how long a correct password is remembered, in nanoseconds; 0 for not at all.
    package func check(
        _ user: String, _ password: String, _ hash: PasswordHash?, from address: String? = nil, memory: Int64,
        now: MonotonicTime = .now, reply: @escaping Reply
    ) {
        guard let mark = mark(user, password, hash ?? nobody) else { return reply(.unavailable) }
        let home = Place(user, address)
        enum Turn { case first, later, none, limited, known }
        let turn = state.withLock { state -> Turn in
            // Another check of it may have ended since the caller asked whether it is remembered.
            if let end = state.right[mark], now < end { return .known }
            guard let others = state.waiting[mark] else {
                guard state.mayCompute(for: user, at: home, now: now) else { return .limited }
                state.waiting[mark] = [reply]
                return .first
            }
            guard others.count < Self.maximumReplies else { return .none }
            state.waiting[mark]?.append(reply)
            return .later
        }
        switch turn {
        case .later: return
        case .known: return reply(.right)
        case .limited:
            limited.add(1, ordering: .relaxed)
            return reply(.limited)
        case .none:
            refused.add(1, ordering: .relaxed)
            return reply(.unavailable)
        case .first: break
        }
        let isTaken = pool.run { [self] in
            begun.add(1, ordering: .relaxed)
            // A quick comparison would reveal that the user exists.
            if let hash, hash.isWeak { _ = try? nobody.matches(password) }
            let isRight = try? (hash ?? nobody).matches(password)
            let outcome: Outcome = isRight.map { $0 && hash != nil ? .right : .wrong } ?? .unavailable
            conclude(mark, outcome, at: home, memory: memory)
        }
        guard !isTaken else { return }
        refused.add(1, ordering: .relaxed)
        conclude(mark, .unavailable, at: nil, memory: 0)
    }

    private func conclude(_ mark: [UInt8], _ outcome: Outcome, at home: Place?, memory: Int64) {
        let replies = state.withLock { state in
            if outcome == .right, let home { _ = state.places.account(of: home) }
            if outcome == .right, memory > 0 {
                if state.right.count >= Self.maximumRemembered { state.makeRoom(.now) }
                state.right[mark] = MonotonicTime.now.advanced(byNanoseconds: memory)
            }
            return state.waiting.removeValue(forKey: mark) ?? []
        }
        for reply in replies { reply(outcome) }
    }

    /// Forgets all remembered passwords, after a change of the users.
    package func forget() { state.withLock { $0.right = [:] } }

    private func mark(_ user: String, _ password: String, _ hash: PasswordHash) -> [UInt8]? {
        // The lengths are included, so that no two different inputs give the same text.
        let text = Array("\(user.utf8.count) \(user)\(password.utf8.count) \(password)\(hash.text)".utf8)
        let key = key
        do throws(CryptographyError) {
            return try HashFunction.sha256.authenticate(text.span, key: key.span)
        } catch {
            return nil
        }
    }
}

extension PasswordChecks.State {
    /// Whether one more password of a user may be computed.
    fileprivate mutating func mayCompute(
        for user: String, at home: PasswordChecks.Place?, now: MonotonicTime
    ) -> Bool {
        let known = home.flatMap { places.known($0) }
        return (known ?? users.account(of: user.exact)).failures.take(1, of: PasswordChecks.perUser, now: now)
    }

    /// Removes expired marks, or else the one that expires first.
    fileprivate mutating func makeRoom(_ now: MonotonicTime) {
        right = right.filter { $0.value > now }
        guard right.count >= PasswordChecks.maximumRemembered, let first = right.min(by: { $0.value < $1.value }) else {
            return
        }
        right[first.key] = nil
    }
}
