internal import Synchronization

/// Adding and removing listeners.
extension SocketCore {
    func add(
        _ event: WebSocket.Event, _ entry: ListenerTable.Entry, first: Bool, for socket: WebSocket
    ) -> WebSocket.Token {
        let token = state.withLock { state in
            let token = state.listeners.add(event, entry, first: first)
            if let earlier = state.unheard.removeValue(forKey: event) { state.happenings.append(earlier) }
            // Whoever is told of the end is kept until then; afterwards there is nothing to be kept for.
            let isOver = state.ended != nil && state.happenings.isEmpty && !state.isTelling
            if !isOver { state.anchor = socket }
            if event == .message, !state.hasReaders {
                // What came before anybody listened is for the first who does.
                var earlier = Fifo<Happening>()
                while let message = state.messages.popFirst() { earlier.append(.payload(.message(message))) }
                state.happenings.prepend(earlier)
            }
            return token
        }
        if event != .newListener { emit(.newListener(event), for: socket) }
        tell()
        return token
    }

    func remove(_ token: WebSocket.Token, for socket: WebSocket) {
        let event = state.withLock { state in
            let event = state.listeners.remove(token)
            if state.listeners.isEmpty { state.anchor = nil }
            return event
        }
        if let event, event != .removeListener { emit(.removeListener(event), for: socket) }
    }

    func removeAll(_ events: [WebSocket.Event], for socket: WebSocket) {
        for event in events {
            let count = state.withLock { state in
                let count = state.listeners.removeAll(event)
                if state.listeners.isEmpty { state.anchor = nil }
                return count
            }
            guard event != .removeListener else { continue }
            for _ in 0..<count { emit(.removeListener(event), for: socket) }
        }
    }

    func first(_ event: WebSocket.Event) -> WebSocket.Listener? { state.withLock { $0.listeners.first(event) } }

    @discardableResult
    func emit(_ payload: WebSocket.Payload, for socket: WebSocket) -> Bool {
        let hasListeners = state.withLock { state in
            guard state.listeners.count(of: payload.event) > 0 else { return false }
            state.happenings.append(.payload(payload))
            return true
        }
        if hasListeners { tell() }
        return hasListeners
    }
}

extension WebSocket.Event {
    /// Whether it comes once at most, so that one who listens a moment later is told of it all the same.
    var happensOnce: Bool { self == .open || self == .error || self == .close }
}
