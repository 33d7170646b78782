extension StreamConnection {
    /// What the kernel says of its socket.
    func ready(_ events: Epoll.Events) {
        hasBegun = true
        if ending == .closed { return }
        if events.contains(.failed) {
            failure = Socket.pendingError(rawDescriptor)
            return reset()
        }
        if events.contains(.writable) { becameWritable() }
        if ending != .closed, !events.isDisjoint(with: [.readable, .hangUp]) {
            becameReadable(hasHungUp: events.contains(.hangUp))
        }
    }

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
