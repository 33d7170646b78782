package import WSTransport

/// The doors: every action of a client passes through one of these methods, which makes all checks, once.
extension Shard {
    /// Makes the client of a new connection.
    ///
    /// - Parameters:
    ///   - listener: the listener's address as configured.
    ///   - isLocal: whether that address is on loopback or in the file system.
    ///   - isForwarded: whether a proxy names the client's address.
    ///   - isConnection: whether it also counts as a connection of the address, because nothing else does.
    package func makeClient(
        _ principal: Principal, peer: SocketAddress?, protocolName: String, listener: String = "",
        isLocal: Bool = true, isForwarded: Bool = false, isConnection: Bool = false
    ) -> Client {
        defer { counters.grants.set(grants.count) }
        let client = Client(
            id: clientNumbers.next(), principal, address: peer.map(\.description) ?? "", listener: listener,
            isLocal: isLocal, protocolName: protocolName, connectedAt: WallClock.unixMilliseconds, grants)
        client.isForwarded = isForwarded
        client.membership = membership(of: principal, from: peer, isForwarded: isForwarded, isConnection: isConnection)
        return client
    }

    /// `nil` if the client counts for no account.
    private func membership(
        of principal: Principal, from peer: SocketAddress?, isForwarded: Bool, isConnection: Bool
    ) -> Membership? {
        let rules = settings.limits.quotas
        guard let quotas, principal.user != nil || rules.counts(peer, isForwarded: isForwarded) else { return nil }
        return Membership(
            quotas, rules, peer: peer, isForwarded: isForwarded, isConnection: isConnection, principal)
    }

    /// Refuses everything once the broker has begun to shut down, and before it has what its cluster has.
    package func checkOpen() throws(Refusal) {
        try checkNotDraining()
        if let isServing, !isServing() { throw Self.isNew }
    }

    /// Refuses everything once the broker has begun to shut down; administrators need it before, too.
    package func checkNotDraining() throws(Refusal) {
        if isDraining { throw Refusal(.unavailable, "The broker is shutting down.") }
    }

    private static let isNew = Refusal(
        .unavailable, "The broker has not caught up with its cluster yet; try another, or try again.")

    // MARK: Publishing

    /// Publishes for a client, at the end of this turn.
    ///
    /// Inlined: see ``Publications/add(_:by:from:)``.
    ///
    /// - Parameter source: the connection of the draft, which is paused while other reactors cannot keep up.
    @inline(__always)
    package func publish(
        _ draft: consuming Draft, by client: Client, from source: StreamConnection?
    ) throws(Refusal) {
        // Nearly every publication passes here; calling the other checks would copy the draft.
        if isDraining || draft.topic.isReserved || !client.publishesAnywhere || draft.isConditional {
            try check(draft, by: client)
            if case .ephemeral(let lease) = draft.condition {
                return try publish(draft, lease, by: client, from: source)
            }
        }
        if settings.limits.isMetered { try meter(draft.message.payloadCount, of: client, draft.topic) }
        // Only the token: each look at the connection counts references.
        let token = source?.token ?? Draft.noSource
        counters.received(draft.message.payloadCount, by: client.endpoint)
        client.countPublication()
        charge(token)
        publications.add(draft, by: client, from: token)
    }

    /// Publishes an ephemeral value, whose rights have been checked.
    private func publish(
        _ draft: consuming Draft, _ lease: Lease, by client: Client, from source: StreamConnection?
    ) throws(Refusal) {
        // Without a connection that lasts, the value would never be removed.
        guard let session = source.flatMap({ directory.session(inSlot: $0.slot) }), session.client === client else {
            throw Refusal(.badRequest, "ephemeral: requires a lasting connection, /ws or a topic socket.")
        }
        if settings.limits.isMetered { try meter(draft.message.payloadCount, of: client, draft.topic) }
        let topic = draft.topic
        do throws(Refusal) { try leases.take(&draft, lease, by: client.id, settings.limits) } catch {
            recorder.refused(error, topic.name, client.id, topic: topic)
            if let limit = error.limit { witness?.limited(client, by: limit) }
            throw error
        }
        counters.received(draft.message.payloadCount, by: client.endpoint)
        client.countPublication()
        let token = source?.token ?? Draft.noSource
        charge(token)
        publications.add(draft, by: client, from: token)
    }

