/// What may be done with frames that wait.
extension StreamConnection {
    /// Bytes given to ``send(_:)`` that the socket has not taken yet, with those of this turn.
    package var bufferedBytes: Int {
        var count = unsentBytes + reactor.turnBytes(of: slot)
        for segment in segments { count += Int(segment.count) }
        return count
    }

    /// Drops what is unsent but for the frame that is partly on its way, to make room for a last word.
    ///
    /// - Parameter frameCount: the byte count of the frame that the bytes begin with.
    package func dropUnsent(frameCount: (UnsafeRawBufferPointer) -> Int) {
        segments = []
        _ = reactor.takeTurnSegment(of: slot)
        _ = unsafe backlog.truncate(frameCount: frameCount)
    }

    /// Sends a frame before those of the backlog that have not begun.
    ///
    /// For who has a backlog; all of it has to be frames.
    ///
    /// - Parameters:
    ///   - isReplaceable: it takes the place of the last such frame, where that has not begun either.
    ///   - frameCount: the byte count of the frame that the bytes begin with.
    package func sendAhead(
        _ frame: [UInt8], isReplaceable: Bool, frameCount: (UnsafeRawBufferPointer) -> Int
    ) {
        guard isOpen else { return }
        unsafe backlog.insertAhead(frame, isReplaceable: isReplaceable, now: reactor.now, frameCount: frameCount)
        guard unsentBytes > maximumUnsent else { return }
        // Not within what the caller is about.
        reactor.runSoon { [weak self] in
            guard let self, isOpen, unsentBytes > maximumUnsent else { return }
            driver?.overflowed()
        }
    }
}
