internal import Synchronization
package import WSTransport

/// Counts what one address and one user use in total, over all connections and reactors.
///
/// Any thread.
package final class Quotas: Sendable {
    /// The limits of one address or one user; `nil` means no limit.
    package struct Limits: Sendable, Equatable {
        package var connections: Int?
        package var arrivals: Rate?
        /// Publications a second, and bytes of payload a second.
        package var publishes: Int?
        package var bytes: Int?
        package var subscriptions: Int?

        package init() {}

        /// Whether publishing is metered.
        package var metersPublishing: Bool { publishes != nil || bytes != nil }
    }

    /// All limits.
    package struct Rules: Sendable, Equatable {
        package var address = Limits()
        package var user = Limits()
        /// Whether the limits of an address also apply to clients on this machine.
        package var countsLoopback = false
        /// The rate of wrong credentials from one address; `nil` if it is not limited.
        package var failures: Rate?

        package init() {}

        /// Whether a client of that address is counted; a client on this machine is only if that is configured.
        ///
        /// - Parameter isForwarded: whether a proxy names the address; a loopback address then is another machine's.
        package func counts(_ peer: SocketAddress?, isForwarded: Bool = false) -> Bool {
            guard let peer, peer.path == nil else { return false }
            return countsLoopback || isForwarded || !peer.isLoopback
        }

        /// The same for a client whose rules set other limits for its user.
        package func with(_ limits: RuleLimits?) -> Rules {
            guard let limits else { return self }
            var rules = self
            rules.user.connections = limits.connections.map(\.most) ?? user.connections
            rules.user.publishes = limits.publishRate.map(\.most) ?? user.publishes
            rules.user.bytes = limits.publishBytes.map(\.most) ?? user.bytes
            rules.user.subscriptions = limits.subscriptions.map(\.most) ?? user.subscriptions
            return rules
        }
    }

    private struct State {
        var addresses = AccountTable<SocketAddress>()
        var users = AccountTable<ExactText>()
    }

    private let state = Mutex(State())
    private let hits = Mutex<[String: Int]>([:])

    package init() {}

    /// How often each limit was reached, by the setting's name below `limits`.
    package var reached: [(limit: String, count: Int)] {
        hits.withLock { hits in
            Self.names.map { ($0, hits[$0] ?? 0) }
        }
    }

    package func reached(_ limit: String) { hits.withLock { $0[limit, default: 0] += 1 } }

    private static let names = [
        "authentication_failures", "per_address.connections", "per_address.new_connections",
        "per_address.publish_bytes",
        "per_address.publish_rate", "per_address.subscriptions", "per_user.connections", "per_user.publish_bytes",
        "per_user.publish_rate", "per_user.subscriptions",
    ]

    /// The account of an address, or of its network with IPv6; `nil` if it is not counted.
    func address(_ peer: SocketAddress?, _ rules: Rules, isForwarded: Bool = false) -> Account? {
        guard rules.counts(peer, isForwarded: isForwarded), let network = peer?.network else { return nil }
        return state.withLock { $0.addresses.account(of: network) }
    }

    /// The account of a user.
    func user(_ name: String) -> Account { state.withLock { $0.users.account(of: name.exact) } }

    // MARK: Connections

    /// Why a new connection is refused; `nil` if it is accepted.
    ///
    /// For an accepted connection, ``left(_:)`` must be called when it has ended.
    ///
    /// - Parameter account: the account of its address.
    func admit(_ account: Account, _ rules: Rules, now: MonotonicTime) -> (limit: String, refusal: Refusal)? {
        if let rate = rules.address.arrivals, !account.arrivals.take(1, of: rate, now: now) {
            return refuse("per_address.new_connections", .rateLimited, "Too many new connections from one address.")
        }
        guard Account.enter(account.connections, below: rules.address.connections) else {
            let most = rules.address.connections ?? 0
            let message = "The limit of \(most) connections from one address is reached."
            return refuse("per_address.connections", .limitExceeded, message)
        }
        return nil
    }

    private func refuse(_ limit: String, _ code: ErrorCode, _ message: String) -> (limit: String, refusal: Refusal) {
        reached(limit)
        return (limit, Refusal(code, message))
    }

    /// The limit that another connection of a user would exceed; `nil` if none.
    func excess(ofUser name: String, _ rules: Rules) -> String? {
        guard let most = rules.user.connections, user(name).connections.load(ordering: .relaxed) >= most else {
            return nil
        }
        reached("per_user.connections")
        return "per_user.connections"
    }

    /// Records that an accepted connection has ended.
    func left(_ account: Account) { account.connections.wrappingSubtract(1, ordering: .relaxed) }

    /// Why another connection of an address that a proxy names is refused; `nil` if it is accepted.
    func excess(
        forwardedFrom peer: SocketAddress?, _ rules: Rules, now: MonotonicTime
    ) -> (limit: String, refusal: Refusal)? {
        guard let account = address(peer, rules, isForwarded: true) else { return nil }
        if let found = admit(account, rules, now: now) { return found }
        // The client will be counted itself.
        left(account)
        return nil
    }

    // MARK: Credentials

    /// How long credentials from an address are not examined because too many were wrong, in seconds; `nil` if they are
    /// examined.
    package func block(
        of peer: SocketAddress?, _ rules: Rules, isForwarded: Bool = false, now: MonotonicTime
    ) -> Int? {
        guard rules.failures != nil,
            let until = address(peer, rules, isForwarded: isForwarded)?.blockedUntil.load(ordering: .relaxed),
            until > now.nanoseconds
        else { return nil }
        reached("authentication_failures")
        return max(1, Int((until - now.nanoseconds + 999_999_999) / 1_000_000_000))
    }

    /// Records wrong credentials from an address; beyond the limit it is blocked for a second, then twice as long each
    /// time.
    package func failed(_ peer: SocketAddress?, _ rules: Rules, isForwarded: Bool = false, now: MonotonicTime) {
        guard let rate = rules.failures, let account = address(peer, rules, isForwarded: isForwarded) else { return }
        if account.failures.take(1, of: rate, now: now) {
            // The address is within the limit again, so it has been quiet for a while.
            return account.lastBlock.store(0, ordering: .relaxed)
        }
        let length = min(Self.longestBlock, max(Self.shortestBlock, account.lastBlock.load(ordering: .relaxed) * 2))
        account.lastBlock.store(length, ordering: .relaxed)
        account.blockedUntil.store(now.nanoseconds + length, ordering: .relaxed)
    }

    /// In nanoseconds.
    private static let shortestBlock: Int64 = 1_000_000_000
    private static let longestBlock: Int64 = 60_000_000_000
}

