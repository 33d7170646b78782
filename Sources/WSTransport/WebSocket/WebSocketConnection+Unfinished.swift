/// What a connection keeps of an incomplete message, and for how long.
extension WebSocketConnection {
    // Objects, because nearly all connections have neither.
    /// Ends the connection to a peer that broke the protocol.
    final class BrokenProtocol {
        let end: () -> Void
        init(_ end: @escaping () -> Void) { self.end = end }
    }
    /// When an incomplete message began.
    final class UnfinishedMessage {
        var since: MonotonicTime
        init(since: MonotonicTime) { self.since = since }
    }

    /// Counts the memory of the message under way, and returns whether there is one: both by one look.
    @discardableResult
    func countHeld(since before: Int) -> Bool {
        let (held, isMidMessage) = unsafe machine.underWay
        if held != before { stream.reactor.counters.heldBytes.add(held - before) }
        return isMidMessage
    }

    /// Records when the message under way began.
    ///
    /// - Parameter isNew: whether an earlier one ended in what was just read.
    func noteUnfinished(isNew: Bool) {
        guard unsafe machine.isMidMessage, readyState == .open, let limit = options.values.messageTimeout else {
            return unfinished = nil
        }
        guard isNew || unfinished == nil else { return }
        unfinished = UnfinishedMessage(since: now)
        // Otherwise the time of the next PING is early enough to check, and large messages need no deadline each.
        if options.values.pingInterval ?? .max > limit { scheduleKeepalive() }
    }

    package var heldBytes: Int { unsafe machine.heldBytes + (session?.heldBytes ?? 0) }

    /// Whether the message under way has taken too long.
    var isMessageTooLate: Bool {
        guard let limit = options.values.messageTimeout, let unfinished else { return false }
        // A peer that is not being read cannot continue it.
        if stream.isReadingPaused { unfinished.since = now }
        return now.nanoseconds(since: unfinished.since) >= limit
    }
}