    /// Refuses a publication that exceeds a limit of the client, its address or its user.
    @inline(never)
    private func meter(_ bytes: Int, of client: Client, _ topic: Topic) throws(Refusal) {
        if let rate = settings.limits.publishRate, !client.mayPublish(perSecond: rate, now: reactor.now) {
            counters.rateLimited.add(1)
            witness?.limited(client, by: "limits.publish_rate")
            let refusal = Refusal(.rateLimited, "More than \(rate) messages a second.")
            recorder.refused(refusal, topic.name, client.id, topic: topic)
            throw refusal
        }
        guard let membership = client.membership,
            let limit = membership.meter(bytes, quotaRules(of: client), now: reactor.now)
        else { return }
        counters.rateLimited.add(1)
        witness?.limited(client, by: "limits.\(limit)")
        let refusal = Refusal(.rateLimited, "The limit limits.\(limit) is reached.")
        recorder.refused(refusal, topic.name, client.id, topic: topic)
        throw refusal
    }

    /// Tells the witness of a limit that has refused a publication after it was accepted here.
    ///
    /// - Parameter source: as ``Draft/source``.
    func limited(_ source: UInt64, by limit: String) {
        let connection = reactor.connection(of: source)
        if let session = connection.flatMap({ directory.session(inSlot: $0.slot) }) {
            witness?.limited(session.client, by: limit)
        } else {
            witness?.limited(connection?.peer, by: limit)
        }
    }

    /// The same for a client that has been answered, by its number, on its reactor; stores in a cluster have no limits.
    func limited(origin: UInt64, by limit: String) {
        guard ClientNumbers.shard(of: origin) == index else { return }
        guard let session = directory.session(ofClient: origin) else { return witness?.limited(nil, by: limit) ?? () }
        witness?.limited(session.client, by: limit)
    }

    /// The limits of a client: those of its rules, or else those of all users.
    func quotaRules(of client: Client) -> Quotas.Rules { settings.limits.quotas.with(client.limits(grants)) }

    /// Refuses another connection of a user that has the maximum number.
    ///
    /// - Parameter subject: makes the client as the rules see it; called only if rules set limits.
    package func checkConnections(
        of principal: Principal, at peer: SocketAddress?, _ subject: () -> Subject
    ) throws(Refusal) {
        guard let quotas, let user = principal.user else { return }
        let own = access.rules.hasLimits ? access.rules.limits(for: subject()) : nil
        guard let limit = quotas.excess(ofUser: user, settings.limits.quotas.with(own)) else { return }
        witness?.limited(peer, by: "limits.\(limit)")
        throw Refusal(limit: "limits.\(limit)")
    }

    /// Refuses another connection of a client that a proxy names, if its address has the maximum number.
    package func checkConnections(forwardedFrom peer: SocketAddress?) throws(Refusal) {
        guard let found = quotas?.excess(forwardedFrom: peer, settings.limits.quotas, now: reactor.now) else { return }
        witness?.limited(peer, by: "limits.\(found.limit)")
        throw found.refusal
    }

    /// Counts credentials that were examined, and tells the witness.
    package func examined(
        _ credentials: Credentials, _ outcome: Result<Principal, AuthenticationFailure>, from peer: SocketAddress?
    ) {
        switch outcome {
        // The admin socket asks for no credentials.
        case .success(let principal) where principal.kind == .administrator: return
        case .success: counters.count(credentials, isRight: true)
        case .failure(let failure): if failure.reason == .invalid { counters.count(credentials, isRight: false) }
        }
        witness?.examined(credentials, outcome, from: peer)
    }

    /// How long credentials from an address are not examined, in seconds; `nil` if they are.
    package func credentialBlock(of peer: SocketAddress?, isForwarded: Bool) -> Int? {
        let seconds = quotas?.block(of: peer, settings.limits.quotas, isForwarded: isForwarded, now: reactor.now)
        if seconds != nil { witness?.limited(peer, by: "limits.authentication_failures") }
        return seconds
    }

    /// Records wrong credentials from an address.
    package func credentialsFailed(_ peer: SocketAddress?, isForwarded: Bool) {
        quotas?.failed(peer, settings.limits.quotas, isForwarded: isForwarded, now: reactor.now)
    }

