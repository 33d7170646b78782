internal import Synchronization

/// What a ``WebSocket`` and its connection share: the state, the listeners, and messages that have not been taken.
///
/// The reactor fills it, tasks read it. Any thread.
final class SocketCore: Sendable {
    typealias Reader = CheckedContinuation<WebSocketMessage?, any Swift.Error>
    /// `nil`: the wait was cancelled.
    typealias EndWaiter = CheckedContinuation<CloseEvent?, Never>

    /// An event for the listeners, in the order in which they happened.
    enum Happening: Sendable {
        case payload(WebSocket.Payload)
        /// The socket failed.
        case error(CloseCode, String)
        case close(CloseEvent)

        var event: WebSocket.Event {
            switch self {
            case .payload(let payload): payload.event
            case .error: .error
            case .close: .close
            }
        }
    }

    /// What does not change during the socket's life.
    struct Limits: Sendable {
        /// Received and not yet taken, in bytes; beyond it the peer is not read.
        var held = 1024 * 1024
        /// Sent and not yet taken by the system, in bytes; beyond it a message is refused.
        var unsent = 1024 * 1024
        /// The same; beyond it a sender that can wait has to.
        var waitingMark: Int { min(unsent, 64 * 1024) }
        /// Whether a message beyond ``unsent`` ends the socket; otherwise it is only refused.
        var closesSlowReaders = false
        /// Whether listeners and closures run on the connection's thread; otherwise on Swift's threads.
        var runsOnReactor = false
        /// Whether messages are handed over in parts, as they come.
        var receivesParts = false
    }

    struct State {
        var readyState: ReadyState
        var subprotocol: String
        var listeners = ListenerTable()
        /// For listeners.
        var happenings = Fifo<Happening>()
        /// Events that happen once and have not been reported, for listeners that are added a moment later.
        var unheard: [WebSocket.Event: Happening] = [:]
        /// Whether the end waits, for a moment at most, until the preceding error is reported; `nil`: it has waited.
        var isCloseHeld: Bool? = false
        /// Whether a caller waited for the socket to open.
        var isOpenKnown = false
        /// For readers.
        var messages = Fifo<WebSocketMessage>()
        var heldBytes = 0
        var isFull = false
        var readers: [(id: UInt64, continuation: Reader)] = []
        var lastNumber: UInt64 = 0
        /// Whether a task is calling the listeners.
        var isTelling = false
        /// Whether a reader has taken a message, and has not returned for the next one.
        var isReading = false
        /// Whether something was sent since a message was last taken.
        var hasAnswered = false
        /// What ``onlySends()`` found when it was last asked.
        var wasSo = false
        /// Whether the peer closed or broke the protocol, which takes effect when everything before has been handled.
        var isEnding = false
        /// Messages that come and go in parts.
        var incoming = IncomingParts()
        var outgoing = OutgoingParts()
        /// Messages passed to the reactor that it has not sent yet, and bytes that it sent and the system has not
        /// taken.
        var posted = 0
        var unsent = 0
        /// Senders that wait for room, in order.
        var senders = Fifo<Sender>()
        var lastPong: ContinuousClock.Instant?
        /// Why there was no connection.
        var failure: ConnectError?
        var openWaiters: [CheckedContinuation<Void, Never>] = []
        var ended: CloseEvent?
        var endWaiters: [(number: UInt64, continuation: EndWaiter)] = []
        /// PINGs whose PONG is awaited, oldest first.
        var pings: [Ping] = []
        var peer: SocketAddress?
        /// What the peer has shown; `nil`: nothing.
        var certificate: TLSPeerCertificate?
        /// The fields of the answer to a client's handshake.
        var answer: HeaderFields?
        /// Told when it ends.
        var observation: Observation?
        var endings: [(owner: ObjectIdentifier, body: @Sendable () -> Void)] = []
        /// The task of a server's closure, as long as that runs.
        var task: Task<Void, Never>?
        /// Whether a reader has ever taken a message, or come for one.
        var hasRead = false
        /// Keeps the socket alive for its listeners until it has ended.
        var anchor: WebSocket?
        weak var handle: WebSocket?

