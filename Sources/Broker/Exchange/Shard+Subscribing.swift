internal import Synchronization
internal import WSTransport

extension Shard {
    /// Subscribes, and begins to send the snapshot and the missed messages if they are requested.
    ///
    /// - Returns: the position; messages with later numbers come live.
    package func subscribe(
        _ session: any Session, to filter: TopicFilter, _ options: SubscribeOptions
    ) throws(Refusal) -> UInt64 {
        guard options.since != nil else { return try subscribe(session, to: filter, options, nil) }
        review(session)
        try checkSubscribe(session.client, to: filter)
        try check(options.since)
        try checkReach(options.since, of: filter)
        guard sequencer.partitions.count > 1 else { return try subscribe(session, to: filter, options, nil) }
        var options = options
        let parts = locate(&options, of: filter)
        return try subscribe(session, to: filter, options, parts)
    }

    /// - Parameter parts: the messages that the client has, if one number cannot say it.
    private func subscribe(
        _ session: any Session, to filter: TopicFilter, _ options: SubscribeOptions, _ parts: ResumeParts?
    ) throws(Refusal) -> UInt64 {
        let set = session.subscriptions
        review(session)
        try checkSubscribe(session.client, to: filter)
        let isNew = !set.contains(filter)
        if isNew { try checkRoom(for: 1, of: set, by: session.client) }
        beAttentive()
        // The messages that this turn has published so far must be numbered before the subscription.
        handOver()
        // A resuming subscriber needs few retained values, so no shared view is opened.
        let needsView = options.wantsSnapshot && options.since == nil
        // Nor for a topic that has no value.
        var (looksFirst, isEmpty) = (catchUp.mayLook(filter, options, set), false)
        var position: Sequencer.Position
        while true {
            position =
                needsView && !looksFirst
                ? sequencer.position(emptying: mailbox, matching: filter, known: &knownView)
                : sequencer.position(emptying: mailbox, matching: filter)
            // An existing subscription with the same filter gets these, too: it is replaced only afterwards.
            deliver(position.events)
            // An answered publisher may have published more messages, which this subscription would miss.
            if deliveredUpTo > position.seq { continue }
            isEmpty = looksFirst && catchUp.isEmpty(filter, at: position)
            if isEmpty || !looksFirst { break }
            looksFirst = false
        }
        guard isKnown(session) else { throw Refusal(.unavailable, "The connection is closed.") }
        for ending in set.ledger?.takeEndings(of: filter) ?? [] { ending.body() }
        let old = isNew ? nil : set.remove(filter)
        if let old { release(old) }
        var subscription = Subscription(
            number: directory.takeNumber(), filter: filter, position: position.seq, skipsOwn: !options.hearsItself,
            slow: options.slow, usesHistory: rules.mayKeep(filter))
        if let old { replace(old, by: &subscription, options, at: position.seq, session) }
        begin(&subscription, options, parts, position, isEmpty: isEmpty, session)
        set.add(subscription)
        if options.since != nil, subscription.usesHistory, let ledger = set.ledger { recall(filter, session, ledger) }
        let forked = directory.add(subscription, of: session)
        if forked != 0 { sequencer.dearness.add(forked, ordering: .relaxed) }
        session.client.membership?.hold(set.count)
        sequencer.subscriptions.add(1, ordering: .relaxed)
        session.connection?.toleratesLag = set.toleratesLag
        // Only after the answer to the subscription, which the caller sends.
        if set.isBehind { catchUp.waitForTurn(session) }
        return position.seq
    }

    /// Changes the policy of all subscriptions of a session, as if it had subscribed again; messages that it is owed
    /// stay owed.
    ///
    /// - Returns: how many subscriptions had another policy.
    package func changePolicy(of session: any Session, to slow: SlowPolicy) throws(Refusal) -> Int {
        // It has no way to tell the client of a gap.
        guard session.client.endpoint != .topic else {
            throw Refusal(.badRequest, "slow: a topic socket supports only close.")
        }
        let changing = session.subscriptions.all.filter { $0.slow != slow }
        // The retained values that they still wait for would be left out.
        guard changing.isEmpty || session.subscriptions.starts.isEmpty else {
            throw Refusal(.unavailable, "A subscription of the client is just beginning; try again.")
        }
        for old in changing {
            var options = SubscribeOptions()
            options.wantsSnapshot = false
            options.hearsItself = !old.skipsOwn
            options.slow = slow
            _ = try subscribe(session, to: old.filter, options)
        }
        return changing.count
    }

