internal import WSTransport

/// The sessions of one reactor, and their subscriptions.
///
/// Sessions are found by their own numbers, because a session may have no connection. Runs on the reactor's thread.
package final class Directory {
    /// The subscriptions of all sessions.
    ///
    /// Unchecked, because every message reads it: only this class changes it, and in one step.
    @exclusivity(unchecked) private(set) var tree = SubscriptionTree<Subscriber>()
    // Unchecked, because nothing is called while one of these changes.
    @exclusivity(unchecked) private var known: ContiguousArray<(any Session)?> = []
    private var sessions: ContiguousArray<(any Session)?> {
        _read { yield unsafe known }
        _modify { yield unsafe &known }
    }
    private var freeSessions: [UInt32] = []
    /// By connection slot: the number of the session that the connection serves, plus 1; 0: none.
    @exclusivity(unchecked) private var servedSlots: ContiguousArray<UInt32> = []
    private var served: ContiguousArray<UInt32> {
        _read { yield unsafe servedSlots }
        _modify { yield unsafe &servedSlots }
    }
    private var freeSubscriptions: [UInt32] = []
    private var nextSubscription: UInt32 = 0
    private let counters: ShardCounters

    init(counters: ShardCounters) { self.counters = counters }

    // MARK: Sessions

    /// All sessions of this reactor.
    var everybody: [any Session] { sessions.compactMap { $0 } }

    /// The session with a number; `nil` if there is none, or it has left.
    func session(_ number: UInt32) -> (any Session)? {
        Int(number) < sessions.count ? sessions[Int(number)] : nil
    }

    /// The session of a client; `nil` if the client is not on this reactor.
    ///
    /// A linear search, for administrators only: a table would cost each client memory.
    func session(ofClient number: UInt64) -> (any Session)? {
        for case let session? in sessions where session.client.id == number { return session }
        return nil
    }

    /// The session that a connection serves; `nil` if there is none.
    func session(inSlot slot: UInt32) -> (any Session)? {
        guard Int(slot) < served.count, served[Int(slot)] > 0 else { return nil }
        return sessions[Int(served[Int(slot)] - 1)]
    }

    /// The session that a subscription belongs to; `nil` if it has left.
    func session(of entry: Subscriber) -> (any Session)? {
        entry.asksSession ? session(entry.place) : session(inSlot: entry.place)
    }

    /// Registers a session, with the connection it has now, until ``leave(_:)``.
    func join(_ session: any Session) {
        let number = freeSessions.popLast() ?? UInt32(sessions.count)
        if Int(number) == sessions.count { sessions.append(nil) }
        sessions[Int(number)] = session
        session.subscriptions.owner = number
        if let connection = session.connection {
            let slot = Int(connection.slot)
            while served.count <= slot { served.append(0) }
            served[slot] = number + 1
        }
        counters.clients.add(1)
        counters.traffic(of: session.client.endpoint) { $0.clients.add(1) }
    }

    /// Removes a session.
    ///
    /// - Returns: its number, which no other session gets before ``free(_:)``; `nil` if it was not registered.
    func leave(_ session: any Session) -> UInt32? {
        guard isKnown(session) else { return nil }
        let number = session.subscriptions.owner
        sessions[Int(number)] = nil
        if let slot = session.connection.map({ Int($0.slot) }), slot < served.count, served[slot] == number + 1 {
            served[slot] = 0
        }
        session.subscriptions.owner = .max
        counters.clients.add(-1)
        counters.traffic(of: session.client.endpoint) { $0.clients.add(-1) }
        if session.subscriptions.isBehind { counters.behind.add(-1) }
        return number
    }

    /// Makes the number of a session that has left available again; all its subscriptions must be removed.
    func free(_ number: UInt32) { freeSessions.append(number) }

    /// Whether a session has joined and not left.
    func isKnown(_ session: any Session) -> Bool { self.session(session.subscriptions.owner) === session }

    // MARK: Subscriptions

    /// Returns a number for a new subscription.
    func takeNumber() -> UInt32 {
        if let number = freeSubscriptions.popLast() { return number }
        defer { nextSubscription += 1 }
        return nextSubscription
    }

    /// Adds a subscription: from now on messages are delivered to it.
    ///
    /// - Returns: how many filters with many `+` have been added to the tree.
    func add(_ subscription: Subscription, of session: any Session) -> Int {
        let forked = unsafe tree.insert(Self.entry(of: subscription, session), at: subscription.filter)
        counters.subscriptions.add(1)
        return forked
    }

    private static func entry(of subscription: Subscription, _ session: any Session) -> Subscriber {
        guard let lane = session.lane, let connection = session.connection else {
            return Subscriber(
                subscription: subscription.number, askingSession: session.subscriptions.owner,
                skipsOwn: subscription.skipsOwn)
        }
        return Subscriber(
            subscription: subscription.number, slot: connection.slot, lane: lane, skipsOwn: subscription.skipsOwn)
    }

    /// Removes a subscription; its number may be reused from now on.
    ///
    /// - Returns: how many filters with many `+` have been removed from the tree.
    func remove(_ subscription: Subscription) -> Int {
        let forked = unsafe tree.removeCounting(subscription.number)
        freeSubscriptions.append(subscription.number)
        counters.subscriptions.add(-1)
        return forked
    }
}
