internal import Synchronization
internal import WSTransport

extension Shard {
    /// Subscribes, and begins to send what was missed and the snapshot where they are wanted.
    ///
    /// - Returns: the position: what is numbered after it comes live.
    package func subscribe(
        _ session: any Session, to filter: TopicFilter, _ options: SubscribeOptions
    ) throws(Refusal) -> UInt64 {
        let set = session.subscriptions
        review(session)
        try checkSubscribe(session.client, to: filter)
        let isNew = !set.contains(filter)
        if isNew { try checkRoom(for: 1, of: set) }
        // What this turn has published so far comes before the subscription, in the order as in time.
        handOver()
        // A resuming subscriber needs few retained values, so no shared view is opened.
        let needsView = options.wantsSnapshot && options.since == nil
        var position: Sequencer.Position
        repeat {
            position =
                needsView
                ? sequencer.position(emptying: mailbox, matching: filter, known: &knownView)
                : sequencer.position(emptying: mailbox, matching: filter)
            // To a subscription of the same filter too, which is replaced only then.
            deliver(position.events)
            // A publisher that was answered may have brought more, which this subscription would miss.
        } while deliveredUpTo > position.seq
        guard isKnown(session) else { throw Refusal(.unavailable, "The connection is closed.") }
        for ending in set.ledger?.takeEndings(of: filter) ?? [] { ending.body() }
        let old = isNew ? nil : set.remove(filter)
        if let old { release(old) }
        var subscription = Subscription(
            number: directory.takeNumber(), filter: filter, position: position.seq, skipsOwn: !options.hearsItself,
            slow: options.slow, usesHistory: rules.mayKeep(filter))
        if let old { replace(old, by: &subscription, options, at: position.seq, session) }
        begin(&subscription, options, position, session)
        set.add(subscription)
        directory.add(subscription, of: session)
        sequencer.subscriptions.add(1, ordering: .relaxed)
        session.connection?.isPatient = set.isPatient
        // After the answer to the subscription itself, which its caller sends.
        if set.isBehind { waitForTurn(session) }
        return position.seq
    }

    /// Refuses so many further subscriptions where they would be more than one client or all together may have.
    package func checkRoom(for count: Int, of set: SubscriptionSet) throws(Refusal) {
        guard count > 0 else { return }
        let most = settings.limits.subscriptionsPerClient
        if set.count + count > most {
            counters.subscriptionLimit.add(1)
            throw Refusal(.limitExceeded, "More than \(most) subscriptions for one client.")
        }
        if let most = settings.limits.subscriptions,
            sequencer.subscriptions.load(ordering: .relaxed) + count > most
        {
            counters.subscriptionLimit.add(1)
            throw Refusal(.limitExceeded, "More than \(most) subscriptions of all clients.")
        }
    }

    /// Settles what is still due to a subscription that another one of the same filter takes the place of.
    private func replace(
        _ old: Subscription, by new: inout Subscription, _ options: SubscribeOptions, at seq: UInt64,
        _ session: any Session
    ) {
        let set = session.subscriptions
        let isLike = old.slow == new.slow && old.skipsOwn == new.skipsOwn
        let since = options.since?.seq
        // It is due what the old one was, and that is all that is asked for.
        if since == nil ? isLike || !set.isBehind : isLike && old.slow != .latest && old.position <= since ?? 0 {
            return new.takeOver(old)
        }
        _ = setBehind(session, at: seq)
        let client = session.client.id
        let most = settings.limits.subscriptionsPerClient
        if set.retire(old, at: seq, isOver: false, maximum: most) { return }
        counters.subscriptionLimit.add(1)
        let isKept = old.usesHistory || new.usesHistory
        if let gap = set.writeOff([old], upTo: seq, isKept: isKept, client: client) { new.add(gap, floor: gap.since) }
    }

