internal import Synchronization

/// What a socket's user asks of its connection.
extension SocketCore {
    /// Passes a message to the reactor.
    func post(_ type: Opcode, _ payload: [UInt8]) throws(WS.Error) {
        let refusal = state.withLock { state -> WS.Error? in
            guard state.readyState == .open else { return .invalidState(state.readyState) }
            guard state.posted + state.unsent <= limits.unsent else { return .tooMuchUnsent(limits.unsent) }
            state.posted += payload.count
            return nil
        }
        if case .tooMuchUnsent = refusal, limits.closesSlowReaders {
            link.run(with: SocketSession.self) { $0?.closeSlow() }
        }
        if let refusal { throw refusal }
        link.run(with: SocketSession.self) { $0?.send(type, payload) }
    }

    /// A message that waits for room.
    struct Sender: Sendable {
        let type: Opcode
        let payload: [UInt8]
        let taken: CheckedContinuation<Result<Void, WS.Error>, Never>
    }

    /// Waits for room, after earlier senders, and then passes a message to the reactor.
    func send(_ type: Opcode, _ payload: [UInt8]) async throws(WS.Error) {
        let result: Result<Void, WS.Error> = await withCheckedContinuation { taken in
            let outcome = state.withLock { state -> Result<Void, WS.Error>? in
                guard state.readyState == .open else { return .failure(.invalidState(state.readyState)) }
                guard state.senders.isEmpty, state.posted + state.unsent <= limits.waitingMark else {
                    state.senders.append(Sender(type: type, payload: payload, taken: taken))
                    return nil
                }
                state.posted += payload.count
                // Under the lock, so that no waiting sender comes in between.
                link.run(with: SocketSession.self) { $0?.send(type, payload) }
                return .success(())
            }
            if let outcome { taken.resume(returning: outcome) }
        }
        try result.get()
    }

    /// The reactor has taken `count` bytes of what was posted; `unsent` are now in its own queue.
    ///
    /// Lets waiting senders continue if there is room.
    func sent(_ count: Int, unsent: Int) {
        let admitted = state.withLock { state -> [Sender] in
            state.posted = max(0, state.posted - count)
            state.unsent = state.ended == nil ? unsent : 0
            guard state.readyState == .open else { return [] }
            var admitted: [Sender] = []
            while state.posted + state.unsent <= limits.waitingMark, let sender = state.senders.popFirst() {
                state.posted += sender.payload.count
                link.run(with: SocketSession.self) { $0?.send(sender.type, sender.payload) }
                admitted.append(sender)
            }
            return admitted
        }
        for sender in admitted { sender.taken.resume(returning: .success(())) }
    }

    /// There will be no more room.
    func refuseSenders() {
        let (refused, readyState) = state.withLock { state in
            defer { state.senders = Fifo() }
            return (state.senders, state.readyState)
        }
        var senders = refused
        while let sender = senders.popFirst() { sender.taken.resume(returning: .failure(.invalidState(readyState))) }
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
            link.run(with: SocketSession.self) { $0?.close(code, reason: reason) }
        case .closing, .closed: break
        }
    }

    func terminate() {
        if state.withLock({ $0.readyState }) == .connecting { return abort() }
        link.run(with: SocketSession.self) { $0?.terminate() }
    }

    /// Nothing refers to the socket any more.
    func abandon() {
        if state.withLock({ $0.readyState }) == .connecting { return abort() }
        link.run(with: SocketSession.self) { $0?.close(.goingAway, reason: "") }
    }

    /// There will be no connection.
    func failed(_ error: ConnectError) {
        state.withLock { $0.failure = $0.failure ?? error }
        let reason = WS.HandshakeError(error).description
        finished(CloseEvent(code: .abnormal, reason: "", wasClean: false), error: (.protocolError, reason))
    }

    /// Ends the waiting for the socket to open.
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
        connection.begin(SocketSession(connection, self))
        self.opened(subprotocol: connection.subprotocol)
    }
}

extension SocketCore {
    /// Ends the socket with a code that applications may not send.
    func fail(_ code: CloseCode) { close(code, reason: "") }
}
