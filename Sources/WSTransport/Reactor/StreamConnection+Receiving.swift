internal import Glibc

/// Reasons not to read a connection; it is read again when none is left.
package struct ReadingPause: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Its user asked for it.
    package static let user = ReadingPause(rawValue: 1 << 0)
    /// The peer has not taken the responses to what it sent.
    package static let unsent = ReadingPause(rawValue: 1 << 1)
    /// It has used up its share of a turn, and received bytes are left to process.
    package static let turn = ReadingPause(rawValue: 1 << 2)
    /// Its publications wait for other reactors.
    package static let congestion = ReadingPause(rawValue: 1 << 3)
    /// All connections together have inflated as much as is allowed in one turn.
    package static let inflating = ReadingPause(rawValue: 1 << 4)
    /// Its client is being authenticated.
    package static let authentication = ReadingPause(rawValue: 1 << 5)
    /// Any of the reasons.
    package static let any: ReadingPause = [.user, .unsent, .turn, .congestion, .inflating, .authentication]
}

/// Bytes from the socket to the driver.
extension StreamConnection {
    /// Stops reading; the peer notices by its own unsent bytes.
    ///
    /// Bytes that have arrived wait. The kernel is told only when more arrive, because most pauses end before.
    package func pauseReading(for reason: ReadingPause = .user) {
        if pauses.isEmpty { driver?.readingPaused() }
        pauses.insert(reason)
    }

    package var isReadingPaused: Bool { !pauses.isEmpty }

    /// Whether `reason` is one of those for which it is not read.
    package func isReadingPaused(for reason: ReadingPause) -> Bool { !pauses.isDisjoint(with: reason) }

    /// Resumes reading if no other reason remains; waiting bytes are handed over in the next turn, before more are
    /// read.
    package func resumeReading(for reason: ReadingPause = .user) {
        guard isReadingPaused(for: reason), ending == .none else { return }
        pauses.subtract(reason)
        guard pauses.isEmpty else { return }
        driver?.readingResumed()
        if carry != nil || isEndDue, !isHandling { handOverSoon() }
        watch()
    }

    private func handOverCarry() {
        isHandOverDue = false
        guard pauses.isEmpty, !isHandling, ending == .none else { return watch() }
        if let carry { handle(carry) }
        if isEndDue, !isHandOverDue, pauses.isEmpty { return ended() }
        watch()
    }

    private func handOverSoon() {
        guard !isHandOverDue else { return }
        isHandOverDue = true
        reactor.runSoon { [weak self] in self?.handOverCarry() }
    }

    func becameReadable(hasHungUp: Bool, on reactor: Reactor) {
        // Its driver gets the earlier bytes in this turn.
        if isHandOverDue { return }
        if !pauses.isEmpty || sawEnd || tls?.isAway ?? false {
            // A connection that was paused may be readable: keep waiting until it can send.
            guard hasHungUp else { return watch() }
            // A hang-up is reported even without reading, and would make the loop spin. The bytes in the kernel are
            // read later.
            isDetached = true
            reactor.unwatch(rawDescriptor)
            return
        }
        let space = unsafe reactor.readSpace
        var count = 0
        do throws(Errno) {
            guard let read = try unsafe read(into: space) else { return }
            count = read
        } catch {
            return failedToRead(error)
        }
        isBulky = count >= ReceiveRing.room
        unsafe received(UnsafeMutableRawBufferPointer(rebasing: space[..<count]), on: reactor)
    }

    /// Takes the bytes that were read; none at the end of the stream.
    func received(_ bytes: UnsafeMutableRawBufferPointer, on reactor: Reactor) {
        guard unsafe !bytes.isEmpty else { return ended() }
        received = reactor.now
        reactor.countReceived(bytes.count)
        guard ending == .none else { return }
        // Paused after the bytes were read: keep them.
        if !pauses.isEmpty || isHandOverDue { return unsafe keep(UnsafeRawBufferPointer(bytes)) }
        if let tls { unsafe received(UnsafeRawBufferPointer(bytes), through: tls) } else { unsafe handOver(bytes) }
    }

    /// Ends the connection, unless the error is `EAGAIN`.
    func failedToRead(_ error: Errno) {
        if error == .wouldBlock, !isBroken { return }
        broke()
        if ending == .none { ended() }
    }

    /// Appends bytes to those that wait.
    private func keep(_ bytes: UnsafeRawBufferPointer) {
        if let carry { unsafe carry.append(bytes) } else { carry = unsafe Carry(bytes, reactor.counters) }
    }

    /// Passes received bytes to the driver, after those that it has left.
    func handOver(_ bytes: UnsafeMutableRawBufferPointer) {
        if let carry {
            unsafe carry.append(UnsafeRawBufferPointer(bytes))
            return handle(carry)
        }
        isHandling = true
        let taken = unsafe driver?.received(bytes) ?? bytes.count
        isHandling = false
        guard taken < bytes.count, ending == .none else { return }
        unsafe keep(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
        handOverAgain(after: taken)
    }

    private func handle(_ waiting: Carry) {
        isHandling = true
        let taken = unsafe waiting.hand { unsafe driver?.received($0) ?? $0.count }
        isHandling = false
        guard !waiting.isEmpty, ending == .none else { return carry = nil }
        waiting.trim()
        handOverAgain(after: taken)
    }

    /// Passes the rest again to a driver that took something and is not paused; it may have been replaced.
    private func handOverAgain(after taken: Int) {
        if taken > 0, pauses.isEmpty { handOverSoon() }
    }

    /// Handles the end of the stream; the driver is told after it has got everything before.
    func ended() {
        sawEnd = true
        if isHandOverDue || !pauses.isEmpty, ending == .none {
            isEndDue = true
            return watch()
        }
        isEndDue = false
        if isBroken { return reset() }
        switch ending {
        case .none: driver?.receivedEnd()
        case .lingering: return close()
        case .flushing, .closed: break
        }
        watch()
    }
}