        /// A reader takes a message.
        mutating func takes() {
            isReading = true
            hasAnswered = false
        }

        /// A number for what waits, by which it is found when its task is cancelled.
        mutating func makeNumber() -> UInt64 {
            lastNumber += 1
            return lastNumber
        }
    }

    /// A PING whose PONG is awaited.
    struct Ping: Sendable {
        let number: UInt64
        let sent = ContinuousClock.now
        let answer: FirstAnswer<Duration>
    }

    let state: Mutex<State>
    let link: ReactorLink
    let limits: Limits
    let isClient: Bool

    /// What a message costs in addition to its bytes, so that empty ones are bounded too.
    private static let overhead = 64

    init(link: ReactorLink, limits: Limits, isClient: Bool, subprotocol: String) {
        self.link = link
        self.limits = limits
        self.isClient = isClient
        state = Mutex(State(readyState: isClient ? .connecting : .open, subprotocol: subprotocol))
    }

    private static func size(_ happening: Happening) -> Int {
        switch happening {
        case .payload(.message(let message)): message.length + overhead
        case .payload(.ping(let bytes)), .payload(.pong(let bytes)): bytes.count + overhead
        default: 0
        }
    }

    // MARK: From the reactor

    /// The handshake is complete.
    func opened(subprotocol: String) {
        let waiters = state.withLock { state in
            state.readyState = .open
            state.subprotocol = subprotocol
            defer { state.openWaiters = [] }
            return state.openWaiters
        }
        for waiter in waiters { waiter.resume() }
        happened(.payload(.open))
    }

