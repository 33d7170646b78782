extension StreamConnection {
    /// What the kernel says of its socket.
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

    /// The socket takes nothing more: what came before that is handed over, for a while at most, then it is reset.
    ///
    /// The peer was told by our TCP that it had arrived.
    func broke() {
        guard ending == .none, !sawEnd || isEndDue else { return reset() }
        guard !isBroken else { return }
        hasBroken = true
        segments = []
        backlog = Backlog()
        reactor.setFlags(.inert, of: slot)
        // Nothing is unsent any more: who is not read until its answers are out is read now.
        reactor.runSoon { [weak self] in
            if let self, ending == .none { driver?.drained() }
        }
        reactor.setDeadline(reactor.now.advanced(byNanoseconds: Self.patienceWhenBroken), of: slot)
    }

    /// How long the driver of a broken connection may take to read what came, in nanoseconds.
    private static let patienceWhenBroken: Int64 = 5_000_000_000

    /// Whether what it has may be read before others have had theirs.
    ///
    /// Not its first bytes, of which a turn takes a few connections' only. Not TLS: if it is paused meanwhile, its bytes wait as they came.
    var readsByRing: Bool {
        hasBegun && !isReadingPaused && !isHandOverDue && !sawEnd && !isBulky && tls == nil && ending != .closed
    }

    /// What was read when ``readsByRing`` said so; since then it may have been ended or paused.
    func receivedByRing(_ bytes: UnsafeMutableRawBufferPointer) {
        // The rest of it is read in the next turn, with more room.
        isBulky = bytes.count == ReceiveRing.room
        unsafe received(bytes)
    }
}
