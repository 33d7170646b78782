/// The listeners of a socket.
struct ListenerTable {
    /// One listener.
    struct Entry: Sendable {
        /// What it is called with.
        enum Body: Sendable {
            case event(WebSocket.Listener)
            case message(WebSocket.MessageListener)
        }

        let isOnce: Bool
        let body: Body

        /// The listener of any event.
        var listener: WebSocket.Listener {
            switch body {
            case .event(let listener): listener
            case .message(let listener): { if case .message(let message) = $0 { await listener(message) } }
            }
        }
    }

    private var entries: [(event: WebSocket.Event, token: WebSocket.Token, entry: Entry)] = []
    private var last: UInt64 = 0
    /// The number of listeners for messages, which each message asks for.
    private(set) var messageCount = 0
    /// The listener for messages, if there is one and it stays.
    private(set) var soleForMessages: Entry?

    var isEmpty: Bool { entries.isEmpty }

    func count(of event: WebSocket.Event) -> Int { entries.count { $0.event == event } }

    func first(_ event: WebSocket.Event) -> WebSocket.Listener? {
        entries.first { $0.event == event }?.entry.listener
    }

    func all(_ event: WebSocket.Event) -> [WebSocket.Listener] {
        entries.filter { $0.event == event }.map(\.entry.listener)
    }

    mutating func add(_ event: WebSocket.Event, _ entry: Entry, first: Bool) -> WebSocket.Token {
        last += 1
        let token = WebSocket.Token(number: last)
        entries.insert((event, token, entry), at: first ? 0 : entries.count)
        noteMessageListeners()
        return token
    }

    /// Removes a listener; returns the event it was for.
    mutating func remove(_ token: WebSocket.Token) -> WebSocket.Event? {
        guard let index = entries.firstIndex(where: { $0.token == token }) else { return nil }
        defer { noteMessageListeners() }
        return entries.remove(at: index).event
    }

    /// Removes all listeners of an event; returns how many there were.
    mutating func removeAll(_ event: WebSocket.Event) -> Int {
        let before = entries.count
        entries.removeAll { $0.event == event }
        noteMessageListeners()
        return before - entries.count
    }

    mutating func removeAll() { self = ListenerTable(last: last) }

    init() {}

    private init(last: UInt64) { self.last = last }

    /// The listeners to call for `event` now; those that are called only once are removed.
    mutating func take(_ event: WebSocket.Event) -> [Entry] {
        let bodies = entries.filter { $0.event == event }.map(\.entry)
        entries.removeAll { $0.event == event && $0.entry.isOnce }
        noteMessageListeners()
        return bodies
    }

    private mutating func noteMessageListeners() {
        messageCount = count(of: .message)
        soleForMessages = messageCount == 1 ? entries.first { $0.event == .message }?.entry : nil
        if soleForMessages?.isOnce == true { soleForMessages = nil }
    }
}