    /// Has a subscription begin with what is asked for.
    private func begin(
        _ subscription: inout Subscription, _ options: SubscribeOptions, _ position: Sequencer.Position,
        _ session: any Session
    ) {
        let (set, filter, number) = (session.subscriptions, subscription.filter, subscription.number)
        guard options.hasBeginning else {
            // A session that is behind has not had everything up to this position yet.
            if set.isBehind {
                set.beginnings.append(Beginning(number: number, filter: filter, seq: position.seq, snapshot: nil))
            }
            return
        }
        let ledger = setBehind(session, at: position.seq)
        let snapshot =
            options.wantsSnapshot
            ? Snapshot(
                filter: filter, seq: position.seq, overlay: position.overlay, view: position.view,
                waitsForStore: position.waitsForStore, isAll: options.isPoll) : nil
        // Figures are not resumed: they have no places in the order, and the newest are sent instead.
        guard let since = options.since, !filter.isSystem else {
            return set.beginnings.append(
                Beginning(number: number, filter: filter, seq: position.seq, snapshot: snapshot))
        }
        (subscription.resumedAt, subscription.asked) = (position.seq, ledger.step())
        guard since.seq <= position.seq, since.epoch ?? store.epoch == store.epoch else {
            // The point to resume from is none of this store's: nothing of what was before is brought.
            subscription.add(Gap(since: 0, seq: position.seq, missed: nil), floor: 0)
            return set.beginnings.append(
                Beginning(number: number, filter: filter, seq: position.seq, snapshot: snapshot))
        }
        set.beginnings.append(Beginning(number: number, filter: filter, seq: position.seq, snapshot: nil))
        guard since.seq < position.seq, subscription.position > since.seq else { return }
        set.goBack(to: since.seq)
        ledger.isOwed = true
        ledger.unexamined.append(
            Resume(filter: filter, since: since.seq, seq: position.seq, snapshot: snapshot))
        guard subscription.slow == .latest else {
            subscription.position = since.seq
            return
        }
        // What is kept comes in full; the latest are those after it.
        var kept = Subscription(
            number: number, filter: filter, position: since.seq, skipsOwn: subscription.skipsOwn,
            slow: .dropOldest, usesHistory: true)
        (kept.resumedAt, kept.asked) = (position.seq, subscription.asked)
        _ = set.retire(kept, at: position.seq, isOver: false, maximum: .max)
    }

    /// Ends subscriptions; one that there is none of is left out.
    ///
    /// What was numbered before is delivered first, of all publishers. A gap says what is not, because too many
    /// subscriptions of the client have ended and are still due something.
    ///
    /// - Parameter body: called when nothing more comes of them, at once unless the session is behind, or when one of them
    ///   is subscribed to again; not called where the session leaves before. It must not hold the session.
    package func unsubscribe(_ session: any Session, from filters: [TopicFilter], then body: @escaping () -> Void = {})
    {
        var (end, isOwed): (UInt64, Bool) = (0, false)
        for filter in filters where session.subscriptions.contains(filter) {
            handOver()
            var newest = deliverNewest()
            // Sending may bring more, which would be held for a subscription that has ended before.
            if settle(session) { newest = deliverNewest() }
            // A client that does not take what comes, or has asked for the end of its stream, has been closed by now.
            guard isKnown(session) else { return }
            if finish(filter, of: session, at: newest) { isOwed = true }
            end = newest
        }
        guard isOwed, let ledger = session.subscriptions.ledger else { return body() }
        ledger.endings.append(Ledger.Ending(seq: end, filters: filters, body: body))
    }

    /// Delivers all that has been numbered, and returns the newest number.
    private func deliverNewest() -> UInt64 {
        while true {
            let (newest, events) = sequencer.newest(emptying: mailbox)
            deliver(events)
            if deliveredUpTo <= newest { return newest }
        }
    }