    /// Refuses what ``publish(_:by:from:)`` would refuse for lack of rights, before the payload is read.
    package func check(_ draft: borrowing Draft, by client: Client) throws(Refusal) {
        try check(
            publishingTo: draft.topic, isRetained: draft.isRetained, isRemoval: draft.message.payloadCount == 0,
            draft.condition, by: client)
    }

    /// The same for a publication that has no draft yet.
    package func check(
        publishingTo topic: Topic, isRetained: Bool, isRemoval: Bool = false, _ condition: Draft.Condition = .none,
        by client: Client
    ) throws(Refusal) {
        try checkOpen()
        if topic.isReserved, topic.isSystem || topic.isPrivate {
            throw deny(.publish, topic.name, to: client, Refusal(.forbidden, "\(topic) belongs to the broker."))
        }
        if topic.isInbox { return try checkReply(to: topic, isRetained: isRetained, by: client) }
        guard isRetained else {
            guard client.has(.publish, for: topic, grants) else { throw mayNotPublish(topic, client) }
            return
        }
        // A removal publishes nothing.
        guard isRemoval || client.has(.publish, for: topic, grants) else { throw mayNotPublish(topic, client) }
        guard client.has(.retain, for: topic, grants) else {
            let message = "You may not set or delete the retained value of \(topic)."
            throw deny(.retain, topic.name, to: client, Refusal(.forbidden, message))
        }
        switch condition {
        case .none, .present, .expired, .ended: break
        case .ephemeral(let lease) where lease.wanted == .none: break
        // The result reveals something about the value.
        case .matches, .absent, .ephemeral: try checkRead(topic, by: client)
        }
    }

    /// Checks a reply to an inbox; a client that knows its name may reply, because the name cannot be guessed.
    private func checkReply(to topic: Topic, isRetained: Bool, by client: Client) throws(Refusal) {
        guard !isRetained else {
            throw Refusal(.badRequest, "A reply cannot be retained.")
        }
        if mustAuthenticate(client) { throw mayNotPublish(topic, client) }
    }

    private func mayNotPublish(_ topic: Topic, _ client: Client) -> Refusal {
        deny(.publish, topic.name, to: client, Refusal(.forbidden, "You may not publish to \(topic)."))
    }

    /// Counts a denial, and tells the witness.
    private func deny(
        _ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter? = nil, _ refusal: Refusal
    ) -> Refusal {
        switch act {
        case .publish: counters.deniedPublishes.add(1)
        case .subscribe: counters.deniedSubscribes.add(1)
        case .retain: counters.deniedRetains.add(1)
        }
        witness?.denied(act, name, to: client, by: rule)
        recorder.refused(refusal, name, client.id, topic: act == .subscribe ? nil : (try? Topic(name, limits: .none)))
        return refusal
    }

    // MARK: Reading

    /// The retained value of a topic, for a client; `nil` if there is none.
    package func read(_ topic: Topic, by client: Client) throws(Refusal) -> Message? {
        try checkOpen()
        try checkRead(topic, by: client)
        return try sequencer.value(of: topic)
    }

    private func checkRead(_ topic: Topic, by client: Client) throws(Refusal) {
        if topic.isInbox {
            throw Refusal(.forbidden, "\(topic): only the client that sent a request gets its replies.")
        }
        if topic.isPrivate { throw Refusal(.forbidden, "\(topic) belongs to the broker.") }
        let verdict = client.verdict(on: TopicFilter(topic), grants)
        guard verdict != .allowed else { return }
        let refusal = Refusal(.forbidden, "You may not read \(topic).")
        throw deny(.subscribe, topic.name, to: client, by: verdict.rule, refusal)
    }

    // MARK: Subscribing

    /// Refuses what ``subscribe(_:to:_:)`` would refuse for lack of rights.
    package func checkSubscribe(_ client: Client, to filter: TopicFilter) throws(Refusal) {
        try checkOpen()
        guard let refusal = refusal(of: filter, client) else { return }
        let rule = client.verdict(on: filter, grants).rule
        throw deny(.subscribe, filter.name, to: client, by: rule, refusal)
    }

