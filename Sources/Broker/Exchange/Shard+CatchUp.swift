internal import WSTransport

/// How a session that is behind gets what is due to it, in pieces, until it is live.
extension Shard {
    /// Sends the next piece of what is due to a session; called again when there is room.
    package func advance(_ session: any Session) {
        let set = session.subscriptions
        guard set.isBehind, session.stream.isOpen, !session.stream.isBroken, isKnown(session) else { return }
        var room = min(piece, max(settings.limits.pending / 2, 1))
        do throws(StorageError) {
            while let beginning = set.beginnings.first {
                guard session.stream.isOpen, session.stream.unsentBytes == 0 else { return }
                // What was due before the subscription comes before what it begins with.
                guard try catchUp(session, to: beginning.seq, &room) else { return }
                guard set.beginnings.first?.filter == beginning.filter else { continue }
                guard room > 0 else { return waitForTurn(session) }
                if let snapshot = beginning.snapshot, snapshot.waitsForStore,
                    !sequencer.isSettled(upTo: snapshot.seq)
                {
                    return waitForStore(session)
                }
                guard var current = set.beginnings.first else { return }
                let isDone = Result { () throws(StorageError) in try advance(&current, session, &room) }
                guard isKnown(session), set.beginnings.first?.filter == current.filter else { return }
                // Also where the store fails in the middle: what has been sent is not sent again.
                set.beginnings.replaceFirst(with: current)
                guard try isDone.get() else { return waitForTurn(session) }
                set.beginnings.removeFirst()
                set.change(current.filter) { subscription in
                    subscription.lostUpTo = max(subscription.lostUpTo, current.lostUpTo)
                    // What it has brought is not brought again for another filter.
                    if let since = current.since { subscription.position = min(subscription.position, since) }
                }
                session.sendLive(current.filter, seq: current.seq)
            }
            guard session.stream.isOpen, session.stream.unsentBytes == 0 else { return }
            _ = try catchUp(session, to: nil, &room)
        } catch {
            guard error.isBusy else {
                return session.disconnect(.internalError, reason: "the store cannot be read")
            }
            waitForBusyStore(session)
        }
    }

    // MARK: What a subscription begins with

    /// `true`: that was all of it.
    private func advance(
        _ beginning: inout Beginning, _ session: any Session, _ room: inout Int
    ) throws(StorageError) -> Bool {
        if !beginning.isChecked { try check(&beginning) }
        if let gap = beginning.gap {
            session.sendGap(beginning.filter, gap, isResuming: true)
            counters.gaps.add(1)
            beginning.gap = nil
        }
        if var snapshot = beginning.snapshot {
            let isDone = try show(&snapshot, newerThan: beginning.since, session, &room)
            beginning.snapshot = isDone ? nil : snapshot
            if !isDone { return false }
        }
        guard let replayed = beginning.replayed else { return true }
        let end = try replay(&beginning, after: replayed, session, &room)
        switch end {
        case .stopped(let seq):
            beginning.replayed = seq
            return false
        case .finished:
            beginning.replayed = nil
            return true
        }
    }

    /// Finds out what is missing of what is asked for.
    private func check(_ beginning: inout Beginning) throws(StorageError) {
        guard let since = beginning.since else { return }
        let (filter, seq) = (beginning.filter, beginning.seq)
        let (uncovered, lost, trims) = try store.readHistory { view throws(StorageError) in
            let wanted = HistoryReading.Wanted(filter: filter, after: since)
            return (
                HistoryReading.uncovered(view.summary, filter, after: since, upTo: seq),
                try HistoryReading.losses(view, [wanted])[0], view.summary.trims
            )
        }
        beginning.isChecked = true
        beginning.checkedTrims = trims
        beginning.lostUpTo = lost?.seq ?? 0
        var gap = uncovered
        if let lost { if gap == nil { gap = lost } else { gap?.merge(lost) } }
        beginning.gap = gap
        // Where nothing is missing, the messages themselves bring every value.
        if gap == nil { beginning.snapshot = nil }
    }

    private func show(
        _ snapshot: inout Snapshot, newerThan since: UInt64?, _ session: any Session, _ room: inout Int
    ) throws(StorageError) -> Bool {
        var found: [Message] = []
        let progress = try snapshot.read(
            store, visits: 512, bytes: room, now: Lifetime.now
        ) { found.append($0) }
        if let since {
            // The client has seen the older ones, and those that are kept it is sent in their order.
            found.removeAll { $0.seq <= since || $0.rule != nil }
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
            room -= message.payload.count + 128
        }
        return progress == .finished
    }

    private func replay(
        _ beginning: inout Beginning, after cursor: UInt64, _ session: any Session, _ room: inout Int
    ) throws(StorageError) -> HistoryEnd {
        let (filter, limit) = (beginning.filter, beginning.seq)
        let tail = sequencer.tail(after: cursor)
        let end = min(limit, tail.committedUpTo)
        if cursor < end {
            let wanted = [HistoryReading.Wanted(filter: filter, after: max(cursor, beginning.lostUpTo))]
            let (bytes, checked) = (max(room, 1), beginning.checkedTrims)
            var found: [Message] = []
            let (lost, trims, reading) = try store.readHistory { view throws(StorageError) in
                let trims = view.summary.trims
                let lost = trims == checked ? nil : try HistoryReading.losses(view, wanted)[0]
                let reading = try HistoryReading.read(
                    view, wanted, after: cursor, upTo: end, bytes: bytes, now: Lifetime.now
                ) { found.append($0) }
                return (lost, trims, reading)
            }
            beginning.checkedTrims = trims
            if let lost {
                beginning.lostUpTo = lost.seq
                session.sendGap(filter, lost, isResuming: false)
                counters.gaps.add(1)
            }
            for message in found { sendReplayed(message, of: filter, session, &room) }
            if case .stopped = reading { return reading }
            // More may have been committed meanwhile, or is not on disk yet.
            return end == limit ? .finished : .stopped(after: end)
        }
        for message in tail.messages where message.seq <= limit && filter.matches(message.topic) {
            guard room > 0 else { return .stopped(after: message.seq - 1) }
            sendReplayed(message, of: filter, session, &room)
        }
        if tail.isWhole { return .finished }
        return .stopped(after: tail.messages.last?.seq ?? cursor)
    }

