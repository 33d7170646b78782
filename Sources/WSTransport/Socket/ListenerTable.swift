/// The listeners of a socket.
struct ListenerTable {
    /// One listener.
    struct Entry {
        let isOnce: Bool
        let body: WebSocket.Listener
    }

    private var entries: [(event: WebSocket.Event, token: WebSocket.Token, entry: Entry)] = []
    private var last: UInt64 = 0

    var isEmpty: Bool { entries.isEmpty }

    func count(of event: WebSocket.Event) -> Int { entries.count { $0.event == event } }

    func first(_ event: WebSocket.Event) -> WebSocket.Listener? { entries.first { $0.event == event }?.entry.body }

    func all(_ event: WebSocket.Event) -> [WebSocket.Listener] {
        entries.filter { $0.event == event }.map(\.entry.body)
    }

    mutating func add(_ event: WebSocket.Event, _ entry: Entry, first: Bool) -> WebSocket.Token {
        last += 1
        let token = WebSocket.Token(number: last)
        entries.insert((event, token, entry), at: first ? 0 : entries.count)
        return token
    }

    /// Removes a listener; returns the event it was for.
    mutating func remove(_ token: WebSocket.Token) -> WebSocket.Event? {
        guard let index = entries.firstIndex(where: { $0.token == token }) else { return nil }
        return entries.remove(at: index).event
    }

    /// Removes all listeners of an event; returns how many there were.
    mutating func removeAll(_ event: WebSocket.Event) -> Int {
        let before = entries.count
        entries.removeAll { $0.event == event }
        return before - entries.count
    }

    mutating func removeAll() { entries = [] }

    /// The listeners to call for `event` now; those that are called only once are removed.
    mutating func take(_ event: WebSocket.Event) -> [WebSocket.Listener] {
        let bodies = entries.filter { $0.event == event }.map(\.entry.body)
        entries.removeAll { $0.event == event && $0.entry.isOnce }
        return bodies
    }
}
