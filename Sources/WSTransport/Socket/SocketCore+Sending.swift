internal import Synchronization

/// What a socket's user asks of its connection.
extension SocketCore {
    /// Hands a message to the reactor.
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

    /// Hands a message to the reactor, and waits for room.
    func send(_ type: Opcode, _ payload: [UInt8]) async throws(WS.Error) {
        let refusal = state.withLock { state -> WS.Error? in
            guard state.readyState == .open else { return .invalidState(state.readyState) }
            state.posted += payload.count
            return nil
        }
        if let refusal { throw refusal }
        let result: Result<Void, WS.Error> = await withCheckedContinuation { sent in
            link.run(with: SocketSession.self) { session in
                guard let session else { return sent.resume(returning: .failure(.invalidState(.closed))) }
                session.send(type, payload, sent)
            }
        }
        try result.get()
    }

    func close(_ code: CloseCode, reason: String) {
        let before = state.withLock { state in
            defer { if state.readyState == .open { state.readyState = .closing } }
            return state.readyState
        }
        switch before {
        case .connecting: abort()
        case .open: link.run(with: SocketSession.self) { $0?.close(code, reason: reason) }
        case .closing, .closed: break
        }
    }

    func terminate() {
        if state.withLock({ $0.readyState }) == .connecting { return abort() }
        link.run(with: SocketSession.self) { $0?.terminate() }
    }

    /// Nobody has the socket any more.
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

    /// Whoever waited for the socket to open does so no longer.
    func giveUp() { if state.withLock({ $0.readyState }) == .connecting { abort() } }

    /// Gives up the connection that is to be.
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
        // Closed in the meantime: nobody is told of a connection any more.
        guard state.withLock({ $0.readyState }) == .connecting else { return opened.stream.reset() }
        let connection = opened.makeWebSocket()
        connection.begin(SocketSession(connection, self))
        self.opened(subprotocol: connection.subprotocol)
    }
}

extension SocketCore {
    /// Ends the socket with a code that no application may send by itself.
    func fail(_ code: CloseCode) { close(code, reason: "") }
}
