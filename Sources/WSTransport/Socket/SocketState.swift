internal import Synchronization

extension SocketCore {
    /// The state that its lock guards.
    ///
    /// Every socket has one, and most are idle. Values that only a few sockets need are stored separately, and created
    /// when they are first set.
    struct State {
        var peer: SocketAddress?
        // Small ones are together, and after the address, to save padding.
        var readyState: ReadyState
        /// Whether the end waits, for a moment at most, until the preceding error is reported; `nil` after it has
        /// waited.
        var isCloseHeld: Bool? = false
        /// Whether a caller waited for the socket to open.
        var isOpenKnown = false
        var isFull = false
        /// Whether a task is calling the listeners.
        var isTelling = false
        /// Whether a reader has taken a message, and has not returned for the next one.
        var isReading = false
        /// Whether something has been sent since a message was last taken.
        var hasAnswered = false
        /// The result of ``onlySends()`` at the last call.
        var wasSo = false
        /// Whether the peer closed or violated the protocol, which takes effect after everything before has been
        /// handled.
        var isEnding = false
        /// Whether a reader has ever taken or requested a message.
        var hasRead = false
        /// Whether nothing refers to the socket any more, so that nobody can take a message.
        private(set) var isAbandoned = false
        /// The messages for readers; `nil` if there are none, and for a while after the last one.
        private var queue: ReceivedQueue?
        var heldBytes = 0
        /// The size of messages passed to the reactor that it has not sent yet, and of sent bytes that the system has
        /// not accepted.
        var posted = 0
        fileprivate var unsent = 0
        /// The task of a server's closure, while it runs.
        var task: ClosureTask?
        private var hearing: Hearing?
        private var extras: Extras?
        var readers = ReaderQueue()
        /// The reactor's turn in which ``unsent`` are all unsent bytes, because none are left after it; 0: there is a
        /// backlog, and the reactor tells how much is left.
        // Last, so that the socket's flags need no padding.
        fileprivate var unsentTurn: UInt32 = 0

        init(readyState: ReadyState, subprotocol: String) {
            self.readyState = readyState
            if !subprotocol.isEmpty { self.subprotocol = subprotocol }
        }

        /// Drops all messages, now and from now on: they refer to the core, which would never be freed.
        mutating func abandon() {
            isAbandoned = true
            queue = nil
            unsafe hearing?.happenings = Fifo()
        }

        /// Records that a reader takes a message.
        mutating func takes() {
            isReading = true
            hasAnswered = false
        }

        /// A number that identifies a waiting operation, so that cancelling its task finds it.
        // Of all sockets: a counter in each would take memory.
        static func makeNumber() -> UInt64 { lastNumber.wrappingAdd(1, ordering: .relaxed).newValue }

        private static let lastNumber = Atomic<UInt64>(0)
    }

    /// What only a socket with listeners or events needs.
    fileprivate final class Hearing {
        // Unchecked, because these are read for each message, and the socket's lock guards them.
        @exclusivity(unchecked) var listeners = ListenerTable()
        @exclusivity(unchecked) var happenings = Fifo<Happening>()
        @exclusivity(unchecked) var anchor: WebSocket?
    }

    /// The values that most sockets do not need.
    fileprivate final class Extras {
        var request: WebSocket.Request?
        var subprotocol = ""
        var unheard: [WebSocket.Event: Happening] = [:]
        @exclusivity(unchecked) var incoming = IncomingParts()
        @exclusivity(unchecked) var outgoing = OutgoingParts()
        @exclusivity(unchecked) var senders = Fifo<Sender>()
        var failure: ConnectError?
        var openWaiters: [CheckedContinuation<Void, Never>] = []
        var ended: CloseEvent?
        var endWaiters: [(number: UInt64, continuation: EndWaiter)] = []
        var pings: [Ping] = []
        var lastPing: UInt64 = 0
        var lastPong: ContinuousClock.Instant?
        var certificate: TLSPeerCertificate?
        var answer: HeaderFields?
        var observation: Observation?
        var endings: [(owner: ObjectIdentifier, body: @Sendable () -> Void)] = []
    }
}

extension SocketCore.State {
    /// Created when a value is first set.
    private var madeExtras: SocketCore.Extras {
        mutating get {
            if let extras { return extras }
            let made = SocketCore.Extras()
            extras = made
            return made
        }
    }

    /// Created when a listener or an event is added.
    private var madeHearing: SocketCore.Hearing {
        mutating get {
            if let hearing { return hearing }
            let made = SocketCore.Hearing()
            hearing = made
            return made
        }
    }

    var listeners: ListenerTable {
        get { unsafe hearing?.listeners ?? ListenerTable() }
        _modify { yield unsafe &madeHearing.listeners }
    }

