internal import Synchronization

/// Requests of a socket's user to the connection.
extension SocketCore {
    /// Passes a message to the reactor.
    func post(_ type: Opcode, _ payload: [UInt8]) throws(WS.Error) {
        let (isAtOnce, turn) = (!type.isControl && actsAtOnce, turn)
        let (refusal, update) = state.withLock { state -> (WS.Error?, Update) in
            guard state.readyState == .open else { return (.invalidState(state.readyState), .none) }
            guard state.posted + state.unsent(in: turn) <= limits.unsent else {
                return (.tooMuchUnsent(limits.unsent), .none)
            }
            state.hasAnswered = true
            if isAtOnce { return (nil, state.addUnsent(payload.count, in: turn, limits)) }
            state.posted += payload.count
            return (nil, .none)
        }
        if case .tooMuchUnsent = refusal, limits.closesSlowReaders {
            run { $0?.closeSlow() }
        }
        if let refusal { throw refusal }
        let body = MessageBody(payload)
        if isAtOnce { sendAtOnce(type, body, update) } else { pass(type, body) }
    }

    /// The number of the reactor's turn.
    var turn: UInt32 { link.remote?.turn ?? 0 }

    /// Whether the caller may send by its own call instead of the reactor's next look at its mailbox.
    private var actsAtOnce: Bool { link.remote?.actsAtOnce ?? false }

    /// A message that waits for room.
    struct Sender: Sendable {
        let number: UInt64
        let type: Opcode
        let body: MessageBody
        /// Whether it is a message in parts, which begins with this.
        var isInParts = false
        let taken: CheckedContinuation<Void, any Swift.Error>
    }

    /// Passes a message to the reactor if there is room and no earlier sender waits; `false` if it was not taken.
    func trySend(_ type: Opcode, _ payload: [UInt8]) throws(WS.Error) -> Bool {
        try trySend(type, MessageBody(payload), unlessCancelled: false)
    }

    /// - Parameter unlessCancelled: whether the message is not taken if the caller's task is cancelled.
    private func trySend(_ type: Opcode, _ body: MessageBody, unlessCancelled: Bool) throws(WS.Error) -> Bool {
        let (isAtOnce, turn) = (actsAtOnce, turn)
        var mustWake = false
        let (update, readyState) = state.withLock { state -> (Update?, ReadyState) in
            guard state.readyState == .open, state.hasRoom(limits, turn) else { return (nil, state.readyState) }
            if unlessCancelled, isCancelled(&state) { return (nil, .open) }
            if isAtOnce {
                state.hasAnswered = true
                return (state.addUnsent(body.count, in: turn, limits), .open)
            }
            mustWake = admit(type, body, &state)
            return (Update.none, .open)
        }
        guard let update else {
            if readyState == .open { return false }
            throw .invalidState(readyState)
        }
        if mustWake { link.remote?.wake() }
        if isAtOnce { sendAtOnce(type, body, update) }
        return true
    }

    /// Waits for room, after earlier senders, and then passes a message to the reactor.
    ///
    /// Throws `CancellationError` if the task is cancelled first; then the message is not sent.
    nonisolated(nonsending) func send(_ type: Opcode, _ payload: [UInt8]) async throws {
        let body = MessageBody(payload)
        if try trySendNow(type, body) { return }
        try await enqueue(type, body, isInParts: false)
    }

    /// Sends `message` if there is room and the task is not cancelled; `false` if it was not taken.
    func trySendNow(_ message: WebSocketMessage) throws(WS.Error) -> Bool {
        guard actsAtOnce else {
            let (type, body) = try message.sendable
            return try trySend(type, body, unlessCancelled: true)
        }
        // Sent from where it is: no caller holds this core's lock and waits for the message's.
        let refusal = try message.state.withLock { message throws(WS.Error) -> ReadyState? in
            if !message.isKnownSendable { try message.checkSendable() }
            let type = message.type
            return unsafe message.body.withOwnBytes { unsafe sendNow(type, $0) }
        }
        guard let refusal else { return true }
        if refusal == .open { return false }
        throw .invalidState(refusal)
    }

    /// Sends a message at once if there is room and the caller's task, which the reactor runs, is not cancelled.
    ///
    /// - Returns: the socket's state if the message was not sent; `nil` if it was.
    private func sendNow(_ type: Opcode, _ bytes: UnsafeRawBufferPointer) -> ReadyState? {
        let turn = turn
        var update = Update.none
        let refusal = state.withLock { state -> ReadyState? in
            guard state.readyState == .open else { return state.readyState }
            // As nearly always, it is the closure's task, and need not be looked up.
            guard state.hasRoom(limits, turn),
                !(state.isTask(link.remote?.runningTask) ? state.isTaskCancelled : Task.isCancelled)
            else { return .open }
            state.hasAnswered = true
            update = state.addUnsent(bytes.count, in: turn, limits)
            return nil
        }
        if refusal == nil { unsafe sendAtOnce(type, bytes, update) }
        return refusal
    }

