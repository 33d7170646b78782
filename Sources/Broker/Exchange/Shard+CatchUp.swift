internal import WSTransport

/// How a session that is behind gets what is due to it, in pieces, until it is live.
extension Shard {
    /// Sends the next piece of what is due to a session; called again when there is room.
    package func advance(_ session: any Session) {
        let set = session.subscriptions
        review(session)
        guard let ledger = set.ledger, let connection = session.connection, connection.isOpen, !connection.isBroken,
            isKnown(session)
        else {
            return
        }
        guard catchUpShare.isLeft(in: reactor.now) else { return waitForTurn(session) }
        let most = min(piece, max(settings.limits.pending / 2, 1))
        var room = most
        defer { catchUpShare.take(most - room) }
        do throws(StorageError) {
            guard try open(session, ledger, &room) else { return }
            while let beginning = set.beginnings.first {
                guard session.isTaking, session.isDrained else { return }
                // What was due before the subscription comes before what it begins with.
                guard try catchUp(session, ledger, to: beginning.seq, &room) else { return }
                guard set.beginnings.firstNumber == beginning.number else { continue }
                if var snapshot = beginning.snapshot {
                    guard room > 0 else { return waitForTurn(session) }
                    if mustWait(snapshot) { return waitForStore(session) }
                    let isDone = try show(&snapshot, newerThan: nil, session, &room)
                    guard isKnown(session), set.beginnings.firstNumber == beginning.number else { return }
                    guard isDone else {
                        var rest = beginning
                        rest.snapshot = snapshot
                        set.beginnings.replaceFirst(with: rest)
                        return waitForTurn(session)
                    }
                }
                set.beginnings.removeFirst()
                send(set.takeGap(of: beginning.filter, upTo: beginning.seq), to: session)
                guard isKnown(session) else { return }
                session.sendLive(beginning.filter, seq: beginning.seq)
                guard isKnown(session) else { return }
            }
            guard session.isTaking, session.isDrained else { return }
            _ = try catchUp(session, ledger, to: nil, &room)
        } catch {
            guard error.isBusy else {
                return session.end(.failed("the store cannot be read"))
            }
            waitForBusyStore(session)
        }
    }

    // MARK: What comes before the messages

    /// Finds out what is missing of what was asked for, and shows the values that come instead.
    ///
    /// - Returns: whether that is done; if not, the session is called again.
    private func open(_ session: any Session, _ ledger: Ledger, _ room: inout Int) throws(StorageError) -> Bool {
        if !ledger.unexamined.isEmpty { try examine(session, ledger) }
        while let resume = ledger.showing.first {
            guard session.isTaking, session.isDrained else { return false }
            guard room > 0, var snapshot = resume.snapshot else {
                waitForTurn(session)
                return false
            }
            if mustWait(snapshot) {
                waitForStore(session)
                return false
            }
            let isDone = try show(&snapshot, newerThan: resume.since, session, &room)
            guard isKnown(session) else { return false }
            ledger.showing[0].snapshot = snapshot
            guard isDone else {
                waitForTurn(session)
                return false
            }
            ledger.showing.removeFirst()
        }
        return true
    }

    /// Shows `body` the history and what is known of it, also of rules that the store has not taken over yet.
    private func readHistory<Result>(
        _ body: (any HistoryView, HistorySummary) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // Before the store is read: they are then in the one or the other.
        let waiting = sequencer.waitingRules
        return try store.readHistory { view throws(StorageError) in
            var summary = view.summary
            for (rules, seq) in waiting { summary.adopt(rules, from: seq) }
            return try body(view, summary)
        }
    }

    private func examine(_ session: any Session, _ ledger: Ledger) throws(StorageError) {
        let resumes = ledger.unexamined
        let found = try readHistory { view, summary throws(StorageError) in
            let losses = try HistoryReading.losses(
                view, summary, resumes.map { HistoryReading.Wanted(filter: $0.filter, after: $0.since) })
            return zip(resumes, losses).map { resume, lost in
                let uncovered = HistoryReading.uncovered(
                    summary, resume.filter, after: resume.since, upTo: resume.seq)
                return (uncovered, lost)
            }
        }
        ledger.unexamined = []
        for (resume, (uncovered, lost)) in zip(resumes, found) {
            var gap = uncovered
            if let lost { if gap == nil { gap = lost } else { gap?.merge(lost) } }
            // Where nothing is missing, the messages themselves bring every value.
            guard let gap else { continue }
            session.subscriptions.lose(resume.filter, gap, upTo: lost?.end(from: resume.since) ?? 0)
            if resume.snapshot != nil { ledger.showing.append(resume) }
        }
    }