    /// Sends a missed message, unless another subscription of the session has brought it already.
    private func sendReplayed(_ message: Message, of filter: TopicFilter, _ session: any Session, _ room: inout Int) {
        let set = session.subscriptions
        guard !set.isDueInFull(message, client: session.client.id) else { return }
        if let own = set.subscription(at: filter), own.isDeaf, message.origin == session.client.id { return }
        let now = Lifetime.now
        guard message.expiry == 0 || message.expiry > now else { return }
        send(message, to: session)
        counters.replayed.add(1)
        room -= message.payload.count + 128
    }

    // MARK: What is due to the session

    /// Sends what is due up to `limit`; `nil`: everything, and then the session is live.
    ///
    /// - Returns: whether that is done; if not, the session is called again.
    private func catchUp(_ session: any Session, to limit: UInt64?, _ room: inout Int) throws(StorageError) -> Bool {
        let set = session.subscriptions
        while set.isOwed, set.cursor < limit ?? .max {
            guard room > 0 else {
                waitForTurn(session)
                return false
            }
            let newest: UInt64?
            let tail: Sequencer.Tail
            if limit == nil {
                // Live and late messages meet here: nothing comes between the mailbox and the tail.
                let found = sequencer.tail(after: set.cursor, emptying: mailbox)
                deliver(found.letters)
                guard isKnown(session) else { return false }
                (newest, tail) = (found.newest, found.tail)
            } else {
                (newest, tail) = (nil, sequencer.tail(after: set.cursor))
            }
            let end = min(limit ?? .max, tail.committedUpTo)
            if set.cursor < end {
                guard try readDue(session, upTo: end, &room) else { return false }
            } else {
                guard tail.isWhole, fits(tail, session) else {
                    waitForStore(session)
                    return false
                }
                for message in tail.messages where message.seq <= limit ?? .max {
                    sendHeld(upTo: message.seq, session)
                    guard set.isDueInFull(message, client: session.client.id) else { continue }
                    send(message, to: session)
                    counters.delivered.add(1)
                }
                set.cursor = limit ?? newest ?? set.cursor
                if limit == nil { set.isOwed = false }
            }
        }
        guard let limit else { return join(session) }
        sendHeld(upTo: limit, session)
        set.cursor = max(set.cursor, limit)
        return true
    }

    private func join(_ session: any Session) -> Bool {
        let set = session.subscriptions
        // What was held comes at once, so whoever still has something to take gets it when that is gone.
        guard session.stream.unsentBytes == 0 || set.held.bytes < piece else { return false }
        set.isBehind = false
        reactor.clearFlags(.held, of: session.stream.slot)
        sendHeld(upTo: .max, session)
        return true
    }

    /// Reads a piece of what is due from the store; `false`: the session is gone, or has enough for now.
    private func readDue(_ session: any Session, upTo end: UInt64, _ room: inout Int) throws(StorageError) -> Bool {
        let set = session.subscriptions
        let (wanted, cursor, bytes, checked) = (set.wanted, set.cursor, room, set.checkedTrims)
        var found: [Message] = []
        let (losses, trims, reading) = try store.readHistory { view throws(StorageError) in
            let trims = view.summary.trims
            let losses = trims == checked ? [] : try HistoryReading.losses(view, wanted)
            let reading = try HistoryReading.read(
                view, wanted, after: cursor, upTo: end, bytes: bytes, now: Lifetime.now
            ) { found.append($0) }
            return (losses, trims, reading)
        }
        set.checkedTrims = trims
        for (item, loss) in zip(wanted, losses) {
            guard let loss else { continue }
            set.change(item.filter) { $0.lostUpTo = loss.seq }
            session.sendGap(item.filter, loss, isResuming: false)
            counters.gaps.add(1)
        }
        guard isKnown(session) else { return false }
        for message in found {
            sendHeld(upTo: message.seq, session)
            guard set.isDueInFull(message, client: session.client.id) else { continue }
            send(message, to: session)
            counters.replayed.add(1)
            room -= message.payload.count + 128
        }
        let reached: UInt64
        if case .stopped(let seq) = reading { reached = seq } else { reached = end }
        sendHeld(upTo: reached, session)
        set.cursor = reached
        return true
    }

    /// Whether what is not on disk yet is little enough to be sent at once.
    private func fits(_ tail: Sequencer.Tail, _ session: any Session) -> Bool {
        let bytes = tail.messages.reduce(0) { sum, message in
            session.subscriptions.isDue(message, client: session.client.id) ? sum + message.payload.count + 128 : sum
        }
        return bytes <= max(piece, settings.limits.pending / 4)
    }

    private func sendHeld(upTo seq: UInt64, _ session: any Session) {
        let set = session.subscriptions
        for (filter, gap) in set.takeGaps() {
            session.sendGap(filter, gap, isResuming: false)
            counters.gaps.add(1)
        }
        for message in set.held.take(upTo: seq) {
            send(message, to: session)
            counters.delivered.add(1)
        }
    }

    private func send(_ message: Message, to session: any Session) {
        // A gap that could not be told has ended it.
        guard isKnown(session) else { return }
        reactor.send(encode(message, session.form), to: session.stream.slot)
    }
}