    /// Removes a subscription, and says whether something may still be due to it.
    private func finish(_ filter: TopicFilter, of session: any Session, at newest: UInt64) -> Bool {
        let set = session.subscriptions
        guard let subscription = set.remove(filter) else { return false }
        release(subscription)
        defer { session.connection?.isPatient = set.isPatient }
        guard let ledger = set.ledger else { return false }
        let isKept = subscription.usesHistory || rules.mayKeep(filter)
        let most = settings.limits.subscriptionsPerClient
        ledger.removeValues(of: filter)
        var parts = set.removeReplaced(of: filter) + [subscription]
        parts.removeAll { set.retire($0, at: newest, isOver: true, maximum: most) }
        waitForTurn(session)
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
        }
        return true
    }

    /// Sends what is due to a session at once, as far as it takes it and once a turn.
    ///
    /// - Returns: whether it has tried.
    private func settle(_ session: any Session) -> Bool {
        guard let ledger = session.subscriptions.ledger, !ledger.hasSettled else { return false }
        ledger.hasSettled = true
        waitForTurn(session)
        advance(session)
        return true
    }

    /// Advances a session in the next turn, or in a later one where many wait.
    func waitForTurn(_ session: any Session) {
        guard !session.subscriptions.isWaiting else { return }
        session.subscriptions.isWaiting = true
        waitingForTurn.append(session)
        if waitingForTurn.count == 1 { advanceNextTurn() }
    }

    private func advanceNextTurn() { reactor.runSoon { [weak self] in self?.advanceThoseWaiting() } }

    /// Advances those that wait for the turn, in the order in which they came; one that has more to come waits after the others.
    private func advanceThoseWaiting() {
        var waiting = waitingForTurn[...]
        waitingForTurn = []
        while catchUpShare.isLeft(in: reactor.now), let session = waiting.popFirst() {
            session.subscriptions.isWaiting = false
            session.subscriptions.ledger?.hasSettled = false
            advance(session)
        }
        guard !waiting.isEmpty else { return }
        counters.fullTurns.add(1)
        if waitingForTurn.isEmpty { advanceNextTurn() }
        waitingForTurn = waiting + waitingForTurn
    }

    /// Advances a session when the store has committed.
    func waitForStore(_ session: any Session) {
        guard !session.subscriptions.isWaitingForStore else { return }
        session.subscriptions.isWaitingForStore = true
        waitingForStore.append(session)
    }

    /// Advances a session when the store, which is busy, has committed or may have become free.
    func waitForBusyStore(_ session: any Session) {
        waitForStore(session)
        guard !isAskingStoreAgain else { return }
        isAskingStoreAgain = true
        reactor.run(afterNanoseconds: Self.busyPause) { [weak self] in
            guard let self else { return }
            isAskingStoreAgain = false
            wakeThoseWaitingForStore()
        }
    }

    /// A store that is busy is asked again after this, in nanoseconds.
    private static let busyPause: Int64 = 10_000_000

    func wakeThoseWaitingForStore() {
        let sessions = waitingForStore
        waitingForStore = []
        for session in sessions {
            session.subscriptions.isWaitingForStore = false
            waitForTurn(session)
        }
    }

    // MARK: Falling behind

    /// From now on what is due to a session after `seq` waits for ``advance(_:)``; nothing where it is behind already.
    func setBehind(_ session: any Session, at seq: UInt64) -> Ledger {
        if !session.subscriptions.isBehind, let connection = session.connection {
            reactor.setFlags(.held, of: connection.slot)
        }
        return session.subscriptions.setBehind(at: seq)
    }

    /// A connection has not taken all that the turn had for it.
    ///
    /// Called when the turn's messages have been handed out. What comes now waits outside the connection's backlog, if
    /// a store brings it or it may be dropped.
    package func fellBehind(_ session: any Session) {
        guard session.subscriptions.isPatient, isKnown(session) else { return }
        counters.fallsBehind.add(1)
        _ = setBehind(session, at: deliveredUpTo)
    }

    /// Keeps a message for a session that is behind, unless the store brings it.
    ///
    /// - Parameter isKept: whether a rule keeps it.
    func hold(_ message: Message, isKept: Bool, _ session: any Session) {
        let set = session.subscriptions
        if message.topic.isSystem {
            // Only the newest of a figure is of use, and it has no place among the others.
            set.ledger?.figures.insert(message.topic)
            return
        }
        let client = session.client.id
        if isKept, !set.hasLatest || set.isDueInFull(message, client: client) {
            set.ledger?.isOwed = true
            return
        }
        if set.hasLatest, !set.isDueInFull(message, client: client) {
            if let (older, floor) = set.held.replace(message, now: reactor.now) {
                _ = set.drop(older, floor: floor, client: client)
                counters.dropped.add(1)
            }
        } else {
            set.held.append(message, now: reactor.now)
        }
        dropWhatIsTooMuch(session)
    }

    private func dropWhatIsTooMuch(_ session: any Session) {
        let set = session.subscriptions
        let patience = settings.limits.pendingAge ?? .max
        while let oldest = set.held.oldest {
            let isTooMuch = set.held.bytes > settings.limits.pending
            let isTooOld = reactor.now.nanoseconds(since: oldest.since) > patience
            guard isTooMuch || isTooOld else { return }
            guard set.drop(oldest.message, floor: 0, client: session.client.id) else {
                // Age alone is no reason here: it is the connection's own unsent bytes that are looked at for it.
                guard isTooMuch else { return }
                return session.end(.slow("more than \(settings.limits.pending) bytes wait"))
            }
            _ = set.held.removeOldest()
            counters.dropped.add(1)
        }
    }
}
