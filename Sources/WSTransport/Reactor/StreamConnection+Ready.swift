extension StreamConnection {
    /// The kernel's reports about its socket.
    func ready(_ events: Epoll.Events) {
        hasBegun = true
        if ending == .closed { return }
        if events.contains(.failed) {
            failure = failure ?? Socket.pendingError(rawDescriptor)
            broke()
            return ending == .closed ? () : becameReadable(hasHungUp: true)
        }
        if events.contains(.writable) { becameWritable() }
        if ending != .closed, !events.isDisjoint(with: [.readable, .hangUp]) {
            becameReadable(hasHungUp: events.contains(.hangUp))
        }
    }

    /// The socket accepts nothing more: what came before is handed over, for a limited time, then it is reset.
    ///
    /// Our TCP has told the peer that it arrived.
    func broke() {
        guard ending == .none, !sawEnd || isEndDue else { return reset() }
        guard !isBroken else { return }
        hasBroken = true
        segments = []
        unsafe backlog = Backlog()
        reactor.setFlags(.inert, of: slot)
        // Nothing is unsent any more: a connection that was not read until its answers were out is read now.
        reactor.runSoon { [weak self] in
            if let self, ending == .none { driver?.drained() }
        }
        reactor.setDeadline(reactor.now.advanced(byNanoseconds: Self.patienceWhenBroken), of: slot)
    }

    /// How long the driver of a broken connection may take to read what came, in nanoseconds.
    private static let patienceWhenBroken: Int64 = 5_000_000_000

    /// Whether it may be read together with others, before any of them is handed over.
    ///
    /// Not its first bytes, which only a few connections may bring in a turn. Not TLS: if it is paused meanwhile, its
    /// bytes wait encrypted.
    var readsByRing: Bool {
        hasBegun && !isReadingPaused && !isHandOverDue && !sawEnd && !isBulky && tls == nil && ending != .closed
    }

    /// What was read when ``readsByRing`` said so; since then it may have been ended or paused.
    func receivedByRing(_ bytes: UnsafeMutableRawBufferPointer) {
        // The rest is read in the next turn, with a larger buffer.
        isBulky = bytes.count == ReceiveRing.room
        unsafe received(bytes)
    }
}
