internal import WSTransport

/// Rooms 5 to 7 of a message's path: who matches, the bytes for each wire form, into the outbound queues.
extension Shard {
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

    /// Delivery to a connection that wants to be asked: behind, deaf to itself, or closed.
    private func deliverSlowly(
        _ message: Message, _ entry: Subscriber, _ cursor: OutboundCursor, _ encoded: inout InlineArray<12, Segment?>
    ) -> Bool {
        guard Int(entry.slot) < sessions.count, let session = sessions[Int(entry.slot)], session.stream.isOpen else {
            return false
        }
        if entry.isDeaf, message.origin == session.client.id { return false }
        guard cursor.takeMark(message.seq, of: entry.slot) else { return false }
        if session.subscriptions.isBehind {
            hold(message, session)
            return false
        }
        let lane = Int(entry.form.rawValue)
        let segment = encoded[lane] ?? encode(message, entry.form)
        encoded[lane] = segment
        reactor.send(segment, to: entry.slot)
        return true
    }

    func encode(_ message: Message, _ form: WireForm) -> Segment {
        form.encode(message, on: reactor, compression: socketOptions.values.compression)
    }
}