    /// Refuses `count` more subscriptions if one client, or all clients together, would have too many.
    package func checkRoom(for count: Int, of set: SubscriptionSet, by client: Client) throws(Refusal) {
        guard count > 0 else { return }
        if let membership = client.membership, let limit = membership.room(for: count, quotaRules(of: client)) {
            counters.subscriptionLimit.add(1)
            witness?.limited(client, by: "limits.\(limit)")
            throw Refusal(limit: "limits.\(limit)")
        }
        let most = settings.limits.subscriptionsPerClient
        if set.count + count > most {
            counters.subscriptionLimit.add(1)
            witness?.limited(client, by: "limits.subscriptions_per_client")
            throw Refusal(.limitExceeded, "More than \(most) subscriptions for one client.")
        }
        if let most = settings.limits.subscriptions,
            sequencer.subscriptions.load(ordering: .relaxed) + count > most
        {
            counters.subscriptionLimit.add(1)
            witness?.limited(client, by: "limits.subscriptions")
            throw Refusal(.limitExceeded, "More than \(most) subscriptions of all clients.")
        }
    }

    /// Decides what becomes of the messages owed to a subscription that another one with the same filter replaces.
    private func replace(
        _ old: Subscription, by new: inout Subscription, _ options: SubscribeOptions, at seq: UInt64,
        _ session: any Session
    ) {
        let set = session.subscriptions
        let isLike = old.slow == new.slow && old.skipsOwn == new.skipsOwn
        let since = options.since?.seq
        let includes = old.slow != .latest && old.position <= since ?? 0 && set.ledger?.hasEnd(after: old.asked) != true
        // The new subscription is owed exactly what the old one was.
        if since == nil ? isLike || !set.isBehind : isLike && includes { return new.takeOver(old) }
        _ = catchUp.setBehind(session, at: seq)
        let client = session.client.id
        let most = settings.limits.subscriptionsPerClient
        if set.retire(old, at: seq, isOver: false, maximum: most) { return }
        counters.subscriptionLimit.add(1)
        let isKept = old.usesHistory || new.usesHistory
        if let gap = set.writeOff([old], upTo: seq, isKept: isKept, client: client) { new.add(gap, floor: gap.since) }
    }

    /// Begins a subscription with the values and messages that its options ask for.
    ///
    /// - Parameters:
    ///   - parts: the messages that the client has, if one number cannot say it.
    ///   - isEmpty: whether there are known to be none.
    private func begin(
        _ subscription: inout Subscription, _ options: SubscribeOptions, _ parts: ResumeParts?,
        _ position: Sequencer.Position, isEmpty: Bool, _ session: any Session
    ) {
        let (set, filter, number) = (session.subscriptions, subscription.filter, subscription.number)
        guard options.hasBeginning, !isEmpty else {
            // A session that is behind has not been sent everything up to this position yet.
            if set.isBehind {
                set.starts.append(CatchUpStart(number: number, filter: filter, seq: position.seq, snapshot: nil))
            }
            return
        }
        let ledger = catchUp.setBehind(session, at: position.seq)
        // Figures are neither resumed nor rewound: they have no numbers of their own, and the newest ones are sent
        // instead.
        let rewind = filter.isSystem ? nil : options.rewind
        let start = CatchUpStart(
            number: number, filter: filter, seq: position.seq,
            snapshot: options.wantsSnapshot
                ? Snapshot(
                    filter: filter, seq: position.seq, overlay: position.overlay, ephemerals: position.ephemerals,
                    view: position.view, waitsForStore: position.waitsForStore, isAll: options.isPoll) : nil,
            rewinding: rewind.map { Rewinding($0, filter: filter, upTo: position.seq) })
        set.starts.append(start)
        guard rewind == nil, let since = options.since, !filter.isSystem else { return }
        (subscription.resumedAt, subscription.asked) = (position.seq, ledger.step())
        guard since.seq <= position.seq, since.epoch ?? store.epoch == store.epoch else {
            // The resume point is not from this store, so no earlier message can be delivered.
            counters.resumesWithGap.add(1)
            return subscription.add(Gap(since: 0, seq: position.seq, missed: nil), floor: 0)
        }
        let snapshot = start.snapshot
        start.snapshot = nil
        // What it knows beyond a jump of the log is in no log: it is shown what came in place of that.
        let jump = parts == nil ? sequencer.jumps(of: 0).jump(over: since.seq) : nil
        let point = jump?.closed ?? since.seq
        guard point < position.seq, subscription.position > point else { return counters.resumes.add(1) }
        set.goBack(to: point)
        ledger.isOwed = true
        ledger.unexamined.append(
            Resume(
                filter: filter, since: point, seq: position.seq, parts: parts,
                undoneUpTo: jump?.begun ?? parts?.undoneUpTo ?? 0, snapshot: snapshot))
        guard subscription.slow == .latest else {
            subscription.position = point
            subscription.parts = parts
            return
        }
        // The store delivers all kept messages; only after this position is the newest of each topic enough.
        var kept = Subscription(
            number: number, filter: filter, position: point, skipsOwn: subscription.skipsOwn,
            slow: .dropOldest, usesHistory: true)
        (kept.resumedAt, kept.asked, kept.parts) = (position.seq, subscription.asked, parts)
        _ = set.retire(kept, at: position.seq, isOver: false, maximum: .max)
    }

