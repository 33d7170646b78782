internal import Synchronization

/// The state that a ``WebSocket`` and its connection share, with its listeners and the messages that have not been
/// taken.
///
/// The reactor fills it; tasks read it. Any thread.
@safe final class SocketCore: Sendable {
    /// `nil` if the wait was cancelled.
    typealias EndWaiter = CheckedContinuation<CloseEvent?, Never>

    /// An event for the listeners; events are kept in order.
    enum Happening: Sendable {
        case message(WebSocketMessage)
        /// Anything else that a listener is called with as it is.
        // The rare cases are stored separately, so that a queue of messages is small.
        indirect case payload(WebSocket.Payload)
        /// The socket failed.
        indirect case error(CloseCode, String)
        indirect case close(CloseEvent)

        init(_ payload: WebSocket.Payload) {
            if case .message(let message) = payload { self = .message(message) } else { self = .payload(payload) }
        }

        var event: WebSocket.Event {
            switch self {
            case .message: .message
            case .payload(let payload): payload.event
            case .error: .error
            case .close: .close
            }
        }
    }

    /// A PING whose PONG is awaited.
    struct Ping: Sendable {
        let number: UInt64
        let sent = ContinuousClock.now
        let answer: FirstAnswer<Duration>
    }

    let state: Mutex<State>
    let isClient: Bool
    // Two flags of the session, because there is room beside the one above.
    /// Whether the session tells how much is unsent at the end of this turn; the reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) var isUpdateDue = false
    /// Whether this side has closed the connection, so that received messages are dropped; the reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) var isClosing = false
    /// Whether there may be messages for readers, so that most of those that would find none need not look.
    let mayHoldMessages = Atomic<Bool>(false)
    let link: ReactorLink
    let limits: Limits
    /// The connection, as long as there is one.
    ///
    /// The reactor's thread.
    var connection: WebSocketConnection? {
        get { unsafe uncounted?.takeUnretainedValue() }
        set {
            let before = unsafe uncounted
            unsafe uncounted = newValue.map { unsafe .passRetained($0) }
            unsafe before?.release()
        }
    }
    /// The same, with a reference that the core has: each message uses it, and counts no references.
    // Not checked for overlapping access either.
    @exclusivity(unchecked) nonisolated(unsafe) private(set) var uncounted: Unmanaged<WebSocketConnection>?
    /// What only a few sessions need; the reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) var rare: SocketSession.Rare?

    /// The cost of an event in addition to its bytes, so that the number of empty ones is limited, too.
    static let overhead = 64

    init(link: ReactorLink, limits: Limits, isClient: Bool, subprotocol: String) {
        self.link = link
        self.limits = limits
        self.isClient = isClient
        state = Mutex(State(readyState: isClient ? .connecting : .open, subprotocol: subprotocol))
    }

    deinit { unsafe uncounted?.release() }

    static func size(_ happening: Happening) -> Int {
        switch happening {
        case .message(let message): message.held
        case .payload(.ping(let bytes)), .payload(.pong(let bytes)): bytes.count + overhead
        default: 0
        }
    }

    /// Runs `body` on the reactor's thread with its side, or `nil` if there is none (any more).
    func run(_ body: @escaping @Sendable (SocketSession?) -> Void) {
        let isPosted = link.remote?.run { [self] _ in body(session) } ?? false
        if !isPosted { body(nil) }
    }

    // MARK: From the reactor