    private func refusal(of filter: TopicFilter, _ client: Client) -> Refusal? {
        if filter.isOfInboxes {
            return Refusal(.forbidden, "\(filter): only the client that sent a request gets its replies.")
        }
        if filter.isPrivate { return Refusal(.forbidden, "\(filter) belongs to the broker.") }
        return switch client.verdict(on: filter, grants) {
        case .allowed: nil
        case .notAllowed: Refusal(.forbidden, "You may not subscribe to \(filter).")
        case .denied(let deny) where deny == filter || filter.isLiteral:
            Refusal(.forbidden, "You may not subscribe to \(filter): it is denied.")
        case .denied(let deny):
            Refusal(.forbidden, "You may not subscribe to \(filter): it includes \(deny), which is denied.")
        }
    }

    // MARK: New credentials

    /// Whether a client has shown no credentials, and has no rights until it does.
    package func mustAuthenticate(_ client: Client) -> Bool {
        client.principal.kind == .anonymous && client.mayNothing(grants)
    }

    /// Gives a session new credentials; ends its subscriptions that these do not allow.
    package func authenticate(_ session: any Session, as principal: Principal) {
        session.client.become(principal, grants)
        let peer = session.client.host.flatMap { SocketAddress(host: $0, port: 0) }
        let isConnection = session.client.membership?.isConnection ?? false
        session.client.membership = membership(
            of: principal, from: peer, isForwarded: session.client.isForwarded, isConnection: isConnection)
        session.client.membership?.hold(session.subscriptions.count)
        session.client.isUnreviewed = true
        review(session)
        watchExpiry(of: session)
    }

    /// Disconnects the clients of principals whose credentials are no longer valid.
    package func endSessions(of isOver: @escaping (Principal) -> Bool) {
        endSessions { [weak self] session in
            guard let self, isOver(session.client.principal) else { return nil }
            counters.revokedClients.add(1)
            forfeit(session.client)
            return .unauthenticated("revoked")
        }
    }

    /// A client as the rules see it, and its rights.
    package func standing(of client: Client) -> (Subject, Grant) { client.standing(grants) }

    // MARK: New rules

    /// The current rules and users.
    package var access: Access { grants.access }

    /// Applies new rules or users.
    ///
    /// Publications and requests are checked against them at once. Subscriptions are reviewed in pieces, one a turn.
    /// Until that is finished, each delivery first reviews its client, so nothing is delivered that the client has lost
    /// the right to.
    package func adopt(_ access: Access) {
        grants.adopt(access)
        reviewEverybody()
    }

    /// Ends the sessions that a judge finds, in pieces, one a turn; nothing is delivered to a session that is not
    /// judged yet.
    ///
    /// - Parameters:
    ///   - judge: why a session ends; `nil` if it continues, and then it may be judged again.
    ///   - then: gets the number of ended sessions, when all that are here now have been judged.
    package func endSessions(
        judge: @escaping (any Session) -> SessionEnd?, then: @escaping (Int) -> Void = { _ in }
    ) {
        judgements.append(Judgement(judge: judge, then: then))
        reviewEverybody()
    }

    private func reviewEverybody() {
        for session in everybody where !session.client.isUnreviewed {
            session.client.isUnreviewed = true
            if let connection = session.connection { reactor.setFlags(.held, of: connection.slot) }
            unreviewed.append(session)
        }
        reviewSome()
    }

    private func reviewSome() {
        // Limited by time, because the cost of a client varies: its set of rights may be unique, and it may lose
        // everything.
        let begun = MonotonicTime.now
        while let session = unreviewed.popLast() {
            review(session)
            if MonotonicTime.now.nanoseconds(since: begun) >= reviewTime { break }
        }
        guard unreviewed.isEmpty else {
            guard !isReviewDue else { return }
            isReviewDue = true
            return reactor.runSoon { [weak self] in
                self?.isReviewDue = false
                self?.reviewSome()
            }
        }
        let done = judgements
        judgements = []
        for judgement in done { judgement.then(judgement.ended) }
    }

