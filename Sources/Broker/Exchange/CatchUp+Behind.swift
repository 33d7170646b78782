internal import WSTransport

/// Sessions that fall behind, and what is held for them.
extension CatchUp {
    /// Sets a session behind, so that messages after `seq` wait for ``advance(_:)``; does nothing if it is behind already.
    func setBehind(_ session: any Session, at seq: UInt64) -> Ledger {
        if !session.subscriptions.isBehind {
            counters.behind.add(1)
            if let connection = session.connection { reactor.setFlags(.held, of: connection.slot) }
        }
        return session.subscriptions.setBehind(at: seq)
    }

    /// Whether only the retained value of one topic can come before the live messages of a subscription.
    ///
    /// Most topics have no retained value. Checking that at once costs much less than a turn in which the session is
    /// told so.
    func mayLook(_ filter: TopicFilter, _ options: SubscribeOptions, _ set: SubscriptionSet) -> Bool {
        filter.isLiteral && options.wantsSnapshot && options.since == nil && options.rewind == nil && !options.isPoll
            && !set.isBehind
    }

    /// Whether the topic of such a filter has no retained value at a position; `false` also if that is not known now.
    ///
    /// A value that has been removed since counts as none, because a live message tells of the removal.
    func isEmpty(_ filter: TopicFilter, at position: Sequencer.Position) -> Bool {
        guard position.overlay.isEmpty, !position.waitsForStore, unsafe share.isLeft(in: reactor.now) else {
            return false
        }
        unsafe share.take(0, nanoseconds: 0)
        let end = try? store.scan(filter, after: nil, visiting: 1, now: Lifetime.now) { _ in false }
        return end == .finished
    }

    /// Tells a session that messages it has from beyond a jump of the log are no longer in any log.
    func tell(_ session: any Session, _ resume: Resume) {
        var gap = Gap(since: resume.since, seq: resume.undoneUpTo, missed: nil)
        gap.isUndone = true
        session.sendUndone(resume.filter, gap, resume.parts?.undone)
        counters.gaps.add(1)
        witness()?.missed(gap, of: resume.filter, session.client)
        recorder.missed(gap, session.client)
    }

    /// Sets a session behind whose connection has not taken everything that this turn sent it.
    ///
    /// Called after the turn's messages have been handed out. Later messages wait outside the connection's backlog, if
    /// the store delivers them or they may be dropped.
    package func fellBehind(_ session: any Session) {
        guard session.subscriptions.toleratesLag, isKnown(session) else { return }
        counters.fallsBehind.add(1)
        witness()?.fellBehind(session.client, unsent: session.connection?.unsentBytes ?? 0)
        _ = setBehind(session, at: deliveredUpTo())
        if session.subscriptions.probablyHolds { unsafe holding.fellBehind() }
        recorder.changed(.behind, of: session.client, at: deliveredUpTo())
    }

    /// Holds a message for a session that is behind, unless the store will deliver it.
    ///
    /// - Parameter isKept: whether a rule keeps it.
    func hold(_ message: Message, isKept: Bool, _ session: any Session) {
        let set = session.subscriptions
        if set.isPoll { return }
        if message.topic.isSystem {
            // Only a figure's newest value is of use, and figures have no place in the order.
            set.ledger?.figures.insert(message.topic)
            return
        }
        let client = session.client.id
        if isKept, !set.hasLatest || set.isDueInFull(message, client: client) {
            unsafe holding.add(HoldingCost.noted, of: message.seq)
            set.ledger?.isOwed = true
            return
        }
        unsafe holding.add(HoldingCost.held, of: message.seq)
        if set.hasLatest, !set.isDueInFull(message, client: client) {
            if let (older, floor) = set.held.replace(message, now: reactor.now) {
                _ = set.drop(older, floor: floor, client: client)
                counters.dropped.add(1)
                recorder.dropped(older, session.client)
            }
        } else {
            set.held.append(message, now: reactor.now)
        }
        dropWhatIsTooMuch(session)
    }

    private func dropWhatIsTooMuch(_ session: any Session) {
        let set = session.subscriptions
        let patience = limits.pendingAge ?? .max
        while let oldest = set.held.oldest {
            let isTooMuch = set.held.bytes > limits.pending
            let isTooOld = reactor.now.nanoseconds(since: oldest.since) > patience
            guard isTooMuch || isTooOld else { return }
            guard set.drop(oldest.message, floor: 0, client: session.client.id) else {
                // Age alone does not close a session: the age of the connection's unsent bytes does.
                guard isTooMuch else { return }
                return session.end(.slow("more than \(limits.pending) bytes wait"))
            }
            _ = set.held.removeOldest()
            counters.dropped.add(1)
            recorder.dropped(oldest.message, session.client)
        }
    }
}
