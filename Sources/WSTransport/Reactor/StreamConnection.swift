internal import Glibc

/// One connected socket: bytes in to its driver, frames out through the reactor's turn.
///
/// Runs on the reactor's thread.
package final class StreamConnection {
    package unowned let reactor: Reactor
    /// Its index in the reactor's tables, as long as it exists.
    package let slot: UInt32
    // Small properties are together here and below to save padding in every connection.
    /// How often the slot was used before.
    private let generation: UInt32
    /// A number that no other open connection of its reactor has: the slot, and how often that was used before.
    package var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
    // Unchecked, because no call on it knows the connection, and each read would be checked.
    @exclusivity(unchecked) private var descriptor: FileDescriptor?
    // What a delivery over TLS reads comes next, for two lines of the processor's cache.
    enum Ending { case none, flushing, lingering, closed }
    private(set) var ending = Ending.none
    /// Whether the socket accepts nothing more; bytes that the peer sent before are still handed over.
    package var isBroken: Bool { hasBroken }
    var hasBroken = false
    private var isPatient = false
    /// TLS between the socket and the driver; `nil` if there is none.
    var tls: TLSFilter?
    /// The segments of this turn before the newest one.
    // Unchecked, like the backlog.
    @exclusivity(unchecked) var segments: [Segment] = []
    /// The bytes that the socket has not taken.
    // Unchecked, because each message reads its count, and sending calls nothing back.
    @exclusivity(unchecked) var backlog = Backlog()
    /// The client's address, also if the connection comes from a proxy that has named it.
    package var peer: SocketAddress? { client }
    private var client: SocketAddress?
    /// Whether it was refused when it was accepted, so that it does not count as a client.
    var isRefused = false {
        didSet { if isRefused != oldValue { reactor.counters.refusedOpen.add(isRefused ? 1 : -1) } }
    }
    /// Whether it stays open when memory is short.
    package var isSpared = false
    /// Whether it is not watched at all, because the peer hung up while reading was paused.
    var isDetached = false
    /// Whether no other connection gets the ``slot`` after this one has ended, until ``giveUpSlot()``.
    package var keepsSlot = false
    private var speaker: (any StreamDriver)?
    package var driver: (any StreamDriver)? {
        get { speaker }
        set { speaker = newValue }
    }

    /// The maximum of unsent bytes, after which ``StreamDriver/overflowed()`` is called.
    ///
    /// Checked when bytes are added to a backlog: that many may wait then, and one turn may add as many more, so that
    /// one large message does not end the connection.
    package var maximumUnsent: Int {
        get { mostUnsent }
        set { mostUnsent = newValue }
    }
    private var mostUnsent = Int.max
    /// Called once when the connection has ended, whatever its driver was.
    package var onClosed: (() -> Void)?
    /// When the last byte was received.
    package var lastReceived: MonotonicTime { received }
    var received: MonotonicTime

    /// `nil` if its driver has taken all received bytes.
    var carry: Carry?
    /// The system's error that ended it, if there was one.
    package internal(set) var failure: Errno?
    /// The reasons why it is not read.
    var pauses: ReadingPause = []
    var isHandling = false
    /// Whether ``carry`` is passed to the driver again in the next turn; nothing is read until then.
    var isHandOverDue = false
    var sawEnd = false
    /// Whether the end has arrived, and bytes before it are still to be handed over.
    var isEndDue = false
    /// Whether its last read filled the room of a ``ReceiveRing``, or more.
    var isBulky = false
    /// Whether its first bytes have been read; `true` from the start for an outgoing connection.
    var hasBegun = false
    private var watched: Epoll.Events = []

    init(
        reactor: Reactor, slot: UInt32, generation: UInt32, descriptor: consuming FileDescriptor, peer: SocketAddress?
    ) {
        self.reactor = reactor
        self.slot = slot
        self.generation = generation
        unsafe self.descriptor = consume descriptor
        client = peer
        received = reactor.now
    }

    /// Whether it accepts bytes to send.
    package var isOpen: Bool { ending == .none }

    /// Bytes given to ``send(_:)`` that the socket has not taken yet, without those of this turn.
    package var unsentBytes: Int { unsafe isBroken ? 0 : backlog.byteCount + (tls?.unsentBytes ?? 0) }

    /// The memory that it uses, in bytes: received bytes that wait, and unsent bytes, whether shared with others or
    /// not.
    package var heldBytes: Int { unsentBytes + (carry?.capacity ?? 0) + (driver?.heldBytes ?? 0) }

    /// Whether its user sends little while something is unsent; ``unsentAge`` then restarts with each byte taken.
    package var toleratesLag: Bool {
        get { isPatient }
        set { isPatient = newValue }
    }
    /// Whether more is unsent than an impatient connection may have when anything else is sent.
    package var isOverfull: Bool { unsentBytes > maximumUnsent }
    private(set) var lastProgress = MonotonicTime(nanoseconds: 0)
    /// How long the oldest unsent byte has waited, in nanoseconds; 0 if there is none.
    package var unsentAge: Int64 {
        guard let oldest = unsafe tls?.unsentSince ?? backlog.oldest else { return 0 }
        return reactor.now.nanoseconds(since: toleratesLag ? max(oldest, lastProgress) : oldest)
    }

    private var hasUnsent: Bool { unsafe !isBroken && (!backlog.isEmpty || tls?.hasUnsent ?? false) }

    var rawDescriptor: Int32 {
        switch unsafe descriptor {
        case .some(let descriptor): descriptor.rawValue
        case .none: -1
        }
    }

    /// Sets the client's address, which a proxy has named.
    func appear(as client: SocketAddress) { self.client = client }

    // MARK: Sending

    /// Keeps an older segment of this turn, which the newest one does not follow.
    func putApart(_ segment: Segment) { unsafe segments.append(segment) }

    /// Sends the bytes of this turn.
    ///
    /// `newest` is the last segment; `already` is how many of its bytes the socket has taken, 0 if there are segments
    /// before it.
    func flushTurn(_ newest: Segment, sent already: Int = 0) {
        guard ending != .closed, !isBroken else {
            unsafe segments = []
            return
        }
        let wasEmpty = !hasUnsent
        let before = wasEmpty ? 0 : unsentBytes
        if unsafe wasEmpty && segments.isEmpty {
            let chunk = reactor.chunk(of: newest)
            let (offset, count) = (Int(newest.offset), Int(newest.count))
            let sent = already > 0 ? already : trySend(chunk, offset: offset, count: count)
            if sent < 0 { return }
            if sent == count, !hasUnsent { return tookAll() }
            unsafe backlog.append(
                chunk, offset: offset, count: count, sent: sent, now: reactor.now, counters: reactor.counters)
        } else {
            for segment in unsafe segments { appendToBacklog(segment) }
            unsafe segments.removeAll(keepingCapacity: false)
            appendToBacklog(newest)
            // Several segments are sent by one `sendmsg` over the backlog, which a connection that keeps up uses only
            // for this.
            if wasEmpty, !flushBacklog() { return }
            if !hasUnsent { return finishIfFlushed() }
        }
        watch()
        reactor.isLagging(slot)
        guard ending == .none else { return }
        // One turn may make a connection fall behind that kept up; if it is patient, it gets nothing more then.
        guard !wasEmpty else { return driver?.fellBehind() ?? () }
        let counted = unsentBytes - min(unsentBytes - before, maximumUnsent)
        if counted > maximumUnsent, !toleratesLag { driver?.overflowed() }
    }

    private func appendToBacklog(_ segment: Segment) {
        unsafe backlog.append(
            reactor.chunk(of: segment), offset: Int(segment.offset), count: Int(segment.count), now: reactor.now,
            counters: reactor.counters)
    }

    /// Returns the number of bytes taken; -1 if the connection broke.
    private func trySend(_ chunk: FrameChunk, offset: Int, count: Int) -> Int {
        do throws(Errno) {
            switch unsafe descriptor {
            case .some(let descriptor):
                let bytes = unsafe chunk.bytes(from: offset, count: count)
                guard let tls else { return try unsafe descriptor.send(bytes) }
                return try unsafe tls.send(bytes, to: descriptor, now: reactor.now)
            case .none: return -1
            }
        } catch {
            if error == .wouldBlock { return 0 }
            broke()
            return -1
        }
    }

    /// `false` if the connection broke.
    func flushBacklog() -> Bool {
        if isBroken { return false }
        let unsent = unsentBytes
        defer { if unsentBytes < unsent { lastProgress = reactor.now } }
        do throws(Errno) {
            switch unsafe descriptor {
            case .some(let descriptor):
                guard let tls else { return try unsafe backlog.flush(to: descriptor) }
                return try unsafe tls.flush(&backlog, to: descriptor, now: reactor.now)
            case .none: return false
            }
        } catch {
            broke()
            return false
        }
    }

    // MARK: The socket's events

    /// Reads what the socket has, up to the size of `space`; `nil` if it is closed.
    func read(into space: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
        switch unsafe descriptor {
        case .some(let descriptor): try unsafe descriptor.read(into: space)
        case .none: nil
        }
    }

    func becameWritable() {
        guard flushBacklog() else { return }
        watch()
        guard !hasUnsent else { return }
        // A driver does not care about the bytes of a TLS handshake.
        if tls?.isEstablished ?? true { driver?.drained() }
        finishIfFlushed()
    }

    func watch() {
        guard ending != .closed else { return }
        var wanted: Epoll.Events = []
        // While bytes wait for the next turn, leave the events unchanged: a pause often follows.
        let mayRead = isHandOverDue ? watched.contains(.readable) : true
        if mayRead, pauses.isEmpty, !sawEnd, !(tls?.isAway ?? false) { wanted.insert(.readable) }
        // Plaintext that waits for the end of a TLS handshake does not wait for the socket.
        if !isBroken, unsafe tls?.hasUnsent ?? !backlog.isEmpty { wanted.insert(.writable) }
        if isDetached {
            guard wanted.contains(.readable) else { return }
            isDetached = false
            return startWatching(for: wanted)
        }
        guard wanted != watched else { return }
        watched = wanted
        reactor.watch(rawDescriptor, for: wanted, token: token, isNew: false)
    }

    func startWatching(for events: Epoll.Events) {
        watched = events
        reactor.watch(rawDescriptor, for: events, token: token, isNew: true)
    }

    // MARK: Deadlines and closing

    /// Calls ``StreamDriver/deadlinePassed()`` at `deadline` or up to 0.1 s later; `nil` cancels that.
    package func setDeadline(_ deadline: MonotonicTime?) {
        guard ending == .none, !isBroken else { return }
        reactor.setDeadline(deadline, of: slot)
    }

    func deadlinePassed() {
        switch ending {
        case .none where isBroken: reset()
        case .none: driver?.deadlinePassed()
        case .flushing, .lingering: if !isStillTaking(within: 2_000_000_000, answers: false) { reset() }
        case .closed: break
        }
    }

    /// Sends the unsent bytes, then closes in order: the peer gets everything, and its own end is awaited.
    ///
    /// - Parameter patience: how long that may take, in nanoseconds; longer for a peer that keeps taking bytes.
    package func finish(patience: Int64 = 2_000_000_000) {
        guard ending == .none else { return }
        if isBroken { return reset() }
        ending = .flushing
        reactor.setFlags(.inert, of: slot)
        reactor.setDeadline(reactor.now.advanced(byNanoseconds: patience), of: slot)
        pauses = []
        carry = nil
        watch()
        finishIfFlushed()
    }

    func finishIfFlushed() {
        guard ending == .flushing, !hasUnsent, !reactor.hasTurnSegment(of: slot) else { return }
        if let tls, !sayClose(through: tls) { return }
        ending = .lingering
        if sawEnd { return close() }
        Socket.shutDownSending(rawDescriptor)
    }

    /// Closes at once; unsent bytes are lost, and the peer sees a reset.
    package func reset() {
        guard ending != .closed else { return }
        Socket.setResetOnClose(rawDescriptor)
        close()
    }

    func close() {
        guard ending != .closed else { return }
        ending = .closed
        reactor.setFlags(.inert, of: slot)
        reactor.setDeadline(nil, of: slot)
        reactor.release(self)
    }

    /// Makes the slot available again that this one ``keepsSlot``.
    package func giveUpSlot() {
        keepsSlot = false
        if reactor.connection(in: slot) !== self { reactor.free(slot) }
    }

    /// The last step, at the end of the turn: then the slot is free, unless this ``keepsSlot``.
    func dispose() {
        isRefused = false
        peerWatch = nil
        carry = nil
        unsafe segments = []
        unsafe backlog = Backlog()
        let driver = driver
        self.driver = nil
        // The driver may still ask how much the socket has carried.
        driver?.closed()
        unsafe descriptor = nil
        tls?.abandon()
        tls = nil
        onClosed?()
        onClosed = nil
    }
}

