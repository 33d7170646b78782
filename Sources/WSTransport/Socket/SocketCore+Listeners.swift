internal import Synchronization

/// Adding and removing listeners.
extension SocketCore {
    func add(
        _ event: WebSocket.Event, _ entry: ListenerTable.Entry, first: Bool, for socket: WebSocket
    ) -> WebSocket.Token {
        let (token, isHeld, readers) = state.withLock { state -> (WebSocket.Token, Bool, [Reader]) in
            let token = state.listeners.add(event, entry, first: first)
            let wasHeld = state.isCloseHeld
            state.catchUp(event)
            // A socket with a listener is retained until it has ended; after that there is no reason to retain it.
            let isOver =
                state.ended != nil && state.happenings.isEmpty && !state.isTelling && state.isCloseHeld != true
            if !isOver { state.anchor = socket }
            var readers: [Reader] = []
            if event == .message {
                // Messages that arrived before there was a listener are for the first one.
                var earlier = Fifo<Happening>()
                while let message = state.popMessage(of: self) { earlier.append(.message(message)) }
                state.happenings.prepend(earlier)
                readers = state.readers.removeAll()
            }
            return (token, state.isCloseHeld == true && wasHeld != true, readers)
        }
        for reader in readers { reader.resume(throwing: WS.Error.messagesAreListenedTo) }
        if isHeld { releaseCloseSoon() }
        if event != .newListener { emit(.newListener(event), for: socket) }
        tell()
        return token
    }

    /// Reports the end although no listener for the preceding error has been added.
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
            state.keepMessagesUnlessHeard()
            if state.listeners.isEmpty { state.anchor = nil }
            return event
        }
        if let event, event != .removeListener { emit(.removeListener(event), for: socket) }
    }

    func removeAll(_ events: [WebSocket.Event], for socket: WebSocket) {
        for event in events {
            let count = state.withLock { state in
                let count = state.listeners.removeAll(event)
                state.keepMessagesUnlessHeard()
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
            // Those that were added after the end are not known to need it.
            if state.anchor == nil { state.anchor = socket }
            state.happenings.append(Happening(payload))
            return true
        }
        if hasListeners { tell() }
        return hasListeners
    }
}

extension SocketCore.State {
    /// Reports earlier events to the first listener; `close` after `error`, whichever gets a listener first.
    mutating func catchUp(_ event: WebSocket.Event) {
        guard let earlier = unheard[event] else { return }
        if event == .close {
            if holdsClose() { return }
            happenings.append(earlier)
        } else {
            // It happened before the events that are still to be reported, such as the end.
            var missed = Fifo<SocketCore.Happening>()
            missed.append(earlier)
            happenings.prepend(missed)
        }
        unheard[event] = nil
        if event == .error { releaseClose() }
    }

    /// Keeps messages whose listener was removed for the next listener, or for readers.
    mutating func keepMessagesUnlessHeard() {
        if listeners.count(of: .message) == 0 { keepMessages() }
    }

    private mutating func keepMessages() {
        guard hasHappenings else { return }
        var (kept, others) = ([WebSocketMessage](), Fifo<SocketCore.Happening>())
        while let happening = happenings.popFirst() {
            if case .message(let message) = happening {
                kept.append(message)
            } else {
                others.append(happening)
            }
        }
        happenings = others
        for message in kept.reversed() { madeQueue.prepend(message) }
    }

    /// Whether the end must not be reported yet.
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
    /// Whether it occurs at most once, so that a listener that is added a moment later is still called.
    var happensOnce: Bool { self == .open || self == .error || self == .close }
}