    /// Keeps the socket alive for its listeners until it has ended; there is one as long as there are listeners.
    var anchor: WebSocket? {
        get { unsafe hearing?.anchor }
        set { if newValue != nil || hearing != nil { unsafe madeHearing.anchor = newValue } }
    }

    /// For listeners.
    var happenings: Fifo<SocketCore.Happening> {
        get { unsafe hearing?.happenings ?? Fifo() }
        _modify { yield unsafe &madeHearing.happenings }
    }

    /// What a client asks for; `nil` for a server's socket.
    var request: WebSocket.Request? {
        get { extras?.request }
        set { madeExtras.request = newValue }
    }

    /// The negotiated one; empty if there is none.
    var subprotocol: String {
        get { extras?.subprotocol ?? "" }
        set { if !newValue.isEmpty || extras != nil { madeExtras.subprotocol = newValue } }
    }

    /// Events that happen once and have not been reported, for listeners that are added a moment later.
    var unheard: [WebSocket.Event: SocketCore.Happening] {
        get { extras?.unheard ?? [:] }
        _modify { yield &madeExtras.unheard }
    }

    /// Messages that are received and sent in parts.
    var incoming: IncomingParts {
        get { unsafe extras?.incoming ?? IncomingParts() }
        _modify { yield unsafe &madeExtras.incoming }
    }

    var outgoing: OutgoingParts {
        get { unsafe extras?.outgoing ?? OutgoingParts() }
        _modify { yield unsafe &madeExtras.outgoing }
    }

    /// Senders that wait for room, in order.
    var senders: Fifo<SocketCore.Sender> {
        get { unsafe extras?.senders ?? Fifo() }
        _modify { yield unsafe &madeExtras.senders }
    }

    /// Why there was no connection.
    var failure: ConnectError? {
        get { extras?.failure }
        set { madeExtras.failure = newValue }
    }

    var openWaiters: [CheckedContinuation<Void, Never>] {
        get { extras?.openWaiters ?? [] }
        _modify { yield &madeExtras.openWaiters }
    }

    var ended: CloseEvent? {
        get { extras?.ended }
        set { madeExtras.ended = newValue }
    }

    var endWaiters: [(number: UInt64, continuation: SocketCore.EndWaiter)] {
        get { extras?.endWaiters ?? [] }
        _modify { yield &madeExtras.endWaiters }
    }

    /// PINGs whose PONG is awaited, oldest first.
    var pings: [SocketCore.Ping] {
        get { extras?.pings ?? [] }
        _modify { yield &madeExtras.pings }
    }

    /// A number for the payload of a PING.
    mutating func makePingNumber() -> UInt64 {
        madeExtras.lastPing += 1
        return madeExtras.lastPing
    }

    var lastPong: ContinuousClock.Instant? {
        get { extras?.lastPong }
        set { madeExtras.lastPong = newValue }
    }

    /// The peer's certificate; `nil` if it has presented none.
    var certificate: TLSPeerCertificate? {
        get { extras?.certificate }
        set { madeExtras.certificate = newValue }
    }

    /// The fields of the response to a client's handshake.
    var answer: HeaderFields? {
        get { extras?.answer }
        set { madeExtras.answer = newValue }
    }

    /// Called when the socket ends.
    var observation: Observation? {
        get { extras?.observation }
        set { madeExtras.observation = newValue }
    }

    var endings: [(owner: ObjectIdentifier, body: @Sendable () -> Void)] {
        get { extras?.endings ?? [] }
        _modify { yield &madeExtras.endings }
    }

    /// The tasks and callbacks that wait for the end.
    struct Waiting {
        let readers: [SocketCore.Reader]
        let enders: [SocketCore.EndWaiter]
        let openers: [CheckedContinuation<Void, Never>]
        let pings: [FirstAnswer<Duration>]
        let endings: [@Sendable () -> Void]
        let observation: Observation?
        let task: SocketCore.ClosureTask?
        let part: FirstAnswer<Void>?
    }

    /// Removes and returns everything that waits for the end.
    mutating func takeWaiting() -> Waiting {
        outgoing.posted = 0
        defer {
            incoming.reader = nil
            endWaiters = []
            openWaiters = []
            pings = []
            endings = []
            observation = nil
            task = nil
        }
        return Waiting(
            readers: readers.removeAll(), enders: endWaiters.map(\.continuation), openers: openWaiters,
            pings: pings.map(\.answer), endings: endings.map(\.body), observation: observation, task: task,
            part: incoming.reader)
    }

    // MARK: Unsent bytes

