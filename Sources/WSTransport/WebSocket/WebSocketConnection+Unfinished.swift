/// What a connection keeps of a message that is not complete, and for how long.
extension WebSocketConnection {
    // Objects, since nearly all connections have neither.
    /// What ends the connection to a peer that broke the protocol.
    final class BrokenProtocol {
        let end: () -> Void
        init(_ end: @escaping () -> Void) { self.end = end }
    }
    /// When a message began that is not complete.
    final class UnfinishedMessage {
        var since: MonotonicTime
        init(since: MonotonicTime) { self.since = since }
    }

    /// Counts what the message under way has come to take, and says whether there is one: one look for both.
    @discardableResult
    func countHeld(since before: Int) -> Bool {
        let (held, isMidMessage) = machine.underWay
        if held != before { stream.reactor.counters.heldBytes.add(held - before) }
        return isMidMessage
    }

    /// Notes when the message under way began.
    ///
    /// - Parameter isNew: one before it has ended in what was just read.
    func noteUnfinished(isNew: Bool) {
        guard machine.isMidMessage, readyState == .open, let limit = options.values.messageTimeout else {
            return unfinished = nil
        }
        guard isNew || unfinished == nil else { return }
        unfinished = UnfinishedMessage(since: now)
        // Else the time for the next PING is early enough to look, and large messages set no deadline each.
        if options.values.pingInterval ?? .max > limit { scheduleKeepalive() }
    }

    package var heldBytes: Int { machine.heldBytes + (session?.heldBytes ?? 0) }

    /// Whether the message under way has taken longer than it may.
    var isMessageTooLate: Bool {
        guard let limit = options.values.messageTimeout, let unfinished else { return false }
        // A peer that is not read cannot go on with it.
        if stream.isReadingPaused { unfinished.since = now }
        return now.nanoseconds(since: unfinished.since) >= limit
    }
}
