internal import WSTransport

/// Matching, encoding and queueing.
extension Shard {
    /// Sends one message to all subscribers of this reactor whose filters match.
    func fanOut(_ message: Message) {
        let cursor = reactor.outboundCursor
        let originSlot = message.originSlot
        var encoded = InlineArray<14, Segment?>(repeating: nil)
        var delivered = 0
        var slow: [Subscriber] = []
        let cost = tree.forEachMatch(of: message.topic) { entries in
            unsafe entries.withUnsafeBufferPointer { entries in
                var index = 0
                while index < entries.count {
                    let form = unsafe entries[index].form
                    let segment = encode(message, form, &encoded)
                    let (kind, head, tail, first) = (Subscriber.kind(form), segment.head, segment.tail, index)
                    while index < entries.count, unsafe entries[index].kind == kind,
                        unsafe cursor.extend(entries[index].slot, from: head, to: tail)
                    {
                        index &+= 1
                    }
                    delivered &+= index &- first
                    guard index < entries.count, unsafe entries[index].form == form else { continue }
                    let entry = unsafe entries[index]
                    index &+= 1
                    if entry.isDeaf, entry.slot == originSlot || originSlot == .max {
                        slow.append(entry)
                        continue
                    }
                    // A connection has one form, so the segment shows whether another of its filters matched already.
                    switch cursor.offer(segment, to: entry.slot) {
                    case .taken: delivered &+= 1
                    case .known: break
                    case .apart:
                        reactor.sendApart(segment, to: entry.slot)
                        delivered &+= 1
                    case .refused: slow.append(entry)
                    }
                }
            }
        }
        if !unreviewed.isEmpty, !slow.isEmpty { slow = reviewed(slow) }
        for entry in slow where deliverSlowly(message, entry, cursor, &encoded) { delivered &+= 1 }
        counters.delivered.add(delivered)
        counters.matchedNodes.add(cost)
    }

    func session(of entry: Subscriber) -> (any Session)? {
        Int(entry.slot) < sessions.count ? sessions[Int(entry.slot)] : nil
    }

    /// Delivery to a connection that must be asked: behind, with `echo=false`, or closed.
    private func deliverSlowly(
        _ message: Message, _ entry: Subscriber, _ cursor: OutboundCursor, _ encoded: inout InlineArray<14, Segment?>
    ) -> Bool {
        guard let session = session(of: entry), session.stream.isOpen else { return false }
        if entry.isDeaf, message.origin == session.client.id { return false }
        guard cursor.takeMark(message.seq, of: entry.slot) else { return false }
        if session.subscriptions.isBehind {
            hold(message, session)
            return false
        }
        let segment = encode(message, entry.form, &encoded)
        if cursor.hasNewest(segment, of: entry.slot) { return false }
        reactor.send(segment, to: entry.slot)
        return true
    }

    /// The message's bytes of this form, made once.
    private func encode(
        _ message: Message, _ form: WireForm, _ encoded: inout InlineArray<14, Segment?>
    ) -> Segment {
        if let known = encoded[Int(form.rawValue)] { return known }
        let segment = encode(message, form)
        encoded[Int(form.rawValue)] = segment
        return segment
    }

    func encode(_ message: Message, _ form: WireForm) -> Segment {
        form.encode(message, on: reactor, places: places, compression: socketOptions.values.compression)
    }
}