    /// Holds the changes of ephemeral values that a resuming subscription has missed, which the store does not have.
    private func recall(_ filter: TopicFilter, _ session: any Session, _ ledger: Ledger) {
        let set = session.subscriptions
        guard let place = ledger.unexamined.lastIndex(where: { $0.filter == filter }) else { return }
        let resume = ledger.unexamined[place]
        var (messages, forgotten) = sequencer.recentEphemerals(after: resume.since, upTo: resume.seq)
        messages.removeAll { !filter.matches($0.topic) || !set.takes($0, client: session.client.id, ledger) }
        // At most half of what may wait for the client.
        var room = settings.limits.pending / 2
        let first = messages.lastIndex { message in
            room -= message.weight
            return room < 0
        }
        if let first {
            forgotten = max(forgotten, messages[first].seq)
            messages.removeFirst(first + 1)
        }
        if forgotten > resume.since { ledger.unexamined[place].forgotten = forgotten }
        set.held.insert(messages, now: reactor.now)
    }

    /// Ends subscriptions; filters without a subscription are ignored.
    ///
    /// Messages that were numbered before are delivered first. If too many ended subscriptions of the client are still
    /// owed messages, a gap announces those that are not delivered.
    ///
    /// - Parameter body: called when nothing more comes for these filters: at once, unless the session is behind. Also
    ///   called when one of them is subscribed to again; not called if the session leaves first. It must not hold a
    ///   reference to the session.
    package func unsubscribe(_ session: any Session, from filters: [TopicFilter], then body: @escaping () -> Void = {})
    {
        var (end, isOwed): (UInt64, Bool) = (0, false)
        for filter in filters where session.subscriptions.contains(filter) {
            handOver()
            var newest = deliverNewest()
            // Sending may cause more publications, which would be held for an ended subscription.
            if settle(session) { newest = deliverNewest() }
            // The session may be closed by now: it was too slow, or asked to be closed.
            guard isKnown(session) else { return }
            if finish(filter, of: session, at: newest) { isOwed = true }
            end = newest
        }
        guard isOwed, let ledger = session.subscriptions.ledger else { return body() }
        ledger.endings.append(Ledger.Ending(seq: end, filters: filters, body: body))
    }

    /// Delivers everything that has been numbered; returns the newest number.
    private func deliverNewest() -> UInt64 {
        while true {
            let (newest, events) = sequencer.newest(emptying: mailbox)
            deliver(events)
            if deliveredUpTo <= newest { return newest }
        }
    }

    /// Removes a subscription; returns whether it may still be owed messages.
    private func finish(_ filter: TopicFilter, of session: any Session, at newest: UInt64) -> Bool {
        let set = session.subscriptions
        guard let subscription = set.remove(filter) else { return false }
        release(subscription)
        session.client.membership?.hold(set.count)
        defer { session.connection?.loseTolerance(of: set) }
        guard let ledger = set.ledger else { return false }
        let isKept = subscription.usesHistory || rules.mayKeep(filter)
        let most = settings.limits.subscriptionsPerClient
        ledger.removeValues(of: filter)
        var parts = set.removeReplaced(of: filter) + [subscription]
        parts.removeAll { set.retire($0, at: newest, isOver: true, maximum: most) }
        catchUp.waitForTurn(session)
        guard !parts.isEmpty else { return true }
        counters.subscriptionLimit.add(1)
        var missing = set.writeOff(parts, upTo: newest, isKept: isKept, client: session.client.id)
        if let since = ledger.removeResumes(of: filter) {
            let gap = Gap(since: since, seq: newest, missed: nil)
            if missing == nil { missing = gap } else { missing?.merge(gap) }
        }
        if let missing {
            session.sendGap(filter, missing, isResuming: false)
            counters.gaps.add(1)
            witness?.missed(missing, of: filter, session.client)
        }
        return true
    }

    /// Sends a session the messages that it is owed, as far as its connection takes them; at most once a turn.
    ///
    /// - Returns: `false` if this turn has already done so, or nothing is owed.
    private func settle(_ session: any Session) -> Bool {
        guard let ledger = session.subscriptions.ledger, !ledger.hasSettled else { return false }
        ledger.hasSettled = true
        catchUp.waitForTurn(session)
        catchUp.advance(session)
        return true
    }
}