    /// The handshake is complete.
    func opened(subprotocol: String) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.readyState = .open
            state.subprotocol = subprotocol
            guard !state.openWaiters.isEmpty else { return [] }
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
                if !state.unheard.isEmpty { state.unheard[.open] = nil }
                if state.readyState == .connecting { state.openWaiters.append(continuation) }
                return state.readyState != .connecting
            }
            if isDone { continuation.resume() }
        }
    }

    /// Adds an event for the listeners; returns `true` if no more should come for now.
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

    /// Takes a received message; returns `true` if no more should come for now.
    ///
    /// The reactor's thread.
    @inline(__always)
    func received(_ arrival: ReceivedBytes) -> Bool {
        guard arrival.isSmall else { return received(arrival.message(of: self)) }
        return received(
            arrival.held, message: { link.remote?.message(from: arrival, to: self) ?? arrival.message(of: self) },
            keep: { $0.append(arrival) })
    }

    /// The same for a large one, which has been copied before, not under the lock.
    private func received(_ message: WebSocketMessage) -> Bool {
        received(message.held, message: { message }, keep: { $0.append(message) })
    }

    /// Takes a received message.
    ///
    /// - Parameters:
    ///   - held: what it counts as while it waits.
    ///   - message: makes it, for a task that waits for one, or for a listener.
    ///   - keep: adds it to those that wait for a reader.
    @inline(__always)
    private func received(_ held: Int, message: () -> WebSocketMessage, keep: (ReceivedQueue) -> Void) -> Bool {
        let (reader, socket, isFull) = state.withLock { state -> (Reader?, WebSocket?, Bool) in
            if let reader = state.readers.popFirst() {
                state.takes()
                return (reader, nil, state.isFull)
            }
            guard !state.isAbandoned else { return (nil, nil, false) }
            let isFull = add(held, &state)
            if state.hasMessageListener {
                state.happenings.append(.message(message()))
                return (nil, state.beginTelling(), isFull)
            }
            // Also if there are listeners only for other events: one for messages may be added a moment later.
            keep(state.madeQueue)
            mayHoldMessages.store(true, ordering: .relaxed)
            return (nil, nil, isFull)
        }
        if let reader { reader.resume(returning: message()) } else if let socket { tell(socket) }
        return isFull
    }

    func add(_ bytes: Int, _ state: inout State) -> Bool {
        state.heldBytes += bytes
        if state.heldBytes > limits.held { state.isFull = true }
        return state.isFull
    }

    /// Records that nothing more is sent or received; the connection has not ended yet.
    func ending() {
        state.withLock { state in if state.readyState == .open { state.readyState = .closing } }
        refuseSenders()
    }

    /// Handles the end of the connection.
    ///
    /// - Parameter error: the error that caused it, if any; reported before the end.
    func finished(_ event: CloseEvent, error: (code: CloseCode, reason: String)?) {
        let waiting = state.withLock { state -> State.Waiting? in
            guard state.ended == nil else { return nil }
            state.ended = event
            state.readyState = .closed
            state.posted = 0
            state.setUnsent(Unsent(count: 0, turn: 0))
            if let error { state.happenings.append(.error(error.code, error.reason)) }
            // Reported even without listeners, because that releases them.
            state.happenings.append(.close(event))
            return state.takeWaiting()
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
        // After its reader has learned how it ended.
        waiting.task?.cancel()
        tell()
    }

    /// Holds the task of a server's closure, which is cancelled when the socket ends.
    ///
    /// Called on the reactor's thread, before anything else knows the socket.
    ///
    /// - Parameter start: starts the task, which calls ``hasRun()`` last, with this executor.
    func holdTask(_ start: ((any TaskExecutor)?) -> ClosureTask) {
        // Under the lock, so that the task cannot end before it is stored.
        state.withLock { $0.task = start(limits.runsOnReactor ? link.remote : nil) }
    }

    /// Records that the closure has returned.
    func hasRun() { state.withLock { $0.task = nil } }

    /// Whether the caller's task is cancelled.
    // Not a read-only state: that would be copied.
    @inline(__always)
    func isCancelled(_ state: inout State) -> Bool {
        // Asking the closure's task, which is known, costs a third.
        guard let remote = link.remote, remote.isCurrentThread, state.isTask(remote.runningTask) else {
            return Task.isCancelled
        }
        return state.isTaskCancelled
    }

    private func end(_ reader: Reader, _ event: CloseEvent) {
        if let error = state.withLock({ error(of: event, $0) }) {
            reader.resume(throwing: error)
        } else {
            reader.resume(returning: nil)
        }
    }

    /// The error for a reader; `nil` after a normal end.
    func error(of event: CloseEvent, _ state: borrowing State) -> WS.Error? {
        guard let failure = state.failure else { return event.error }
        return .handshake(WS.HandshakeError(failure))
    }

    // MARK: Reading one by one

    private enum Step {
        /// There is nothing.
        ///
        /// - isEnding: whether the reactor may have to be notified.
        case wait(isEnding: Bool)
        case message(WebSocketMessage, madeRoom: Bool)
        case ended((any Swift.Error)?)
    }

    /// The next message that no listener got; `nil` if there is none or this call does not find it, so that the caller
    /// has to wait.
    ///
    /// Throws as ``next()`` does.
    ///
    /// - Parameter last: the message that the reader has got before, if it holds on to it: becomes the next one unless
    ///   somebody else refers to it.
    func takeMessage(reusing last: inout WebSocketMessage?) throws -> WebSocketMessage? {
        let spare = WebSocketMessage.takeSole(&last)
        guard mayHoldMessages.load(ordering: .relaxed) else {
            if let spare { link.remote?.keep(spare) }
            return nil
        }
        // Most calls need no more than this.
        let (message, hasRoom, isAnswered) = state.withLock { state -> (WebSocketMessage?, Bool, Bool) in
            guard !state.hasEnded, !state.hasMessageListener, !isCancelled(&state) else { return (nil, false, false) }
            state.hasRead = true
            guard let message = state.takeMessage(of: self, reusing: spare) else {
                mayHoldMessages.store(false, ordering: .relaxed)
                return (nil, false, true)
            }
            state.takes()
            return (message, release(message.held, &state), true)
        }
        if hasRoom { resumeReading() }
        if let message {
            if message.isSmall { last = message }
            return message
        }
        if let spare { link.remote?.keep(spare) }
        if isAnswered { return nil }
        switch state.withLock({ step(&$0, nil) }) {
        case .message(let message, let hasRoom):
            if hasRoom { resumeReading() }
            return message
        case .ended(let error?): throw error
        case .wait, .ended: return nil
        }
    }

    /// Resumes `reader` with the next message or the end, and refuses it unless it is the server's closure.
    ///
    /// Only the end of the socket cancels that task, and tasks that wait for a message learn of the end anyway, so its
    /// waits cost less than others.
    func waitByItself(_ reader: Reader) {
        let (waits, isClosure) = state.withLock { state -> (Bool, Bool) in
            guard !limits.receivesParts, state.isTask(reader.task) else { return (false, false) }
            // Nearly always.
            let isCancelled = state.task?.isCancelled ?? false
            guard !isCancelled, !state.hasUntakenOrEnded, !state.isEnding, state.readers.isEmpty else {
                return (false, true)
            }
            state.hasRead = true
            state.isReading = false
            state.forgetQueue()
            state.readers.append(0, reader)
            return (true, true)
        }
        if waits { return }
        guard isClosure else { return reader.refuse() }
        let step = state.withLock { state -> Step in
            // It may have cancelled itself.
            if state.task?.isCancelled == true, !state.hasEnded { return .ended(CancellationError()) }
            return self.step(&state, (0, reader))
        }
        conclude(step, reader)
    }

    /// Waits for the next message that no listener got; `nil` after a normal end.
    nonisolated(nonsending) func next() async throws -> WebSocketMessage? {
        var none: WebSocketMessage?
        if let message = try takeMessage(reusing: &none) { return message }
        return try await waitForMessage()
    }

    /// The same, after ``takeMessage()`` has found none.
    nonisolated(nonsending) func waitForMessage() async throws -> WebSocketMessage? {
        let number = State.makeNumber()
        return try await withTaskCancellationHandler {
            try await Reader.wait { wait(number, $0) }
        } onCancel: {
            let reader = state.withLock { $0.readers.remove(number) }
            reader?.resume(throwing: CancellationError())
        }
    }

    /// Gives `reader` the next message or the end, or lets it wait.
    ///
    /// - Parameter number: the number with which the wait can be cancelled.
    private func wait(_ number: UInt64, _ reader: Reader) {
        conclude(state.withLock { step(&$0, (number, reader)) }, reader)
    }

    private func conclude(_ step: Step, _ reader: Reader) {
        switch step {
        case .wait(let isEnding): if isEnding { noticeCatchingUp() }
        case .message(let message, let hasRoom):
            reader.resume(returning: message)
            if hasRoom { resumeReading() }
        case .ended(let error?): reader.resume(throwing: error)
        case .ended: reader.resume(returning: nil)
        }
    }

    /// Takes the next message or the end.
    ///
    /// - Parameter reader: the reader that waits if there is neither; its number is 0 if it cannot be cancelled.
    private func step(_ state: inout State, _ reader: (number: UInt64, reader: Reader)?) -> Step {
        // Checked under the lock: a later cancellation finds the reader in the list. The end of the socket cancels its
        // closure, which still gets the messages received before; the closure's own waits have been checked.
        if reader?.number != 0, isCancelled(&state), !state.hasEnded { return .ended(CancellationError()) }
        // After the end the listeners are still there for a moment.
        if state.hasMessageListener, !state.hasEnded { return .ended(WS.Error.messagesAreListenedTo) }
        state.hasRead = true
        if let message = state.popMessage(of: self) {
            state.takes()
            return .message(message, madeRoom: release(message.held, &state))
        }
        if let event = state.ended { return .ended(error(of: event, state)) }
        guard let reader else { return .wait(isEnding: false) }
        state.readers.append(reader.number, reader.reader)
        state.isReading = false
        return .wait(isEnding: state.isEnding)
    }

    /// Releases held bytes; returns whether the peer should be read again.
    func release(_ bytes: Int, _ state: inout State) -> Bool {
        state.heldBytes -= bytes
        guard state.isFull, state.heldBytes <= limits.held / 2 else { return false }
        state.isFull = false
        return true
    }

    func resumeReading() { run { $0?.resumeReading() } }

    var isFull: Bool { state.withLock { $0.isFull } }

    /// Waits for the end; `nil` if `isCancellable` and the task is cancelled first.
    func end(isCancellable: Bool) async -> CloseEvent? {
        let number = State.makeNumber()
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
}