    /// Waits until a client's handshake has succeeded or failed.
    func handshake() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                // A caller that waits for it needs no event.
                state.isOpenKnown = true
                state.unheard[.open] = nil
                if state.readyState == .connecting { state.openWaiters.append(continuation) }
                return state.readyState != .connecting
            }
            if isDone { continuation.resume() }
        }
    }

    /// An event for the listeners; `true` if no more should come for now.
    @discardableResult
    func happened(_ happening: Happening) -> Bool {
        let isFull = state.withLock { state in
            guard happening.event.happensOnce || state.listeners.count(of: happening.event) > 0 else {
                return state.isFull
            }
            state.happenings.append(happening)
            return add(Self.size(happening), &state)
        }
        tell()
        return isFull
    }

    /// A message arrived; `true` if no more should come for now.
    func received(_ message: WebSocketMessage) -> Bool {
        let (reader, isFull) = state.withLock { state -> (Reader?, Bool) in
            if !state.readers.isEmpty {
                state.takes()
                return (state.readers.removeFirst().continuation, state.isFull)
            }
            if state.listeners.count(of: .message) > 0 {
                state.happenings.append(.payload(.message(message)))
            } else {
                // Also if there are only listeners for other events: one for messages may be added a moment later.
                state.messages.append(message)
            }
            return (nil, add(message.length + Self.overhead, &state))
        }
        if let reader { reader.resume(returning: message) } else { tell() }
        return isFull
    }

    func add(_ bytes: Int, _ state: inout State) -> Bool {
        state.heldBytes += bytes
        if state.heldBytes > limits.held { state.isFull = true }
        return state.isFull
    }

    /// Nothing more is sent or received; the connection has not ended yet.
    func ending() {
        state.withLock { state in if state.readyState == .open { state.readyState = .closing } }
        refuseSenders()
    }

    /// The end, as seen by the connection.
    ///
    /// - Parameter error: what failed, if anything; reported before the end.
    func finished(_ event: CloseEvent, error: (code: CloseCode, reason: String)?) {
        let waiting = state.withLock { state -> Waiting? in
            guard state.ended == nil else { return nil }
            state.ended = event
            state.readyState = .closed
            state.posted = 0
            state.outgoing.posted = 0
            state.unsent = 0
            if let error { state.happenings.append(.error(error.code, error.reason)) }
            // Reported even without listeners: it is what releases them.
            state.happenings.append(.close(event))
            defer {
                state.readers = []
                state.incoming.reader = nil
                state.endWaiters = []
                state.openWaiters = []
                state.pings = []
                state.endings = []
                state.observation = nil
                state.task = nil
            }
            return Waiting(
                readers: state.readers.map(\.continuation), enders: state.endWaiters.map(\.continuation),
                openers: state.openWaiters, pings: state.pings.map(\.answer), endings: state.endings.map(\.body),
                observation: state.observation, task: state.task, part: state.incoming.reader)
        }
        guard let waiting else { return }
        waiting.part?.give(.success(()))
        for opener in waiting.openers { opener.resume() }
        for reader in waiting.readers { end(reader, event) }
        for ender in waiting.enders { ender.resume(returning: event) }
        for body in waiting.endings { body() }
        waiting.observation?.ended(event)
        for ping in waiting.pings { ping.give(.failure(WS.Error.closed(event.asReported.code, reason: event.reason))) }
        refuseSenders()
        // After its reader has been told how it ended.
        waiting.task?.cancel()
        tell()
    }

    /// What waits for the end.
    private struct Waiting {
        let readers: [Reader]
        let enders: [EndWaiter]
        let openers: [CheckedContinuation<Void, Never>]
        let pings: [FirstAnswer<Duration>]
        let endings: [@Sendable () -> Void]
        let observation: Observation?
        let task: Task<Void, Never>?
        let part: FirstAnswer<Void>?
    }

    /// Runs a server's closure in a task, which is cancelled when the socket ends.
    ///
    /// The reactor's thread, before anything of the socket is known to others.
    func run(_ body: @escaping @Sendable () async -> Void) {
        // Under the lock, so that the task does not end before it is known.
        state.withLock { state in
            state.task = Task(executorPreference: limits.runsOnReactor ? link.remote : nil) {
                await body()
                self.state.withLock { $0.task = nil }
            }
        }
    }

    private func end(_ reader: Reader, _ event: CloseEvent) {
        if let error = state.withLock({ error(of: event, $0) }) {
            reader.resume(throwing: error)
        } else {
            reader.resume(returning: nil)
        }
    }

    /// What a reader is thrown; `nil`: it ended in order.
    func error(of event: CloseEvent, _ state: borrowing State) -> WS.Error? {
        guard let failure = state.failure else { return event.error }
        return .handshake(WS.HandshakeError(failure))
    }

    // MARK: Reading one by one

    private enum Step {
        case wait
        case cancelled
        case message(WebSocketMessage, madeRoom: Bool)
        case ended(CloseEvent)
        case refused
    }

    /// Waits for the next message that no listener was given; `nil` after an orderly end.
    func next() async throws -> WebSocketMessage? {
        let id = state.withLock { $0.makeNumber() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (reader: Reader) in
                switch step(of: id, reader) {
                case .wait: noticeCatchingUp()
                case .cancelled: reader.resume(throwing: CancellationError())
                case .message(let message, let hasRoom):
                    reader.resume(returning: message)
                    if hasRoom { readOn() }
                case .ended(let event): end(reader, event)
                case .refused: reader.resume(throwing: WS.Error.messagesAreListenedTo)
                }
            }
        } onCancel: {
            let reader = state.withLock { state -> Reader? in
                guard let index = state.readers.firstIndex(where: { $0.id == id }) else { return nil }
                return state.readers.remove(at: index).continuation
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    private func step(of id: UInt64, _ reader: Reader) -> Step {
        state.withLock { state in
            // Checked under the lock: a later cancellation finds the reader in the list. The end of the socket cancels
            // its closure, which is given what came before all the same.
            if Task.isCancelled, state.ended == nil { return .cancelled }
            if state.listeners.count(of: .message) > 0 { return .refused }
            state.hasRead = true
            guard let message = state.messages.popFirst() else {
                if let event = state.ended { return .ended(event) }
                state.readers.append((id, reader))
                state.isReading = false
                return .wait
            }
            state.takes()
            return .message(message, madeRoom: release(message.length + Self.overhead, &state))
        }
    }

    /// Whether the peer should be read again.
    func release(_ bytes: Int, _ state: inout State) -> Bool {
        state.heldBytes -= bytes
        guard state.isFull, state.heldBytes <= limits.held / 2 else { return false }
        state.isFull = false
        return true
    }

    func readOn() { link.run(with: SocketSession.self) { $0?.readOn() } }

    var isFull: Bool { state.withLock { $0.isFull } }

    /// Waits for the end; `nil` where the task is cancelled before, if that is to end the wait.
    func end(isCancellable: Bool) async -> CloseEvent? {
        let number = state.withLock { $0.makeNumber() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: EndWaiter) in
                let (isDone, event) = state.withLock { state -> (Bool, CloseEvent?) in
                    if let ended = state.ended { return (true, ended) }
                    if isCancellable, Task.isCancelled { return (true, nil) }
                    state.endWaiters.append((number, waiter))
                    return (false, nil)
                }
                if isDone { waiter.resume(returning: event) }
            }
        } onCancel: {
            guard isCancellable else { return }
            let waiter = state.withLock { state -> EndWaiter? in
                guard let index = state.endWaiters.firstIndex(where: { $0.number == number }) else { return nil }
                return state.endWaiters.remove(at: index).continuation
            }
            waiter?.resume(returning: nil)
        }
    }

    // MARK: Telling listeners

    /// Starts a task that calls the listeners, unless one is running.
    func tell() {
        let socket = state.withLock { state -> WebSocket? in
            guard !state.isTelling, !state.happenings.isEmpty, let socket = state.anchor ?? state.handle else {
                return nil
            }
            state.isTelling = true
            return socket
        }
        guard let socket else { return }
        Task(executorPreference: limits.runsOnReactor ? link.remote : nil) { await self.tellAll(of: socket) }
    }

    /// Tells them, until nothing more has happened.
    func tellAll(of socket: WebSocket) async {
        while let (happening, listeners) = nextHappening() {
            guard let listeners else {
                releaseCloseSoon()
                continue
            }
            let payload = socket.payload(of: happening)
            for listener in listeners { await listener(payload) }
            let hasRoom = state.withLock { release(Self.size(happening), &$0) }
            if hasRoom { readOn() }
            if case .close = happening { WS.forget(socket) }
        }
        serveReaders()
        noticeCatchingUp()
    }

    /// Gives readers what listeners have left.
    private func serveReaders() {
        while true {
            let served = state.withLock { state -> (reader: Reader, message: WebSocketMessage, hasRoom: Bool)? in
                guard !state.readers.isEmpty, let message = state.messages.popFirst() else { return nil }
                state.takes()
                let hasRoom = release(message.length + Self.overhead, &state)
                return (state.readers.removeFirst().continuation, message, hasRoom)
            }
            guard let served else { return }
            served.reader.resume(returning: served.message)
            if served.hasRoom { readOn() }
        }
    }

    /// The next event and the listeners to call; `nil` for these: it waits for others.
    private func nextHappening() -> (Happening, [WebSocket.Listener]?)? {
        state.withLock { state in
            guard let happening = state.happenings.popFirst() else {
                state.isTelling = false
                // After the end no socket is kept for an event that cannot happen any more.
                if state.ended != nil, state.isCloseHeld != true {
                    state.listeners.removeAll()
                    state.anchor = nil
                }
                return nil
            }
            if happening.event == .open, state.isOpenKnown { return (happening, []) }
            // There was no connection at all: the socket's creator may still be adding listeners.
            if happening.event == .close, state.failure != nil, state.listeners.count(of: .close) > 0,
                state.holdsClose()
            {
                state.unheard[.close] = happening
                return (happening, nil)
            }
            if case .payload(.message) = happening { state.hasAnswered = false }
            let listeners = state.listeners.take(happening.event)
            state.keepMessagesUnlessHeard()
            if listeners.isEmpty, happening.event.happensOnce { state.unheard[happening.event] = happening }
            return (happening, listeners)
        }
    }
}