    private func mustWait(_ snapshot: Snapshot) -> Bool {
        snapshot.waitsForStore && !sequencer.isSettled(upTo: snapshot.seq)
    }

    /// Shows the next piece of a snapshot, and says whether that was the last; where it throws nothing is sent, and
    /// `snapshot` is not to be used any more.
    private func show(
        _ snapshot: inout Snapshot, newerThan since: UInt64?, _ session: any Session, _ room: inout Int
    ) throws(StorageError) -> Bool {
        var found: [Message] = []
        let progress = try snapshot.read(
            store, visits: 512, bytes: room, now: Lifetime.now
        ) { found.append($0) }
        if let since {
            // The client has seen the older ones, and those that are kept come in their order: on their way to the disk, or
            // on it. The former are asked for first, so that none is missed on its way from one to the other.
            found.removeAll { $0.seq <= since }
            let pending = sequencer.pending(of: found.map(\.seq))
            found.removeAll { pending.contains($0.seq) }
            let kept = try store.readHistory { view throws(StorageError) in
                var kept: Set<UInt64> = []
                for message in found where try view.holds(message.seq) { kept.insert(message.seq) }
                return kept
            }
            found.removeAll { kept.contains($0.seq) }
        }
        for message in found {
            session.sendSnapshot(message)
            counters.snapshots.add(1)
            room -= message.weight
        }
        return progress == .finished
    }

    // MARK: What is due to the session

    /// Sends what is due up to `limit`; `nil`: everything, and then the session is live.
    ///
    /// - Returns: whether that is done; if not, the session is called again.
    private func catchUp(
        _ session: any Session, _ ledger: Ledger, to limit: UInt64?, _ room: inout Int
    ) throws(StorageError) -> Bool {
        while ledger.isOwed, ledger.cursor < limit ?? .max {
            guard room > 0 else {
                waitForTurn(session)
                return false
            }
            let newest: UInt64?
            let tail: Sequencer.Tail
            if limit == nil {
                // Live and late messages meet here: nothing comes between the mailbox and the tail.
                let found = sequencer.tail(after: ledger.cursor, emptying: mailbox)
                deliver(found.events)
                guard isKnown(session) else { return false }
                (newest, tail) = (found.newest, found.tail)
            } else {
                (newest, tail) = (nil, sequencer.tail(after: ledger.cursor))
            }
            let end = min(limit ?? .max, tail.committedUpTo)
            if ledger.cursor < end {
                guard try readDue(session, ledger, upTo: end, &room) else { return false }
            } else {
                guard tail.isWhole, fits(tail, session, ledger) else {
                    waitForStore(session)
                    return false
                }
                for message in tail.messages where message.seq <= limit ?? .max {
                    give(message, to: session, ledger, counters.delivered)
                }
                ledger.cursor = limit ?? newest ?? ledger.cursor
                if limit == nil { ledger.isOwed = false }
            }
        }
        guard let limit else { return join(session) }
        sendHeld(upTo: limit, session)
        sendGaps(upTo: limit, session)
        ledger.cursor = max(ledger.cursor, limit)
        for ending in ledger.takeEndings(upTo: limit) { ending.body() }
        return isKnown(session)
    }

    private func join(_ session: any Session) -> Bool {
        let set = session.subscriptions
        // What was held comes at once; a client that still has something to take gets it when that is gone.
        guard session.isDrained || set.held.bytes < piece else { return false }
        sendHeld(upTo: .max, session)
        sendGaps(upTo: .max, session)
        let endings = set.ledger?.takeEndings(upTo: .max) ?? []
        let figures = set.ledger?.figures ?? []
        set.setLive()
        session.connection?.isPatient = set.isPatient
        if let connection = session.connection { reactor.clearFlags(.held, of: connection.slot) }
        for ending in endings { ending.body() }
        for topic in figures where set.all.contains(where: { $0.filter.matches(topic) }) {
            guard let figure = sequencer.figure(of: topic, after: deliveredUpTo) else { continue }
            send(figure, to: session)
        }
        return true
    }