    /// Reviews a client and its subscriptions, if it is due: ends the client, or the subscriptions that it has lost.
    func review(_ session: any Session) {
        let client = session.client
        guard client.isUnreviewed, isKnown(session) else { return }
        client.isUnreviewed = false
        for index in judgements.indices {
            guard let end = judgements[index].judge(session) else { continue }
            judgements[index].ended += 1
            return session.end(end)
        }
        if client.hasEnded(grants) {
            counters.revokedClients.add(1)
            witness?.ended(client)
            forfeit(client)
            return session.end(.unauthenticated("revoked"))
        }
        if client.takesOtherEnd() { watchExpiry(of: session) }
        if !leases.isEmpty { leases.review(client.id) { client.has([.publish, .retain], for: $0, grants) } }
        for subscription in session.subscriptions.all {
            guard let refusal = refusal(of: subscription.filter, client) else { continue }
            revoke(subscription.filter, of: session, refusal)
            guard isKnown(session) else { return }
        }
        // Subscriptions that the client has ended may still be owed messages.
        let ended = Set(session.subscriptions.ledger?.ended.map(\.filter) ?? [])
        for filter in ended where refusal(of: filter, client) != nil {
            session.subscriptions.withdraw(filter, nil, upTo: deliveredUpTo, client: client.id)
        }
        if !session.subscriptions.isBehind, let connection = session.connection {
            reactor.clearFlags(.held, of: connection.slot)
        }
    }

    /// Removes the ephemeral values of a client that may publish nothing more: they do not outlive it, and it leaves no
    /// farewells.
    package func forfeit(_ client: Client) { if !leases.isEmpty { leases.review(client.id) { _ in false } } }

    /// Ends a subscription that the client has lost the right to; messages that it is owed are not sent.
    private func revoke(_ filter: TopicFilter, of session: any Session, _ refusal: Refusal) {
        let set = session.subscriptions
        guard let subscription = set.remove(filter) else { return }
        release(subscription)
        session.client.membership?.hold(set.count)
        set.withdraw(filter, subscription, upTo: deliveredUpTo, client: session.client.id)
        session.connection?.loseTolerance(of: set)
        counters.revoked.add(1)
        witness?.revoked(filter, of: session.client)
        session.revoked(filter, refusal)
        if set.isBehind { catchUp.waitForTurn(session) }
    }

    /// Reviews the subscribers of a message, and returns those that may still have it.
    func reviewed(_ subscribers: [Subscriber]) -> [Subscriber] {
        subscribers.filter { subscriber in
            guard let session = directory.session(of: subscriber) else { return false }
            review(session)
            return session.subscriptions.all.contains { $0.number == subscriber.subscription }
        }
    }
}

extension Grant.Verdict {
    /// The filter of the rule that denies it; `nil` if it is allowed, or no rule allows it.
    fileprivate var rule: TopicFilter? { if case .denied(let filter) = self { filter } else { nil } }
}

/// Banned clients: connected ones are disconnected, and new ones refused.
extension Shard {
    /// Applies new bans: new clients are checked against them at once, connected ones in pieces, one a turn.
    ///
    /// - Parameters:
    ///   - other: other reasons to end a session; `nil` if there are none.
    ///   - then: gets the number of ended sessions, when all have been judged.
    package func adopt(
        _ new: BanList, orEnding other: ((any Session) -> SessionEnd?)? = nil, then: @escaping (Int) -> Void
    ) {
        // Events of two reactors may arrive in another order than they were made.
        let isNewer = new.version > bans.version
        if isNewer { bans = new }
        if !isNewer || new.isEmpty, other == nil { return then(0) }
        endSessions { [weak self] session in
            guard let self else { return nil }
            let client = session.client
            guard let ban = bans.ban(of: client.principal, at: client.host, now: reactor.now) else {
                return other?(session)
            }
            counters.bannedClients.add(1)
            forfeit(client)
            return .kicked(Self.banned(ban))
        } then: {
            then($0)
        }
    }

    /// The text for the client: it reveals neither the reason nor other bans.
    static func banned(_ ban: Ban) -> String {
        ban.expires == nil ? "banned" : "temporarily banned"
    }

    /// Whether an address is banned.
    package func isShutOut(_ peer: SocketAddress?) -> Bool {
        guard bans.hasAddresses, let peer, peer.path == nil,
            let ban = bans.ban(ofAddress: peer.host, now: reactor.now)
        else { return false }
        witness?.shutOut(ban, peer)
        return true
    }

    /// Refuses a client that is banned.
    package func checkBans(of principal: Principal, at peer: SocketAddress?) throws(Refusal) {
        if bans.isEmpty { return }
        guard let ban = bans.ban(of: principal, at: peer?.path == nil ? peer?.host : nil, now: reactor.now) else {
            return
        }
        counters.bannedRequests.add(1)
        witness?.shutOut(ban, peer)
        throw Refusal(.forbidden, ban.expires == nil ? "You are banned." : "You are temporarily banned.")
    }
}
