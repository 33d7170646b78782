internal import CLinux
internal import Glibc
internal import Synchronization

/// What wants to know how much of a turn's bytes the system took.
protocol TurnSender: AnyObject {
    /// The turn's bytes have been sent, or are in the backlog.
    func turnWasSent()
}

/// One thread, its epoll set and the connections it owns.
///
/// Not `Sendable`: everything here runs on the reactor's own thread. Other threads reach it through a ``Mailbox``,
/// or through its ``Remote``.
///
/// A turn of its loop: wait; let each ready connection take its bytes; deadlines; mailboxes; the owner's ``endOfTurn``
/// work, in which fan-out happens; then one send for each connection with something to send.
@safe package final class Reactor {
    package let index: Int
    // If other modules could change a stored property, each access would be checked for exclusivity, in about 80
    // instructions. So properties that every message reads are stored privately, here and in other classes that
    // messages pass through.
    private var turnBegan = MonotonicTime.now
    /// The time at which this turn began.
    package var now: MonotonicTime { turnBegan }
    /// Work to do before the turn's bytes are sent; a closure returns `true` to be called once more.
    package var endOfTurn: [() -> Bool] {
        get { unsafe endWork }
        set { unsafe endWork = newValue }
    }
    @exclusivity(unchecked) private var endWork: [() -> Bool] = []
    /// Objects by their types; so few that a linear search costs least.
    @exclusivity(unchecked) private var drawer: [(type: ObjectIdentifier, object: AnyObject)] = []
    /// The few connections from which something is overdue, by slot.
    var watches: [UInt32: PeerWatch] = [:]
    private var isTurnNeeded = false
    package let counters: ReactorCounters
    package let remote: Remote
    /// The pipe for the TLS of its connections; made on first use.
    private(set) lazy var tlsPipe = TLSPipe()

    /// The minimum number of connections to send to, or read from, by one call for all of them, which then costs less
    /// than one for each.
    ///
    /// Measured for sends: at 2 both cost the same, at 4 the ring 12 % less, at 64 and more 20 to 30 %.
    package var ringMinimum: Int {
        get { leastForRing }
        set { leastForRing = newValue }
    }
    private var leastForRing = 4

    private let epoll: Epoll
    /// `nil` if there is none, and each connection has its own `send`.
    private var ring: SendRing?
    /// Whether a ring must still be made, on the thread that runs the turns.
    private var needsRing: Bool
    /// `nil` if there is none, and each connection has its own `read`.
    @exclusivity(unchecked) var receiveRing: ReceiveRing?
    // Unchecked, because each message reads these several times, and each check would take 80 instructions. No
    // exclusivity can be violated: neither of them calls anything that knows the reactor.
    @exclusivity(unchecked) private var arena = FrameArena()
    @exclusivity(unchecked) private var outbound = OutboundTable()
    @exclusivity(unchecked) var sealed = SealedSends()
    @exclusivity(unchecked) private var connections: ContiguousArray<StreamConnection?> = []
    @exclusivity(unchecked) private var generations: [UInt32] = []
    @exclusivity(unchecked) private var freeSlots: [UInt32] = []
    @exclusivity(unchecked) private var released: [StreamConnection] = []
    /// Gets the time from ``measuringSince`` until this turn's bytes are sent; `nil` if nothing is measured.
    @exclusivity(unchecked) var measuring: Histogram?
    var measuringSince = MonotonicTime(nanoseconds: 0)
    /// The slots of connections that have not taken everything they were sent, or have only since the last look.
    var lagging: Set<UInt32> = []
    // Unchecked, because what is taken out of these is called only afterwards.
    @exclusivity(unchecked) private var wheel = TimerWheel(now: .now)
    @exclusivity(unchecked) private var soon: [() -> Void] = []
    @exclusivity(unchecked) private var settling: [any TurnSender] = []
    @exclusivity(unchecked) private(set) var later = TimedTasks()
    @exclusivity(unchecked) var listeners: [Listener] = []
    /// How many connections have delivered their first bytes in this turn.
    private var newcomers = 0
    private let readBytes: UnsafeMutableRawBufferPointer
    private let events: UnsafeMutableBufferPointer<epoll_event>
    private var isStopping = false

    /// How many connections may deliver their first bytes in one turn; the kernel reports the others again in the next.
    ///
    /// A handshake takes about 50 µs, and events come in the order in which sockets became ready. Without a limit
    /// the other clients would wait for a whole rush of newcomers; with it they wait for 1 to 2 ms.
    static let newcomersPerTurn = 32
    /// How many connections' deadlines one turn handles; the others are handled in the next, which does not wait.
    ///
    /// A PING takes about 6 µs of the kernel's time and an eviction 12 µs, and clients that connected together are due
    /// together.
    package static let deadlinesPerTurn = 128
    private static let wakeupToken = UInt64.max
    static let listenerToken: UInt64 = 1 << 63
    /// How often one turn checks for tasks that its own tasks have posted.
    private static let drainRounds = 8

    package init(
        index: Int, counters: ReactorCounters, remote: Remote, backend: ReactorBackend = .auto
    ) throws(Errno) {
        self.index = index
        self.counters = counters
        self.remote = remote
        unsafe readBytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
        unsafe events = .allocate(capacity: 512)
        epoll = try Epoll()
        needsRing = backend.wantsRing
        try epoll.add(remote.rawDescriptor, for: .readable, token: Self.wakeupToken)
    }

    deinit {
        unsafe readBytes.deallocate()
        unsafe events.deallocate()
    }

    /// An object that a part of the program keeps with the reactor, one of each class; `nil` if there is none.
    ///
    /// Tasks from other threads find the object they need here.
    package subscript<Object: AnyObject>(_ type: Object.Type) -> Object? {
        get {
            let wanted = ObjectIdentifier(type)
            let drawer = unsafe drawer
            for place in drawer.indices where drawer[place].type == wanted {
                // It was stored with that type.
                return unsafe unsafeDowncast(drawer[place].object, to: Object.self)
            }
            return nil
        }
        set {
            // Replaced in one step: an object that is released may look for others.
            var objects = unsafe drawer.filter { $0.type != ObjectIdentifier(type) }
            if let newValue { objects.append((ObjectIdentifier(type), newValue)) }
            unsafe drawer = objects
        }
    }

    // MARK: The loop

    /// Serves until ``stop()``.
    package func run() {
        remote.enter()
        turnBegan = .now
        while !isStopping { turn() }
        for connection in unsafe connections { connection?.reset() }
        disposeReleased()
        // Tasks posted earlier are run; later ones are refused.
        for task in remote.tasks.close() { task(self) }
        remote.leave()
        // Many of the objects that it holds refer to it, and no other thread may use those.
        unsafe drawer = []
        unsafe (soon, later, endOfTurn) = ([], TimedTasks(), [])
        // Closed here, not with the last reference: closing a ring interrupts the threads that have used it.
        ring = nil
        unsafe receiveRing = nil
    }

    /// One turn of the loop; waits if nothing is due.
    ///
    /// For counting the cost of a turn; ``run()`` is a loop around it.
    package func turn() {
        if needsRing { makeRing() }
        var count = 0
        let end = MonotonicTime.now
        counters.lag.add(Int(end.nanoseconds(since: now)))
        if let histogram = unsafe measuring { concludeMeasurement(in: histogram, at: end) }
        do throws(Errno) {
            count = try unsafe epoll.wait(events, milliseconds: patience(from: end))
        } catch {
            // EBADF, EINVAL, EFAULT: the epoll set itself is unusable, so this thread cannot serve any more.
            isStopping = true
        }
        turnBegan = .now
        var tasks: [() -> Void] = []
        if unsafe !soon.isEmpty { unsafe swap(&tasks, &soon) }
        newcomers = 0
        unsafe dispatch(UnsafeBufferPointer(rebasing: events[..<count]))
        runTurn(tasks)
    }

    /// The part of a turn after the sockets' events.
    private func runTurn(_ tasks: [() -> Void]) {
        for id in unsafe wheel.advance(to: now, atMost: Self.deadlinesPerTurn) {
            connection(in: id)?.deadlinePassed()
        }
        runDueTasks()
        if !tasks.isEmpty { for task in tasks { task() } }
        if remote.tasks.hasElements { for task in remote.tasks.drain() { task(self) } }
        // What tasks that run here send or post is part of this turn.
        var rounds = 0
        while rounds < Self.drainRounds, remote.hasJobs || remote.takeOwnTasks() {
            rounds &+= 1
            if remote.hasJobs { remote.runJobs() }
            if remote.tasks.hasElements { for task in remote.tasks.drain() { task(self) } }
        }
        isTurnNeeded = false
        var again = false
        // By index: an iterator would count references to the list, and more of them to each closure.
        var place = 0
        while unsafe place < endWork.count {
            if unsafe endWork[place]() { again = true }
            place &+= 1
        }
        // A connection that is disposed of may send last bytes to others, and those are in this turn's arena.
        repeat {
            flush()
            disposeReleased()
        } while unsafe outbound.hasDirty
        if unsafe !settling.isEmpty { settle() }
        remote.endTurn()
        if again { runSoon {} }
        unsafe arena.endTurn()
    }

    private func patience(from now: MonotonicTime) -> Int32 {
        if unsafe isTurnNeeded || !soon.isEmpty || outbound.hasDirty || !released.isEmpty || remote.tasks.hasElements
            || remote.hasJobs
        {
            return 0
        }
        var milliseconds = unsafe wheel.millisecondsToNextTick(from: now) ?? -1
        if let next = unsafe later.next {
            let wait = Int32(clamping: max(0, next.nanoseconds(since: now) / 1_000_000 + 1))
            milliseconds = milliseconds < 0 ? wait : min(milliseconds, wait)
        }
        return milliseconds
    }

    func dispatch(_ event: epoll_event) {
        let token = unsafe event.data.u64
        let events = unsafe Epoll.Events(rawValue: event.events)
        if token == Self.wakeupToken {
            remote.clear()
        } else if token >= Self.listenerToken {
            let index = Int(token - Self.listenerToken)
            if unsafe index < listeners.count { unsafe listeners[index].ready() }
        } else {
            guard let connection = connection(of: token) else { return }
            if !connection.hasBegun {
                guard newcomers < Self.newcomersPerTurn else { return }
                newcomers += 1
            }
            connection.ready(events, on: self)
        }
    }

    func connection(in slot: UInt32) -> StreamConnection? {
        unsafe Int(slot) < connections.count ? connections[Int(slot)] : nil
    }

    private func flush() {
        while unsafe outbound.hasDirty {
            let count = unsafe outbound.takeDirty()
            let left = count >= ringMinimum ? flushByRing(count) : count
            var index = 0
            while let rest = unsafe outbound.sendDirectly(from: &index, to: left, chunks: arena.chunks) {
                unsafe connections[Int(rest.slot)]?.flushTurn(rest.segment, sent: rest.sent)
            }
            counters.sends.add(count)
        }
    }

    /// Returns how many remain for separate calls.
    private func flushByRing(_ count: Int) -> Int {
        guard var ring = ring.take() else { return count }
        var rest: [OutboundTable.Remainder] = []
        var left = unsafe outbound.send(count, by: &ring, chunks: arena.chunks, rest: &rest)
        if left > 0, !ring.isBroken { left = sendSealed(left, by: &ring) }
        if ring.isBroken { counters.rings.set(0) } else { self.ring = consume ring }
        for part in rest {
            if part.sent < 0 {
                unsafe connections[Int(part.slot)]?.reset()
            } else {
                unsafe connections[Int(part.slot)]?.flushTurn(part.segment, sent: part.sent)
            }
        }
        return left
    }

    /// If the kernel has no memory for a ring, each connection has its own calls.
    private func makeRing() {
        needsRing = false
        ring = try? SendRing()
        counters.rings.set(ring == nil ? 0 : 1)
        if ring != nil { unsafe receiveRing = try? ReceiveRing() }
    }

    private func disposeReleased() {
        while let connection = unsafe released.popLast() {
            unsafe connections[Int(connection.slot)] = nil
            connection.dispose()
            unsafe generations[Int(connection.slot)] = (generations[Int(connection.slot)] &+ 1) & 0x7FFF_FFFF
            if !connection.keepsSlot { free(connection.slot) }
            counters.connections.add(-1)
        }
    }

    func free(_ slot: UInt32) { unsafe freeSlots.append(slot) }

    /// Makes the next turn begin without waiting.
    ///
    /// For work in ``endOfTurn`` that may arise while the turn's bytes are sent.
    package func needsTurn() { isTurnNeeded = true }

    /// Ends ``run()`` after this turn; open connections are reset.
    package func stop() { isStopping = true }

    // MARK: Tasks

    /// Runs `body` in the next turn, without waiting.
    package func runSoon(_ body: @escaping () -> Void) { unsafe soon.append(body) }

    /// Tells `sender`, after this turn's bytes have been sent, that they have been.
    func settle(_ sender: any TurnSender) { unsafe settling.append(sender) }

    private func settle() {
        var senders: [any TurnSender] = []
        unsafe swap(&senders, &settling)
        while let sender = senders.popLast() { sender.turnWasSent() }
        if unsafe settling.isEmpty { unsafe swap(&senders, &settling) }
    }

    /// Runs `body` after `nanoseconds`.
    package func run(afterNanoseconds nanoseconds: Int64, _ body: @escaping () -> Void) {
        _ = schedule(afterNanoseconds: nanoseconds, body)
    }

    /// Runs `body` after `nanoseconds`, unless it is cancelled.
    package func schedule(afterNanoseconds nanoseconds: Int64, _ body: @escaping () -> Void) -> TimedTasks.ID {
        unsafe later.add(at: MonotonicTime.now.advanced(byNanoseconds: nanoseconds), body)
    }

    /// Cancels a scheduled task, and releases it; does nothing if it has run.
    package func cancel(_ task: TimedTasks.ID) {
        // Released only after the change, because what it holds may schedule or cancel another task.
        let body = unsafe later.remove(task)
        withExtendedLifetime(body) {}
    }

    private func runDueTasks() {
        guard let next = unsafe later.next, next <= now else { return }
        // Removed one by one, because a task may cancel another one.
        for task in unsafe later.takeDue(at: now) {
            let body = unsafe later.remove(task)
            body?()
        }
    }

    // MARK: Connections

    /// Takes over a connected (or connecting) socket.
    ///
    /// - Parameter isCounted: whether it is already counted in ``ReactorCounters/connections``.
    package func adopt(
        _ descriptor: consuming FileDescriptor, peer: SocketAddress?, isConnecting: Bool = false,
        isCounted: Bool = false
    ) -> StreamConnection {
        let slot = unsafe freeSlots.popLast() ?? UInt32(truncatingIfNeeded: connections.count)
        if unsafe Int(slot) == connections.count {
            unsafe connections.append(nil)
            unsafe generations.append(0)
            unsafe outbound.grow(toHold: connections.count)
        }
        let connection = StreamConnection(
            reactor: self, slot: slot, generation: unsafe generations[Int(slot)], descriptor: descriptor, peer: peer)
        unsafe connections[Int(slot)] = connection
        unsafe outbound.open(slot)
        if !isCounted { counters.connections.add(1) }
        connection.hasBegun = isConnecting
        connection.startWatching(for: isConnecting ? .writable : .readable)
        return connection
    }

    /// The connections whose clients have presented certificates.
    package var certifiedConnections: [StreamConnection] {
        unsafe connections.compactMap { $0?.hasClientCertificate ?? false ? $0 : nil }
    }

    /// The connections that use memory and may be closed to free it, with the size of that memory in bytes.
    package func holders() -> [(connection: StreamConnection, bytes: Int)] {
        unsafe connections.compactMap { connection in
            guard let connection, connection.isOpen, !connection.isSpared else { return nil }
            let bytes = connection.heldBytes
            return bytes > 0 ? (connection, bytes) : nil
        }
    }

    /// Finishes every connection whose driver has nothing under way.
    package func finishIdleConnections() {
        for case let connection? in unsafe connections where connection.driver?.isIdle ?? false { connection.finish() }
    }

    func watch(_ descriptor: Int32, for events: Epoll.Events, token: UInt64, isNew: Bool) {
        do throws(Errno) {
            if isNew {
                try epoll.add(descriptor, for: events, token: token)
            } else {
                try epoll.modify(descriptor, for: events, token: token)
            }
        } catch {
            // No memory or no watches left: this one connection cannot be served.
            connection(in: UInt32(truncatingIfNeeded: token))?.reset()
        }
    }

    func watchListener(_ descriptor: Int32, isShared: Bool, token: UInt64) throws(Errno) {
        try epoll.add(descriptor, for: isShared ? [.readable, .exclusive] : .readable, token: token)
    }

    func unwatch(_ descriptor: Int32) { try? epoll.remove(descriptor) }

    func release(_ connection: StreamConnection) { unsafe released.append(connection) }

    func setDeadline(_ deadline: MonotonicTime?, of slot: UInt32) {
        if let deadline { unsafe wheel.set(slot, at: deadline) } else { unsafe wheel.cancel(slot) }
    }

    var readSpace: UnsafeMutableRawBufferPointer { unsafe readBytes }

    func countReceived(_ bytes: Int) { counters.receivedBytes.add(bytes) }

    // MARK: Sending

    /// A new lane for bytes that several connections are sent, above 0; see ``FrameArena``.
    package func makeLane() -> Int { unsafe arena.makeLane() }

    /// Encodes `count` bytes that several connections may be sent this turn.
    ///
    /// See ``FrameArena`` for lanes.
    package func encode(lane: Int, count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) -> Segment {
        unsafe arena.encode(lane: lane, count: count, body)
    }

    /// Copies `bytes`, not empty, into this turn's arena.
    package func encode(lane: Int, _ bytes: UnsafeRawBufferPointer) -> Segment {
        unsafe arena.encode(lane: lane, count: bytes.count) { unsafe $0.copyMemory(from: bytes) }
    }

    /// Sends `segment` to the connection in `slot` at the end of this turn.
    package func send(_ segment: Segment, to slot: UInt32) {
        counters.sentBytes.add(Int(segment.count))
        if unsafe !outbound.cursor.append(segment, to: slot) { sendApart(segment, to: slot) }
    }

    /// For loops over many connections; valid until the next connection opens.
    package var outboundCursor: OutboundCursor { unsafe outbound.cursor }

    /// The slow path, for a segment that ``OutboundCursor/append(_:to:)`` did not take.
    package func sendApart(_ segment: Segment, to slot: UInt32) {
        guard let older = unsafe outbound.replaceNewest(of: slot, with: segment) else { return }
        unsafe connections[Int(slot)]?.putApart(older)
    }

    func chunk(of segment: Segment) -> FrameChunk { unsafe arena.chunks[Int(segment.chunk)] }

    /// The size of a connection's newest segment of this turn, in bytes.
    func turnBytes(of slot: UInt32) -> Int { unsafe outbound.newestCount(of: slot) }

    func hasTurnSegment(of slot: UInt32) -> Bool { unsafe outbound.hasNewest(of: slot) }

    /// The newest segment of this turn, of a connection put aside.
    func turnSegment(of slot: UInt32) -> Segment? { unsafe outbound.newest(of: slot) }

    /// Discards the newest segment of this turn, of a connection put aside.
    func dropTurnSegment(of slot: UInt32) { unsafe outbound.dropNewest(of: slot) }

    /// The place of the state that encrypts the bytes of a connection without asking it; `nil` if it must be asked.
    func recordPlace(of slot: UInt32) -> UInt32? { unsafe outbound.recordPlace(of: slot) }

    /// The slot at `index` of the list put aside.
    func takenSlot(_ index: Int) -> UInt32 { unsafe outbound.takenSlot(index) }

    /// Moves a slot of the list put aside to `index`, where the list has already been read.
    func keepTaken(_ slot: UInt32, at index: Int) { unsafe outbound.keepTaken(slot, at: index) }

    func takeTurnSegment(of slot: UInt32) -> Segment? { unsafe outbound.takeNewest(of: slot) }

    /// Sets the socket that a turn's bytes are sent to without asking the connection; -1: ask it.
    func setDescriptor(_ descriptor: Int32, of slot: UInt32) { unsafe outbound.setDescriptor(descriptor, of: slot) }

    /// Sets flags that keep fan-out from using the fast path for a connection.
    package func setFlags(_ flags: OutboundFlags, of slot: UInt32) { unsafe outbound.setFlags(flags, of: slot) }

    /// Clears such flags.
    package func clearFlags(_ flags: OutboundFlags, of slot: UInt32) { unsafe outbound.clearFlags(flags, of: slot) }
}
