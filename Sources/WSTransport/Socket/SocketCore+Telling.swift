internal import Synchronization

/// Calling the listeners.
extension SocketCore {
    /// Starts a task that calls the listeners, unless one is running.
    func tell() {
        let (socket, isOver) = state.withLock { state -> (WebSocket?, Bool?) in
            if let socket = state.beginTelling() { return (socket, nil) }
            return (nil, state.tellNobody() ? state.ended != nil : nil)
        }
        if let socket { return tell(socket) }
        guard let isOver else { return }
        if isOver { WS.forget(self) }
        serveReaders()
        noticeCatchingUp()
    }

    func tell(_ socket: WebSocket) {
        guard limits.runsOnReactor, let remote = link.remote else {
            Task { await self.tellAll(of: socket) }
            return
        }
        if remote.isCurrentThread, let reactor = connection?.stream.reactor {
            reactor.tellers.tell(socket, on: remote)
        } else {
            Task(executorPreference: remote) { await self.tellAll(of: socket) }
        }
    }

    /// Calls the listeners until there are no more events.
    nonisolated(nonsending) func tellAll(of socket: WebSocket) async {
        var held = 0
        while let telling = nextTelling(releasing: held) {
            switch telling {
            case .message(let message, .message(let listener)):
                held = message.held
                await listener(message)
            case .message(let message, .event(let listener)):
                held = message.held
                await listener(.message(message))
            case .happening(let happening, let listeners):
                held = Self.size(happening)
                let payload = socket.payload(of: happening)
                for listener in listeners { await listener.listener(payload) }
                if case .close = happening { WS.forget(self) }
            case .later:
                held = 0
                releaseCloseSoon()
            }
        }
        serveReaders()
        noticeCatchingUp()
    }

    /// Gives readers the messages that listeners have left.
    private func serveReaders() {
        while true {
            let served = state.withLock { state -> (reader: Reader, message: WebSocketMessage, hasRoom: Bool)? in
                guard !state.readers.isEmpty, let message = state.popMessage(of: self) else { return nil }
                state.takes()
                let hasRoom = release(message.held, &state)
                return state.readers.popFirst().map { ($0, message, hasRoom) }
            }
            guard let served else { return }
            served.reader.resume(returning: served.message)
            if served.hasRoom { resumeReading() }
        }
    }

    /// The next event and the listeners to call.
    private enum Telling: Sendable {
        /// A message for the only listener, as nearly all events are.
        case message(WebSocketMessage, ListenerTable.Entry.Body)
        case happening(Happening, [ListenerTable.Entry])
        /// The event waits for listeners.
        case later
    }

    /// The next event and its listeners.
    ///
    /// - Parameter bytes: the size of the previous event, which has been handled.
    private func nextTelling(releasing bytes: Int) -> Telling? {
        let (telling, hasRoom) = state.withLock { state -> (Telling?, Bool) in
            let hasRoom = bytes > 0 && release(bytes, &state)
            return (takeTelling(&state), hasRoom)
        }
        if hasRoom { resumeReading() }
        return telling
    }

    private func takeTelling(_ state: inout State) -> Telling? {
        guard let happening = state.happenings.popFirst() else {
            state.isTelling = false
            // After the end no socket is retained for an event that can no longer happen.
            if state.ended != nil, state.isCloseHeld != true {
                state.listeners.removeAll()
                state.anchor = nil
            }
            return nil
        }
        if case .message(let message) = happening {
            state.hasAnswered = false
            if let listener = state.soleMessageListener { return .message(message, listener) }
        }
        if happening.event == .open, state.isOpenKnown { return .happening(happening, []) }
        // There never was a connection: the socket's creator may still be adding listeners.
        if happening.event == .close, state.failure != nil, state.listeners.count(of: .close) > 0, state.holdsClose() {
            state.unheard[.close] = happening
            return .later
        }
        let listeners = state.listeners.take(happening.event)
        state.keepMessagesUnlessHeard()
        if listeners.isEmpty, happening.event.happensOnce { state.unheard[happening.event] = happening }
        return .happening(happening, listeners)
    }
}
