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
        guard session.client.identity.permissions.allowsSubscribe(to: filter) else {
            throw Refusal(.forbidden, "You may not subscribe to \(filter).")
        }
        let isNew = !set.contains(filter)
        if isNew { try checkRoom(for: 1, of: set) }
        // What this turn has published so far comes before the subscription, in the order as in time.
        handOver()
        // Who resumes is shown few values if any, so the store is read as it is.
        let needsView = options.wantsSnapshot && options.since == nil
        let position =
            needsView
            ? sequencer.position(emptying: mailbox, matching: filter, known: &knownView)
            : sequencer.position(emptying: mailbox, matching: filter)
        // To a subscription of the same filter too, which is replaced only then.
        deliver(position.letters)
        guard isKnown(session) else { throw Refusal(.unavailable, "The connection is closed.") }
        let old = isNew ? nil : set.remove(filter)
        if let old { release(old) }
        let subscription = Subscription(
            number: takeNumber(), filter: filter, position: old?.position ?? position.seq,
            isDeaf: !options.hearsItself, slow: options.slow, usesHistory: rules.mayKeep(filter), gap: old?.gap)
        set.add(subscription)
        tree.insert(
            Subscriber(
                subscription: subscription.number, slot: session.stream.slot, form: session.form,
                isDeaf: subscription.isDeaf),
            at: filter)
        counters.subscriptions.add(1)
        sequencer.subscriptions.add(1, ordering: .relaxed)
        session.stream.isPatient = set.isPatient
        if let beginning = beginning(subscription, options, position) {
            set.beginnings.append(beginning)
            setBehind(session, at: position.seq)
            // After the answer to the subscription itself, which its caller sends.
            waitForTurn(session)
        }
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

    private func beginning(
        _ subscription: Subscription, _ options: SubscribeOptions, _ position: Sequencer.Position
    ) -> Beginning? {
        let (number, filter) = (subscription.number, subscription.filter)
        let snapshot =
            options.wantsSnapshot
            ? Snapshot(
                filter: filter, seq: position.seq, overlay: position.overlay, view: position.view,
                waitsForStore: position.waitsForStore, isAll: options.isPoll) : nil
        guard let since = options.since else { return snapshot.map { Beginning(number, $0) } }
        let isKnown = since.seq <= position.seq && since.epoch ?? store.epoch == store.epoch
        return isKnown
            ? Beginning(number, filter, since: since.seq, upTo: position.seq, snapshot: snapshot)
            : Beginning(number, filter, strangerUpTo: position.seq, snapshot: snapshot)
    }

    private func takeNumber() -> UInt32 {
        if let number = freeNumbers.popLast() { return number }
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// Ends a subscription; `false` where there was none.
    package func unsubscribe(_ session: any Session, from filter: TopicFilter) -> Bool {
        let set = session.subscriptions
        guard let subscription = set.remove(filter) else { return false }
        release(subscription)
        set.dropUnwanted(by: session.client.id)
        session.stream.isPatient = set.isPatient
        if set.beginnings.isEmpty, set.isBehind { waitForTurn(session) }
        return true
    }

    /// Advances a session in the next turn.
    func waitForTurn(_ session: any Session) {
        guard !session.subscriptions.isWaiting else { return }
        session.subscriptions.isWaiting = true
        // A weak reference would cost 48 bytes for as long as the session lives; who has left meanwhile is not known any more.
        reactor.runSoon { [weak self] in
            session.subscriptions.isWaiting = false
            self?.advance(session)
        }
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
    func setBehind(_ session: any Session, at seq: UInt64) {
        let set = session.subscriptions
        guard !set.isBehind else { return }
        set.isBehind = true
        set.cursor = seq
        set.isOwed = false
        set.checkedTrims = nil
        reactor.setFlags(.held, of: session.stream.slot)
    }

    /// A connection has not taken all that the turn had for it.
    ///
    /// Called when the turn's messages have been handed out. What comes now waits outside the connection's backlog, if a
    /// store brings it or it may be dropped.
    package func fellBehind(_ session: any Session) {
        guard session.subscriptions.isPatient, isKnown(session) else { return }
        counters.fallsBehind.add(1)
        setBehind(session, at: deliveredUpTo)
    }

    /// Keeps a message for a session that is behind, unless the store brings it.
    func hold(_ message: Message, _ session: any Session) {
        let set = session.subscriptions
        let client = session.client.id
        if message.rule != nil, !set.hasLatest || set.isDueInFull(message, client: client) {
            set.isOwed = true
            return
        }
        if set.hasLatest, !set.isDueInFull(message, client: client) {
            if let older = set.held.replace(message, now: reactor.now) {
                _ = set.drop(older, client: client)
                counters.dropped.add(1)
            }
        } else {
            set.held.append(message, now: reactor.now)
        }
        dropWhatIsTooMuch(session)
    }

    private func dropWhatIsTooMuch(_ session: any Session) {
        let set = session.subscriptions
        let patience = settings.limits.pendingAge?.nanoseconds ?? .max
        while let oldest = set.held.oldest {
            let isTooMuch = set.held.bytes > settings.limits.pending
            let isTooOld = reactor.now.nanoseconds(since: oldest.since) > patience
            guard isTooMuch || isTooOld else { return }
            guard set.drop(oldest.message, client: session.client.id) else {
                // Age alone is no reason here: it is the connection's own unsent bytes that are looked at for it.
                guard isTooMuch else { return }
                return session.closeSlow("more than \(settings.limits.pending) bytes wait")
            }
            _ = set.held.removeOldest()
            counters.dropped.add(1)
        }
    }
}