    /// The same as ``trySend(_:_:)``, but not for a task that is cancelled.
    func trySendNow(_ type: Opcode, _ body: MessageBody) throws(WS.Error) -> Bool {
        try trySend(type, body, unlessCancelled: true)
    }

    /// Waits for room, after earlier senders, for a message or for the first part of one.
    nonisolated(nonsending) func enqueue(_ type: Opcode, _ body: MessageBody, isInParts: Bool) async throws {
        let number = State.makeNumber()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (taken: CheckedContinuation<Void, any Swift.Error>) in
                let turn = turn
                let (outcome, mustWake) = state.withLock { state -> (Result<Void, any Swift.Error>?, Bool) in
                    guard state.readyState == .open else {
                        return (.failure(WS.Error.invalidState(state.readyState)), false)
                    }
                    // Checked under the lock: a later cancellation finds the sender in the queue.
                    if Task.isCancelled { return (.failure(CancellationError()), false) }
                    guard state.hasRoom(limits, turn) else {
                        state.senders.append(
                            Sender(number: number, type: type, body: body, isInParts: isInParts, taken: taken))
                        return (nil, false)
                    }
                    if isInParts {
                        state.outgoing.isInProgress = true
                        return (.success(()), false)
                    }
                    return (.success(()), admit(type, body, &state))
                }
                if mustWake { link.remote?.wake() }
                if let outcome { taken.resume(with: outcome) }
            }
        } onCancel: {
            let sender = state.withLock { $0.senders.removeFirst { $0.number == number } }
            sender?.taken.resume(throwing: CancellationError())
        }
    }

    /// Sends a PING before waiting messages, and waits for its PONG.
    func roundTrip() async throws -> Duration {
        let number = state.withLock { $0.makePingNumber() }
        do {
            return try await FirstAnswer<Duration>.wait { answer in
                let readyState = state.withLock { state in
                    if state.readyState == .open { state.pings.append(Ping(number: number, answer: answer)) }
                    return state.readyState
                }
                guard readyState == .open else { return answer.give(.failure(WS.Error.invalidState(readyState))) }
                run { $0?.ping(Self.payload(of: number)) }
            }
        } catch {
            state.withLock { state in state.pings.removeAll { $0.number == number } }
            throw error
        }
    }

    private static func payload(of number: UInt64) -> [UInt8] { Array("\(number)".utf8) }

    /// Handles a PONG: it answers the PING with that payload, and those before it (RFC 6455 §5.5.3).
    func answerPings(_ payload: [UInt8]) {
        let now = ContinuousClock.now
        let answered = state.withLock { state -> ArraySlice<Ping> in
            state.lastPong = now
            guard let last = state.pings.firstIndex(where: { Self.payload(of: $0.number) == payload }) else {
                return []
            }
            defer { state.pings.removeFirst(last + 1) }
            return state.pings[...last]
        }
        for ping in answered { ping.answer.give(.success(now - ping.sent)) }
    }

    /// Called under the lock, so that no waiting sender comes in between.
    ///
    /// - Returns: whether the caller must wake the reactor when it has released the lock.
    private func admit(_ type: Opcode, _ body: MessageBody, _ state: inout State) -> Bool {
        state.posted += body.count
        state.hasAnswered = true
        return link.remote?.post { [self] _ in session?.send(type, body) } ?? false
    }

    private func sendAtOnce(_ type: Opcode, _ body: MessageBody, _ update: Update) {
        unsafe body.withBytes { unsafe sendAtOnce(type, $0, update) }
    }

    @inline(__always)
    private func sendAtOnce(_ type: Opcode, _ bytes: UnsafeRawBufferPointer, _ update: Update) {
        guard unsafe rare == nil, let connection = unsafe uncounted else {
            return unsafe session?.sendAtOnce(type, bytes) ?? ()
        }
        // Sending ends no connection.
        let isDue = unsafe connection._withUnsafeGuaranteedRef { connection in
            unsafe connection.send(type, bytes)
            return update == .due || update == .dueIfBehind && connection.stream.unsentBytes > 0
        }
        if isDue { session?.update() }
    }

    /// Passes a message to the reactor at the lowest cost, because this is done for each one.
    private func pass(_ type: Opcode, _ body: MessageBody) {
        _ = link.remote?.run { [self] _ in session?.send(type, body) }
    }

    /// Records how much is unsent at the end of a turn, or when a backlog begins.
    ///
    /// Lets waiting senders continue if there is room.
    func settled(_ unsent: Unsent) {
        let hasWaiting = state.withLock { state in
            state.setUnsent(unsent)
            return state.hasSenders || state.hasPartSender
        }
        if hasWaiting { _ = sent(0, unsent: nil) }
    }

    /// Records that the reactor has taken `count` posted bytes; `unsent` are now in its own queue, `nil`: as many as
    /// before.
    ///
    /// Lets waiting senders continue if there is room.
    ///
    /// - Returns: whether the reactor must tell at the end of the turn how much is unsent.
    func sent(_ count: Int, unsent: Unsent?) -> Bool {
        let turn = turn
        let (admitted, mustWake, hasPartSender, needsUpdate) = state.withLock {
            state -> ([Sender], Bool, Bool, Bool) in
            state.posted = max(0, state.posted - count)
            if let unsent { state.setUnsent(unsent) }
            guard state.readyState == .open, state.hasSenders else {
                return ([], false, state.hasPartSender, state.needsUpdate(limits))
            }
            var admitted: [Sender] = []
            var mustWake = false
            while state.mayAdmit(limits, turn), let sender = state.senders.popFirst() {
                if sender.isInParts {
                    state.outgoing.isInProgress = true
                } else if admit(sender.type, sender.body, &state) {
                    mustWake = true
                }
                admitted.append(sender)
            }
            return (admitted, mustWake, state.hasPartSender, state.needsUpdate(limits))
        }
        if mustWake { link.remote?.wake() }
        for sender in admitted { sender.taken.resume() }
        if hasPartSender { wakePartSender() }
        return needsUpdate
    }

    /// Refuses the waiting senders, because there will be no more room.
    func refuseSenders() {
        let (refused, readyState) = state.withLock { state in
            let senders = state.senders
            if state.hasSenders { state.senders = Fifo() }
            return (senders, state.readyState)
        }
        var senders = refused
        while let sender = senders.popFirst() { sender.taken.resume(throwing: WS.Error.invalidState(readyState)) }
        wakePartSender()
    }

    func close(_ code: CloseCode, reason: String) {
        let before = state.withLock { state in
            defer { if state.readyState == .open { state.readyState = .closing } }
            return state.readyState
        }
        switch before {
        case .connecting: abort()
        case .open:
            refuseSenders()
            run { $0?.close(code, reason: reason) }
        case .closing, .closed: break
        }
    }

    func terminate() {
        if state.withLock({ $0.readyState }) == .connecting { return abort() }
        run { $0?.terminate() }
    }

    /// Ends a socket that nothing refers to any more.
    func abandon() {
        if state.withLock({ $0.readyState }) == .connecting { return abort() }
        run { $0?.close(.goingAway, reason: "") }
    }

    /// Records that there will be no connection.
    func failed(_ error: ConnectError) {
        state.withLock { $0.failure = $0.failure ?? error }
        let reason = WS.HandshakeError(error).description
        let end = CloseEvent(code: .abnormal, reason: "", wasClean: false, cause: .notOpened)
        finished(end, error: (.protocolError, reason))
    }

    /// Ends the wait for the socket to open.
    func giveUp() { if state.withLock({ $0.readyState }) == .connecting { abort() } }

    /// Cancels the connection attempt.
    private func abort() {
        failed(.cancelled)
        link.run(with: ClientOpening.self) { $0?.cancel() }
    }

    /// Begins to connect.
    func connect(to url: WebSocketURL, _ options: ClientOptions) {
        switch ClientReactor.shared {
        case .failure(let error): failed(.unreachable(error))
        case .success(let remote):
            remote.run { [self] reactor in
                let opening = ClientOpening.begin(url, options, on: reactor) { [self] result in
                    link.release(on: reactor)
                    switch result {
                    case .failure(let error): failed(error)
                    case .success(let opened): take(opened)
                    }
                }
                link.bind(opening, on: reactor)
            }
        }
    }

    private func take(_ opened: ClientOpened) {
        // Closed in the meantime: the connection is not reported.
        guard state.withLock({ $0.readyState }) == .connecting else { return opened.stream.reset() }
        let connection = opened.makeWebSocket()
        state.withLock { state in
            state.peer = connection.stream.peer
            state.certificate = connection.stream.peerCertificate
            state.answer = opened.head.fields
        }
        attach(to: connection)
        connection.begin(self)
        self.opened(subprotocol: connection.subprotocol)
    }
}

extension SocketCore.State {
    /// Whether a message may be sent without waiting.
    // Both inlined: otherwise the whole state would be copied.
    @inline(__always)
    fileprivate func hasRoom(_ limits: SocketCore.Limits, _ turn: UInt32) -> Bool {
        !hasSenders && mayAdmit(limits, turn)
    }

    /// Whether a message may be sent, apart from those that wait.
    @inline(__always)
    fileprivate func mayAdmit(_ limits: SocketCore.Limits, _ turn: UInt32) -> Bool {
        posted + unsent(in: turn) <= limits.waitingMark && !isSendingParts
    }
}

extension SocketCore {
    /// Ends the socket with a code that applications may not send.
    func fail(_ code: CloseCode) { close(code, reason: "") }
}
