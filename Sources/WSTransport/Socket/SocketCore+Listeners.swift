internal import Synchronization

/// Adding and removing listeners.
extension SocketCore {
    func add(
        _ event: WebSocket.Event, _ entry: ListenerTable.Entry, first: Bool, for socket: WebSocket
    ) -> WebSocket.Token {
        let (token, isHeld) = state.withLock { state in
            let token = state.listeners.add(event, entry, first: first)
            let wasHeld = state.isCloseHeld
            state.catchUp(event)
            // Whoever is told of the end is kept until then; afterwards there is nothing to be kept for.
            let isOver =
                state.ended != nil && state.happenings.isEmpty && !state.isTelling && state.isCloseHeld != true
            if !isOver { state.anchor = socket }
            if event == .message, !state.hasReaders {
                // What came before anybody listened is for the first who does.
                var earlier = Fifo<Happening>()
                while let message = state.messages.popFirst() { earlier.append(.payload(.message(message))) }
                state.happenings.prepend(earlier)
            }
            return (token, state.isCloseHeld == true && wasHeld != true)
        }
        if isHeld { releaseCloseSoon() }
        if event != .newListener { emit(.newListener(event), for: socket) }
        tell()
        return token
    }

    /// Tells of the end although nobody has come to hear of the error before it.
    func releaseCloseSoon() {
        let release = { @Sendable in
            self.state.withLock { $0.releaseClose() }
            self.tell()
        }
        let isPosted = link.remote?.run { $0.run(afterNanoseconds: Self.closePatience, release) } ?? false
        if !isPosted { release() }
    }

    /// How long the end waits for a listener for the error before it, in nanoseconds.
    private static let closePatience: Int64 = 100_000_000

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

extension SocketCore.State {
    /// Tells the first who listens for what has happened already; `close` after `error`, whichever is listened for first.
    mutating func catchUp(_ event: WebSocket.Event) {
        guard let earlier = unheard[event] else { return }
        if event == .close {
            if holdsClose() { return }
            happenings.append(earlier)
        } else {
            // It happened before what is still to be told, the end for one.
            var missed = Fifo<SocketCore.Happening>()
            missed.append(earlier)
            happenings.prepend(missed)
        }
        unheard[event] = nil
        if event == .error { releaseClose() }
    }

    /// Keeps messages whose listener has gone for the next one, or for readers.
    mutating func keepMessages() {
        var (kept, others) = (Fifo<WebSocketMessage>(), Fifo<SocketCore.Happening>())
        while let happening = happenings.popFirst() {
            if case .payload(.message(let message)) = happening {
                kept.append(message)
            } else {
                others.append(happening)
            }
        }
        happenings = others
        if !kept.isEmpty { messages.prepend(kept) }
    }

    /// Whether the end is not to be told yet.
    mutating func holdsClose() -> Bool {
        guard unheard[.error] != nil, isCloseHeld != nil else { return false }
        isCloseHeld = true
        return true
    }

    fileprivate mutating func releaseClose() {
        guard isCloseHeld == true else { return }
        isCloseHeld = nil
        if let close = unheard.removeValue(forKey: .close) { happenings.append(close) }
    }
}

extension WebSocket.Event {
    /// Whether it comes once at most, so that one who listens a moment later is told of it all the same.
    var happensOnce: Bool { self == .open || self == .error || self == .close }
}
