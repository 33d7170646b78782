package import Cryptography
package import Synchronization
package import WSTransport

/// Finds out whether passwords are right, on a few threads that yield to others: each computation takes memory and long.
///
/// One computation is enough for identical checks that wait, and what was right is remembered for a time. Any thread.
package final class PasswordChecks: Sendable {
    /// What a check comes to.
    package enum Outcome: Sendable, Equatable {
        case right
        case wrong
        /// Too many wait already, or the computation has failed.
        case unavailable
        /// Too many of the user's were computed lately.
        case limited
    }

    package typealias Reply = @Sendable (Outcome) -> Void

    /// How many checks may wait for a thread.
    package static let maximumWaiting = 64
    /// How many passwords that were right are remembered.
    package static let maximumRemembered = 4096
    /// How many passwords of one user are computed for all addresses together that it has not come from lately, and how many
    /// for each that it has: strangers who guess use up the first.
    static let perUser = Rate(10, perMilliseconds: 60_000)
    /// How many clients may wait for one computation.
    static let maximumReplies = 1024

    fileprivate struct State {
        /// Those under way or waiting, with the clients that wait for them.
        var waiting: [[UInt8]: [Reply]] = [:]
        /// When what was right is forgotten.
        var right: [[UInt8]: MonotonicTime] = [:]
        /// What is left to each user, whether it exists or not, and to each at an address that it has come from.
        var users = AccountTable<ExactText>()
        var places = AccountTable<Place>()
    }

    /// A user at an address, of IPv6 at its network.
    fileprivate struct Place: Hashable, Sendable {
        let user: ExactText
        let network: SocketAddress

        /// `nil`: the client has no address.
        init?(_ user: String, _ address: String?) {
            guard let network = address.flatMap({ SocketAddress(host: $0, port: 0) })?.network else { return nil }
            (self.user, self.network) = (user.exact, network)
        }
    }

    private let state = Mutex(State())
    private let pool: WorkerPool
    /// Of this process: nobody can make use of what is remembered.
    private let key: [UInt8]
    /// What an unknown user's password is compared with, so that it takes as long.
    private let nobody: PasswordHash
    /// Computations that were begun.
    package let begun = Atomic(0)
    /// Checks that were turned away.
    package let refused = Atomic(0)
    /// Checks that were turned away since too many of their user's were computed.
    package let limited = Atomic(0)

    /// - Parameter threads: how many computations there are at a time.
    package init(threads: Int) throws(CryptographyError) {
        pool = WorkerPool(
            name: "password", maximumThreads: threads, maximumWaiting: Self.maximumWaiting, isModest: true)
        key = try Secret.random(32)
        nobody = try PasswordHash.ofNobody()
    }

    /// Has so many computations at a time from now on.
    package func adopt(threads: Int) { pool.adopt(maximumThreads: threads) }

    /// How many checks wait for a thread.
    package var waiting: Int { pool.waiting }

    /// Whether a password was found right lately, without a computation.
    ///
    /// - Parameter hash: what it is compared with now; a changed password is not remembered.
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

    /// Compares a password, and replies once, on a thread of its own or at once.
    ///
    /// - Parameters:
    ///   - hash: what it is compared with; `nil`: there is nothing, which takes as long.
    ///   - address: the client's, without the port; `nil`: it has none.
    ///   - memory: how long a right one is remembered, in nanoseconds; 0: not at all.
    package func check(
        _ user: String, _ password: String, _ hash: PasswordHash?, from address: String? = nil, memory: Int64,
        now: MonotonicTime = .now, reply: @escaping Reply
    ) {
        guard let mark = mark(user, password, hash ?? nobody) else { return reply(.unavailable) }
        let home = Place(user, address)
        enum Turn { case first, later, none, limited }
        let turn = state.withLock { state -> Turn in
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
            // One that is quickly compared would tell that its user exists.
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

    /// Forgets what was right, as after a change of users.
    package func forget() { state.withLock { $0.right = [:] } }

    private func mark(_ user: String, _ password: String, _ hash: PasswordHash) -> [UInt8]? {
        // With their lengths, so that no two of these look alike.
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
    /// Whether one more password of a user is computed.
    fileprivate mutating func mayCompute(
        for user: String, at home: PasswordChecks.Place?, now: MonotonicTime
    ) -> Bool {
        let known = home.flatMap { places.known($0) }
        return (known ?? users.account(of: user.exact)).failures.take(1, of: PasswordChecks.perUser, now: now)
    }

    /// Forgets what is over, and if that is nothing, what is over first.
    fileprivate mutating func makeRoom(_ now: MonotonicTime) {
        right = right.filter { $0.value > now }
        guard right.count >= PasswordChecks.maximumRemembered, let first = right.min(by: { $0.value < $1.value }) else {
            return
        }
        right[first.key] = nil
    }
}
