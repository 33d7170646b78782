internal import Synchronization

/// The events of a socket, and how to listen to them.
extension WebSocket {
    /// The events of a socket.
    public enum Event: String, CaseIterable, Sendable {
        /// A client's handshake is complete; a server's socket is open from the start.
        case open
        /// A text or binary message has arrived.
        case message
        /// The socket has ended; this event occurs once, as the last one.
        case close
        /// An error has ended the socket; `close` follows.
        case error
        /// The peer's PING, which has been answered.
        case ping
        /// The peer's PONG.
        case pong
        /// A listener was added.
        case newListener
        /// A listener was removed.
        case removeListener
    }

    /// How a socket ended.
    public struct EventInfo: Sendable {
        /// The socket.
        public let target: WebSocket
        /// `error` or `close`.
        public let type: Event
        /// The close code (RFC 6455 §7.1.5).
        ///
        /// For `close`, it is the code of the peer's Close frame, or else of our own; 1005 if the frame had none, 1006
        /// if no frame arrived.
        ///
        /// For `error`, it is 1002 after a failed handshake, 1001 after a lost connection, and otherwise the code of
        /// the violation.
        public let code: CloseCode
        /// The reason given with the code; may be empty.
        public let reason: String
        /// Whether both sides sent a Close frame.
        public let wasClean: Bool
        /// What ended the socket; more precise than the code.
        public let endReason: EndReason
    }

    /// The argument of a listener.
    public enum Payload: Sendable {
        case open
        case message(WebSocketMessage)
        case close(EventInfo)
        case error(EventInfo)
        case ping([UInt8])
        case pong([UInt8])
        case newListener(Event)
        case removeListener(Event)

        /// The event that the payload belongs to.
        public var event: Event {
            switch self {
            case .open: .open
            case .message: .message
            case .close: .close
            case .error: .error
            case .ping: .ping
            case .pong: .pong
            case .newListener: .newListener
            case .removeListener: .removeListener
            }
        }

        /// The message of a `message` event; `nil` for others.
        public var message: WebSocketMessage? { if case .message(let message) = self { message } else { nil } }

        /// The details of an `error` or `close` event; `nil` for others.
        public var info: EventInfo? {
            switch self {
            case .close(let info), .error(let info): info
            default: nil
            }
        }
    }

    /// Identifies a listener, for its removal.
    public struct Token: Hashable, Sendable {
        let number: UInt64
    }

    /// A function that is called with events.
    ///
    /// The listeners of a socket run one at a time, in the order of the events, and for one event in the order in which
    /// they were added. They run on Swift's threads unless ``UpgradeOptions/executor`` says otherwise. While a listener
    /// is suspended, the peer waits.
    public typealias Listener = @Sendable (Payload) async -> Void

    /// A function that is called with messages.
    typealias MessageListener = @Sendable (WebSocketMessage) async -> Void

    // MARK: Adding and removing

    /// Adds a listener after the others.
    ///
    /// A listener that is added after `open`, `error` or `close` has occurred is still called, if no other listener
    /// was.
    @discardableResult
    public func on(_ event: Event, _ listener: @escaping Listener) -> Token {
        core.add(event, ListenerTable.Entry(isOnce: false, body: .event(listener)), first: false, for: self)
    }

    /// Adds a listener; the same as ``on(_:_:)-(Event,_)``.
    @discardableResult
    public func addListener(_ event: Event, _ listener: @escaping Listener) -> Token { on(event, listener) }

    /// Adds a listener for each of these events.
    @discardableResult
    public func on(_ listeners: [Event: Listener]) -> [Token] { listeners.map { on($0.key, $0.value) } }

    /// Adds a listener that is called once.
    @discardableResult
    public func once(_ event: Event, _ listener: @escaping Listener) -> Token {
        core.add(event, ListenerTable.Entry(isOnce: true, body: .event(listener)), first: false, for: self)
    }

    /// Adds a listener before the others.
    @discardableResult
    public func prependListener(_ event: Event, _ listener: @escaping Listener) -> Token {
        core.add(event, ListenerTable.Entry(isOnce: false, body: .event(listener)), first: true, for: self)
    }

    /// Adds a listener that is called once, before the others.
    @discardableResult
    public func prependOnceListener(_ event: Event, _ listener: @escaping Listener) -> Token {
        core.add(event, ListenerTable.Entry(isOnce: true, body: .event(listener)), first: true, for: self)
    }

    /// Removes a listener; does nothing if it was already removed.
    public func off(_ token: Token) { core.remove(token, for: self) }

    /// Removes a listener; the same as ``off(_:)-(Token)``.
    public func removeListener(_ token: Token) { off(token) }

    /// The listeners of an event, in the order in which they are called.
    public func listeners(_ event: Event) -> [Listener] { core.state.withLock { $0.listeners.all(event) } }

    /// Removes all listeners of an event.
    public func off(_ event: Event) { core.removeAll([event], for: self) }

    /// Removes all listeners of these events.
    public func removeAllListeners(_ events: [Event] = Event.allCases) { core.removeAll(events, for: self) }

    /// The number of listeners of an event.
    public func listenerCount(_ event: Event) -> Int { core.state.withLock { $0.listeners.count(of: event) } }

    /// The events that have listeners.
    public var eventNames: [Event] {
        core.state.withLock { state in Event.allCases.filter { state.listeners.count(of: $0) > 0 } }
    }

    /// Calls the listeners of an event as if it had occurred, after earlier events; returns `false` if there are none.
    @discardableResult
    public func emit(_ payload: Payload) -> Bool { core.emit(payload, for: self) }

    // MARK: One listener each

    /// Called when the socket opens.
    ///
    /// Reading returns the first listener; setting replaces all of them.
    public var onopen: (@Sendable () async -> Void)? {
        get {
            guard let listener = core.first(.open) else { return nil }
            return { await listener(.open) }
        }
        set {
            guard let body = newValue else { return replace(.open, nil) }
            replace(.open) { _ in await body() }
        }
    }

    /// Called for each message.
    ///
    /// Reading returns the first listener; setting replaces all of them.
    public var onmessage: (@Sendable (WebSocketMessage) async -> Void)? {
        get {
            guard let listener = core.first(.message) else { return nil }
            return { await listener(.message($0)) }
        }
        set {
            core.removeAll([.message], for: self)
            guard let body = newValue else { return }
            _ = core.add(
                .message, ListenerTable.Entry(isOnce: false, body: .message(body)), first: false, for: self)
        }
    }

    /// Called when the socket has ended.
    ///
    /// Reading returns the first listener; setting replaces all of them.
    public var onclose: (@Sendable (EventInfo) async -> Void)? {
        get {
            guard let listener = core.first(.close) else { return nil }
            return { await listener(.close($0)) }
        }
        set {
            guard let body = newValue else { return replace(.close, nil) }
            replace(.close) { if case .close(let info) = $0 { await body(info) } }
        }
    }

    /// Called with the error that ends the socket.
    ///
    /// Reading returns the first listener; setting replaces all of them.
    public var onerror: (@Sendable (EventInfo) async -> Void)? {
        get {
            guard let listener = core.first(.error) else { return nil }
            return { await listener(.error($0)) }
        }
        set {
            guard let body = newValue else { return replace(.error, nil) }
            replace(.error) { if case .error(let info) = $0 { await body(info) } }
        }
    }

    private func replace(_ event: Event, _ listener: Listener?) {
        core.removeAll([event], for: self)
        if let listener { on(event, listener) }
    }
}