    /// The unsent bytes.
    ///
    /// - Parameter turn: the reactor's turn.
    @inline(__always)
    func unsent(in turn: UInt32) -> Int { unsentTurn == 0 || unsentTurn == turn ? unsent : 0 }

    /// Sets the unsent bytes, as the reactor tells.
    @inline(__always)
    mutating func setUnsent(_ told: SocketCore.Unsent) {
        unsent = hasEnded ? 0 : told.count
        unsentTurn = told.turn
    }

    /// Counts bytes that are sent in this turn.
    ///
    /// - Returns: whether the reactor must tell at the end of the turn how much is unsent.
    @inline(__always)
    mutating func addUnsent(_ count: Int, in turn: UInt32, _ limits: SocketCore.Limits) -> SocketCore.Update {
        if unsentTurn != turn, unsentTurn != 0 || unsent == 0 {
            (unsent, unsentTurn) = (count, turn)
            return needsUpdate(limits) ? .due : .dueIfBehind
        }
        unsent += count
        return needsUpdate(limits) ? .due : .none
    }

    /// Whether the reactor must tell at the end of this turn how much is unsent then: somebody waits for room, or has to,
    /// or there is a backlog.
    @inline(__always)
    func needsUpdate(_ limits: SocketCore.Limits) -> Bool {
        unsentTurn == 0 || posted + unsent > limits.waitingMark || hasSenders || hasPartSender
    }

    // MARK: Read for each message

    /// Whether events wait for listeners.
    var hasHappenings: Bool {
        guard let hearing else { return false }
        return unsafe !hearing.happenings.isEmpty
    }

    /// Whether messages go to listeners.
    var hasMessageListener: Bool {
        guard let hearing else { return false }
        return unsafe hearing.listeners.messageCount > 0
    }

    /// The listener for messages, if there is only one, which stays.
    var soleMessageListener: ListenerTable.Entry.Body? { unsafe hearing?.listeners.soleForMessages?.body }

    /// Whether there are parts of messages for readers.
    var hasParts: Bool {
        guard let extras else { return false }
        return unsafe !extras.incoming.items.isEmpty
    }

    /// The socket, if there are events and no task calls its listeners; one must be started then.
    mutating func beginTelling() -> WebSocket? {
        guard !isTelling, hasHappenings, let socket = anchor else { return nil }
        isTelling = true
        return socket
    }

    /// Handles the events of a socket that has no listeners, and is still referred to; returns whether it has.
    mutating func tellNobody() -> Bool {
        guard !isTelling, hasHappenings, anchor == nil, !isAbandoned else { return false }
        while let happening = happenings.popFirst() {
            let event = happening.event
            if event.happensOnce, event != .open || !isOpenKnown { unheard[event] = happening }
        }
        return true
    }

    var hasEnded: Bool {
        guard let extras else { return false }
        return extras.ended != nil
    }

    /// Whether a wait for a message ends at once.
    var hasUntakenOrEnded: Bool { hasMessages || hasMessageListener || hasEnded }

    /// Whether `mark` is that of the closure's task.
    @inline(__always)
    func isTask(_ mark: TaskMark?) -> Bool {
        guard let task, let mark else { return false }
        return TaskMark(task) == mark
    }

    /// Whether the closure's task is cancelled.
    // The task is asked where it is stored: a copy would be counted.
    @inline(__always)
    var isTaskCancelled: Bool { task?.isCancelled ?? false }

    var hasSenders: Bool {
        guard let extras else { return false }
        return unsafe !extras.senders.isEmpty
    }

    /// Whether a message is being sent in parts.
    var isSendingParts: Bool { unsafe extras?.outgoing.isInProgress ?? false }

    /// Whether the sender of a message's next part waits for room.
    var hasPartSender: Bool {
        guard let extras else { return false }
        return unsafe extras.outgoing.sender != nil
    }

    /// Whether messages wait for readers.
    var hasMessages: Bool {
        guard let queue else { return false }
        return !queue.isEmpty
    }

    /// The messages for readers, created with the first one.
    var madeQueue: ReceivedQueue {
        @inline(__always)
        mutating get {
            if let queue { return queue }
            let made = ReceivedQueue()
            queue = made
            return made
        }
    }

    /// The next message for a reader.
    @inline(__always)
    func takeMessage(of core: SocketCore, reusing spare: WebSocketMessage?) -> WebSocketMessage? {
        queue?.popFirst(of: core, reusing: spare)
    }

    /// The next message for a reader, without the queue's memory once there is none.
    mutating func popMessage(of core: SocketCore) -> WebSocketMessage? {
        if let message = queue?.popFirst(of: core) { return message }
        forgetQueue()
        return nil
    }

    /// Frees the memory of the queue, which is empty.
    mutating func forgetQueue() { if queue != nil { queue = nil } }
}
