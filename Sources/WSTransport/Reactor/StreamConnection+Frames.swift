/// Operations on waiting frames.
extension StreamConnection {
    /// Bytes given to ``send(_:)`` that the socket has not taken yet, including those of this turn.
    package var bufferedBytes: Int {
        var count = unsentBytes + reactor.turnBytes(of: slot)
        for segment in segments { count += Int(segment.count) }
        return count
    }

    /// Drops what is unsent, except the frame that is partly sent, to make room for a last frame.
    ///
    /// - Parameter frameCount: the length of the frame with which the bytes begin.
    package func dropUnsent(frameCount: (UnsafeRawBufferPointer) -> Int) {
        segments = []
        _ = reactor.takeTurnSegment(of: slot)
        _ = unsafe backlog.truncate(frameCount: frameCount)
    }

    /// Sends a frame before those of the backlog that have not begun.
    ///
    /// Requires a backlog that consists of frames.
    ///
    /// - Parameters:
    ///   - isReplaceable: it replaces the last such frame, if that has not begun either.
    ///   - frameCount: the length of the frame with which the bytes begin.
    package func sendAhead(
        _ frame: [UInt8], isReplaceable: Bool, frameCount: (UnsafeRawBufferPointer) -> Int
    ) {
        guard isOpen else { return }
        unsafe backlog.insertAhead(frame, isReplaceable: isReplaceable, now: reactor.now, frameCount: frameCount)
        guard unsentBytes > maximumUnsent else { return }
        // Not within the caller's own work.
        reactor.runSoon { [weak self] in
            guard let self, isOpen, unsentBytes > maximumUnsent else { return }
            driver?.overflowed()
        }
    }
}