    /// Reads a piece of what is due from the store; `false`: the session is gone, or has enough for now.
    private func readDue(
        _ session: any Session, _ ledger: Ledger, upTo end: UInt64, _ room: inout Int
    ) throws(StorageError) -> Bool {
        let set = session.subscriptions
        let (cursor, bytes, known) = (ledger.cursor, room, ledger.lossMark)
        let index = set.index(ledger)
        let wanted = set.wanted(ledger)
        var found: [Message] = []
        let (losses, mark, reading) = try readHistory { view, summary throws(StorageError) in
            let mark = summary.lossMark
            let losses = mark == known ? [] : try HistoryReading.losses(view, summary, wanted)
            let reading = try HistoryReading.read(
                view, wanted, where: { topic in index.contains(topic) { set.wantsInFull($0, ledger) } },
                after: cursor, upTo: end, bytes: bytes, now: Lifetime.now
            ) { found.append($0) }
            return (losses, mark, reading)
        }
        ledger.lossMark = mark
        for (item, loss) in zip(wanted, losses) {
            if let loss { set.lose(item.filter, loss, upTo: loss.end(from: item.after)) }
        }
        for message in found {
            let isGiven = give(message, to: session, ledger, counters.replayed)
            if isGiven { room -= message.weight }
        }
        let reached: UInt64
        if case .stopped(let seq) = reading { reached = seq } else { reached = end }
        sendHeld(upTo: reached, session)
        sendGaps(upTo: reached, session)
        ledger.cursor = reached
        for ending in ledger.takeEndings(upTo: reached) { ending.body() }
        return isKnown(session)
    }

    /// Sends a message that is kept, in its place among what is held, if it is due.
    @discardableResult
    private func give(
        _ message: Message, to session: any Session, _ ledger: Ledger, _ counter: borrowing Counter
    ) -> Bool {
        guard !message.isExpired(at: Lifetime.now) else { return false }
        // One that was held for its topic's sake, before somebody asked for all of them, comes once.
        guard sendHeld(upTo: message.seq, session) != message.seq,
            session.subscriptions.takes(message, client: session.client.id, ledger)
        else { return false }
        sendGaps(before: message, session)
        send(message, to: session)
        counter.add(1)
        return true
    }

    /// Whether what is not on disk yet is little enough to be sent at once.
    private func fits(_ tail: Sequencer.Tail, _ session: any Session, _ ledger: Ledger) -> Bool {
        let index = session.subscriptions.index(ledger)
        let bytes = tail.messages.reduce(0) { sum, message in
            index.contains(message.topic) ? sum + message.weight : sum
        }
        return bytes <= max(piece, settings.limits.pending / 4)
    }

    /// Sends what is held up to a number, and the gaps that lie between.
    ///
    /// - Returns: the number of the last message that was sent; 0: none.
    @discardableResult
    private func sendHeld(upTo seq: UInt64, _ session: any Session) -> UInt64 {
        let set = session.subscriptions
        var last: UInt64 = 0
        for message in set.held.take(upTo: seq) {
            sendGaps(before: message, session)
            send(message, to: session)
            counters.delivered.add(1)
            last = message.seq
        }
        return last
    }

    /// Sends the gaps up to a number, when all that comes before it has been sent.
    private func sendGaps(upTo seq: UInt64, _ session: any Session) {
        send(session.subscriptions.takeGaps(upTo: seq), to: session)
    }

    /// Sends the gaps before a message, and says of what has ended before it that it has.
    ///
    /// So no gap reaches beyond what comes next: a client that is cut off goes on from the highest number it has seen.
    private func sendGaps(before message: Message, _ session: any Session) {
        sendGaps(upTo: message.seq - 1, session)
        for ending in session.subscriptions.ledger?.takeEndings(upTo: message.seq - 1) ?? [] { ending.body() }
        send(session.subscriptions.takeGaps(before: message), to: session)
    }

    private func send(_ gaps: [(subscription: Subscription, gap: Gap)], to session: any Session) {
        for (subscription, gap) in gaps {
            guard isKnown(session) else { return }
            session.sendGap(subscription.filter, gap, isResuming: gap.seq <= subscription.resumedAt)
            counters.gaps.add(1)
        }
    }

    private func send(_ message: Message, to session: any Session) {
        // A gap that could not be told has ended it.
        guard isKnown(session) else { return }
        fanOut.send(message, to: session)
    }
}