// MARK: Sending

extension StreamConnection {
    /// Sends `bytes` at the end of the turn.
    package func send(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, unsafe !bytes.isEmpty else { return }
        // Read once, because each access counts references.
        let reactor = reactor
        reactor.send(unsafe reactor.encode(lane: 0, bytes), to: slot)
    }

    /// Sends `bytes` at the end of the turn.
    package func send(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// Called when the socket has taken everything of this turn: next time it is sent to without asking this
    /// connection.
    func tookAll() {
        if isOpen { sendsDirectly() }
        finishIfFlushed()
    }
}

// MARK: Closing

extension StreamConnection {
    /// The address that the peer has connected to; asks the system.
    package var localAddress: SocketAddress? { Socket.localAddress(rawDescriptor) }

    /// The process at the other end, if it is on this machine; asks the system.
    package var peerCredentials: (pid: Int32, uid: UInt32, gid: UInt32)? { Socket.peerCredentials(rawDescriptor) }

    /// Also runs `body` when the connection has ended.
    func onEnd(_ body: @escaping () -> Void) {
        let before = onClosed
        onClosed = {
            before?()
            body()
        }
    }
}

extension StreamConnection {
    /// Handles the kernel's events of its socket.
    ///
    /// - Parameter reactor: its reactor, passed on because each access to it counts references.
    func ready(_ events: Epoll.Events, on reactor: Reactor) {
        hasBegun = true
        if ending == .closed { return }
        if events.contains(.failed) {
            failure = failure ?? Socket.pendingError(rawDescriptor)
            broke()
            return ending == .closed ? () : becameReadable(hasHungUp: true, on: reactor)
        }
        if events.contains(.writable) { becameWritable() }
        if ending != .closed, !events.isDisjoint(with: [.readable, .hangUp]) {
            becameReadable(hasHungUp: events.contains(.hangUp), on: reactor)
        }
    }