/// The part of its accounts that one client uses.
///
/// Runs on its reactor's thread.
final class Membership {
    private let quotas: Quotas
    private let address: Account?
    private let user: Account?
    private let session: BrowserSession?
    private var subscriptions = 0
    /// Whether it also counts as a connection of the address, because nothing else does.
    let isConnection: Bool

    /// `nil` if the client counts for no account.
    ///
    /// - Parameters:
    ///   - isForwarded: whether a proxy names the address.
    ///   - isConnection: whether it also counts as a connection of the address.
    init?(
        _ quotas: Quotas, _ rules: Quotas.Rules, peer: SocketAddress?, isForwarded: Bool = false,
        isConnection: Bool = false, _ principal: Principal
    ) {
        address = quotas.address(peer, rules, isForwarded: isForwarded)
        user = principal.user.map { quotas.user($0) }
        session = principal.session
        self.quotas = quotas
        self.isConnection = isConnection
        guard address != nil || user != nil || session != nil else { return nil }
        session?.connected()
        user?.connections.wrappingAdd(1, ordering: .relaxed)
        if isConnection { address?.connections.wrappingAdd(1, ordering: .relaxed) }
    }

    deinit {
        session?.disconnected()
        user?.connections.wrappingSubtract(1, ordering: .relaxed)
        if isConnection { address?.connections.wrappingSubtract(1, ordering: .relaxed) }
        hold(0)
    }

    /// The limit because of which another publication is refused; `nil` if it is within all limits.
    func meter(_ bytes: Int, _ rules: Quotas.Rules, now: MonotonicTime) -> String? {
        for (scope, account, limits) in [("per_user", user, rules.user), ("per_address", address, rules.address)] {
            guard let account else { continue }
            if let rate = limits.publishes, !account.publishes.take(1, of: Rate(rate), now: now) {
                return reach("\(scope).publish_rate")
            }
            if let rate = limits.bytes, !account.bytes.take(bytes, of: Rate(rate), now: now) {
                return reach("\(scope).publish_bytes")
            }
        }
        return nil
    }

    /// The limit that `count` more subscriptions would exceed; `nil` if none.
    func room(for count: Int, _ rules: Quotas.Rules) -> String? {
        for (scope, account, limits) in [("per_user", user, rules.user), ("per_address", address, rules.address)] {
            guard let account, let most = limits.subscriptions else { continue }
            if account.subscriptions.load(ordering: .relaxed) + count > most { return reach("\(scope).subscriptions") }
        }
        return nil
    }

    private func reach(_ limit: String) -> String {
        quotas.reached(limit)
        return limit
    }

    /// Records how many subscriptions the client has.
    func hold(_ count: Int) {
        let more = count - subscriptions
        guard more != 0 else { return }
        subscriptions = count
        address?.subscriptions.wrappingAdd(more, ordering: .relaxed)
        user?.subscriptions.wrappingAdd(more, ordering: .relaxed)
    }
}
