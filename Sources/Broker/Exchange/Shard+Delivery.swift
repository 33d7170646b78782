internal import WSTransport

/// Rooms 5 to 7 of a message's path: who matches, the bytes for each wire form, into the outbound queues.
extension Shard {
    /// A snapshot is sent in pieces of about this many bytes a turn.
    private static let snapshotPiece = 64 * 1024
    /// And no further piece is sent while more than this is unsent.
    private static let snapshotBacklog = 128 * 1024

    /// Sends one message to everybody here whose filters match.
    func fanOut(_ message: Message) {
        let cursor = reactor.outboundCursor
        let originSlot = message.originSlot
        var encoded = InlineArray<12, Segment?>(repeating: nil)
        var delivered = 0
        var slow: [Subscriber] = []
        tree.forEachMatch(of: message.topic) { entries in
            for index in entries.indices {
                let entry = entries[index]
                let mayBeOwn = entry.isDeaf && (entry.slot == originSlot || originSlot == .max)
                guard cursor.isPlain(entry.slot), !mayBeOwn else {
                    slow.append(entry)
                    continue
                }
                guard cursor.takeMark(message.seq, of: entry.slot) else { continue }
                let lane = Int(entry.form.rawValue)
                let segment: Segment
                if let known = encoded[lane] {
                    segment = known
                } else {
                    segment = encode(message, entry.form)
                    encoded[lane] = segment
                }
                if !cursor.append(segment, to: entry.slot) { reactor.sendApart(segment, to: entry.slot) }
                delivered &+= 1
            }
        }
        for entry in slow where deliverSlowly(message, entry, cursor, &encoded) { delivered &+= 1 }
        counters.delivered.add(delivered)
    }

    /// Delivery to a connection that wants to be asked: in a snapshot, deaf to itself, or closed.
    private func deliverSlowly(
        _ message: Message, _ entry: Subscriber, _ cursor: OutboundCursor, _ encoded: inout InlineArray<12, Segment?>
    ) -> Bool {
        guard Int(entry.slot) < sessions.count, let session = sessions[Int(entry.slot)], session.stream.isOpen else {
            return false
        }
        if entry.isDeaf, message.origin == session.client.id { return false }
        guard cursor.takeMark(message.seq, of: entry.slot) else { return false }
        if session.subscriptions.isHolding {
            hold(message, session)
            return false
        }
        let lane = Int(entry.form.rawValue)
        let segment = encoded[lane] ?? encode(message, entry.form)
        encoded[lane] = segment
        reactor.send(segment, to: entry.slot)
        return true
    }

    private func encode(_ message: Message, _ form: WireForm) -> Segment {
        form.encode(message, on: reactor, compression: socketOptions.values.compression)
    }

    private func hold(_ message: Message, _ session: any Session) {
        session.subscriptions.hold(message)
        if session.subscriptions.heldBytes > settings.limits.pending {
            session.closeSlow("more than \(settings.limits.pending) bytes came while the snapshot was read")
        }
    }

    /// Sends the next piece of what is due to a session; called again when there is room.
    package func advanceSnapshots(of session: any Session) {
        let set = session.subscriptions
        var room = Self.snapshotPiece
        while let snapshot = set.snapshots.first {
            guard session.stream.isOpen else { return }
            guard session.stream.unsentBytes <= Self.snapshotBacklog else { return }
            guard room > 0 else { return waitForTurn(session) }
            // What was due before the snapshot's position comes before the snapshot.
            if !snapshot.hasBegun { sendHeld(upTo: snapshot.seq, to: session) }
            var current = snapshot
            do throws(StorageError) {
                let progress = try current.read(
                    store, visits: 512, bytes: room, now: WallClock.unixMilliseconds
                ) { message in
                    session.sendSnapshot(message)
                    counters.snapshots.add(1)
                    room -= message.payload.count + 128
                }
                if case .more = progress {
                    set.snapshots[0] = current
                    return waitForTurn(session)
                }
            } catch {
                session.disconnect(.internalError, reason: "the store cannot be read")
                return
            }
            set.snapshots.removeFirst()
            session.sendLive(snapshot.filter, seq: snapshot.seq)
        }
        // What was held comes at once, so whoever still has something to take gets it when that is gone.
        guard session.stream.unsentBytes == 0 || set.heldBytes < Self.snapshotPiece else { return }
        set.isHolding = false
        reactor.clearFlags(.held, of: session.stream.slot)
        sendHeld(upTo: .max, to: session)
    }

    private func sendHeld(upTo seq: UInt64, to session: any Session) {
        for message in session.subscriptions.takeHeld(upTo: seq) {
            reactor.send(encode(message, session.form), to: session.stream.slot)
            counters.delivered.add(1)
        }
    }
}