    /// Handles a socket that accepts nothing more: received bytes are handed over, for a limited time, then it is
    /// reset.
    ///
    /// Our TCP has acknowledged those bytes to the peer.
    func broke() {
        guard ending == .none, !sawEnd || isEndDue else { return reset() }
        guard !isBroken else { return }
        hasBroken = true
        unsafe segments = []
        unsafe backlog = Backlog()
        reactor.setFlags(.inert, of: slot)
        // Nothing is unsent any more, so a connection whose reading waited for that is read again.
        reactor.runSoon { [weak self] in
            if let self, ending == .none { driver?.drained() }
        }
        reactor.setDeadline(reactor.now.advanced(byNanoseconds: Self.patienceWhenBroken), of: slot)
    }

    /// How long the driver of a broken connection may take to read the received bytes, in nanoseconds.
    private static let patienceWhenBroken: Int64 = 5_000_000_000

    /// Whether it may be read together with others, before any of them is handed over.
    ///
    /// Not for its first bytes, which only a few connections may deliver in a turn. Not with TLS: if it is paused
    /// meanwhile, its bytes must wait encrypted.
    var readsByRing: Bool {
        hasBegun && !isReadingPaused && !isHandOverDue && !sawEnd && !isBulky && tls == nil && ending != .closed
    }

