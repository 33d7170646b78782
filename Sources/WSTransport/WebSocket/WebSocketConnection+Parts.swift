/// Messages that are sent and handed over in parts, so that they are never in memory as a whole.
extension WebSocketConnection {
    /// How much compressed input is inflated at once, in bytes; it can grow to a thousand times that at most.
    private static let inflatedPiece = 1024

    /// From now on, messages are handed over as they arrive, see ``WebSocketSession/receivedPart(_:_:isLast:)``.
    func handOverParts() { unsafe machine.handsOverParts = true }

    /// Reads a piece of input that may be compressed.
    func receivePiece(
        of bytes: UnsafeMutableRawBufferPointer, _ offset: inout Int, _ counters: ReactorCounters
    ) {
        let end = min(bytes.count, offset + Self.inflatedPiece)
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<end])
        guard let event = unsafe machine.next(piece, &offset) else { return }
        if case .message(let opcode, let payload) = event, state == .open {
            counters.messagesReceived.add(1)
            unsafe handOver(opcode, payload, of: piece, isLast: true)
        } else {
            unsafe handle(event, piece, counters)
        }
    }

    func handOver(
        _ opcode: Opcode, _ payload: WebSocketMachine.Payload, of bytes: UnsafeMutableRawBufferPointer, isLast: Bool
    ) {
        guard state == .open else { return }
        switch payload {
        case .input(let range):
            let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
            unsafe session?.receivedPart(opcode, part.bindMemory(to: UInt8.self).span, isLast: isLast)
        case .assembled(let part): session?.receivedPart(opcode, part.span, isLast: isLast)
        }
    }

    /// Ends the connection to a peer whose message exceeds the limit, after parts of it have been handed over.
    func failTooBig() {
        guard readyState == .open, pending == nil else { return }
        let violation = ProtocolViolation.messageTooBig
        fail(violation.code, violation.reason, unsafe machine.close(violation.code, reason: violation.reason) ?? [])
    }

    /// Sends a part of a message, as a frame; the parts of another message must not come in between.
    ///
    /// - Parameters:
    ///   - opcode: the opcode of the message.
    ///   - isFirst: whether this is the first part.
    ///   - isLast: whether this is the last part.
    func sendPart(_ opcode: Opcode, _ part: [UInt8], isFirst: Bool, isLast: Bool) {
        guard readyState == .open, stream.isOpen else { return }
        if isFirst, isLast { return send(opcode, part) }
        var (payload, isCompressed) = (part, false)
        switch compression?.deflatePart(part, isFirst: isFirst, isLast: isLast) {
        case .compressed(let bytes): (payload, isCompressed) = (bytes, true)
        case .failed: return terminate()
        case .plain, nil: break
        }
        var frame: [UInt8] = []
        unsafe payload.withUnsafeBytes {
            // RFC 7692 §6.1: only the first frame has the bit.
            unsafe FrameEncoder.appendFrame(
                isFirst ? opcode : .continuation, $0, isFinal: isLast, isCompressed: isCompressed && isFirst,
                maskingKey: isClient ? .random() : nil, to: &frame)
        }
        stream.send(frame)
    }
}

/// The state that a connection keeps for an incomplete message, and time limits.
extension WebSocketConnection {
    // Objects, because nearly all connections have neither.
    /// The answer to a peer that closed or violated the protocol, and the resulting event.
    final class PendingEnd {
        let frame: [UInt8]
        let event: CloseEvent
        init(_ frame: [UInt8], _ event: CloseEvent) { (self.frame, self.event) = (frame, event) }
    }
    /// How long an incomplete message has been under way; while the peer is not read, it cannot continue its message,
    /// and that time does not count.
    final class UnfinishedMessage {
        /// When it began, and later by the time for which it was not read.
        private var since: MonotonicTime
        /// Since when it is not read; `nil` if it is.
        private var pausedAt: MonotonicTime?

        init(since: MonotonicTime, isPaused: Bool) {
            self.since = since
            pausedAt = isPaused ? since : nil
        }

        func pause(at now: MonotonicTime) { pausedAt = pausedAt ?? now }

        func resume(at now: MonotonicTime) {
            guard let pausedAt else { return }
            since = since.advanced(byNanoseconds: now.nanoseconds(since: pausedAt))
            self.pausedAt = nil
        }

        /// In nanoseconds.
        func age(at now: MonotonicTime) -> Int64 { (pausedAt ?? now).nanoseconds(since: since) }
    }

    /// Counts the memory of the message under way, and returns whether there is one; both are read at once.
    @discardableResult
    func countHeld(since before: Int) -> Bool {
        let (held, isMidMessage) = unsafe machine.receiveProgress
        if held != before { stream.reactor.counters.heldBytes.add(held - before) }
        return isMidMessage
    }

    /// Records when the message under way began.
    ///
    /// - Parameter isNew: whether an earlier message ended in the bytes just read.
    func noteUnfinished(isNew: Bool) {
        guard unsafe machine.isMidMessage, readyState == .open, let limit = options.values.messageTimeout else {
            return unfinished = nil
        }
        guard isNew || unfinished == nil else { return }
        unfinished = UnfinishedMessage(since: now, isPaused: stream.isReadingPaused)
        // Otherwise checking at the time of the next PING is early enough, and large messages need no deadline of their
        // own.
        if options.values.pingInterval ?? .max > limit { scheduleKeepalive() }
    }

    package var heldBytes: Int { unsafe machine.heldBytes + (session?.heldBytes ?? 0) }

    /// Whether the message under way has taken too long.
    var isMessageTooLate: Bool {
        guard let limit = options.values.messageTimeout, let unfinished else { return false }
        return unfinished.age(at: now) >= limit
    }

    package func readingPaused() { unfinished?.pause(at: now) }

    package func readingResumed() { unfinished?.resume(at: now) }
}