    /// Takes bytes that were read because of ``readsByRing``; since then it may have been ended or paused.
    func receivedByRing(_ bytes: UnsafeMutableRawBufferPointer, on reactor: Reactor) {
        // The rest is read in the next turn, with a larger buffer.
        isBulky = bytes.count == ReceiveRing.room
        unsafe received(bytes, on: reactor)
    }
}

/// Operations on waiting frames.
extension StreamConnection {
    /// Bytes given to ``send(_:)`` that the socket has not taken yet, including those of this turn.
    package var bufferedBytes: Int { bufferedBytes(on: reactor) }

    /// The same for callers that have its reactor.
    func bufferedBytes(on reactor: Reactor) -> Int {
        var count = unsentBytes + reactor.turnBytes(of: slot)
        for segment in unsafe segments { count += Int(segment.count) }
        return count
    }

    /// Drops the unsent bytes, except the frame that is partly sent, to make room for a last frame.
    ///
    /// - Parameter frameCount: returns the length of the frame with which the bytes begin.
    package func dropUnsent(frameCount: (UnsafeRawBufferPointer) -> Int) {
        unsafe segments = []
        _ = reactor.takeTurnSegment(of: slot)
        _ = unsafe backlog.truncate(frameCount: frameCount)
    }

    /// Sends a frame before those of the backlog that have not begun.
    ///
    /// Requires a backlog that consists of frames.
    ///
    /// - Parameters:
    ///   - isReplaceable: whether it replaces the last replaceable frame, if that has not begun either.
    ///   - frameCount: returns the length of the frame with which the bytes begin.
    package func sendAhead(
        _ frame: [UInt8], isReplaceable: Bool, frameCount: (UnsafeRawBufferPointer) -> Int
    ) {
        guard isOpen else { return }
        unsafe backlog.insertAhead(frame, isReplaceable: isReplaceable, now: reactor.now, frameCount: frameCount)
        guard unsentBytes > maximumUnsent else { return }
        // Not during the caller's own work.
        reactor.runSoon { [weak self] in
            guard let self, isOpen, unsentBytes > maximumUnsent else { return }
            driver?.overflowed()
        }
    }
}
