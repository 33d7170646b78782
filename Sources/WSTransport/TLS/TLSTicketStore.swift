internal import Synchronization

/// The newest tickets of a client's servers, so that the next connection to one of them needs no certificates.
///
/// A ticket is used once (RFC 8446 §C.4). Any thread.
final class TLSTicketStore: Sendable {
    /// The maximum number of servers whose tickets are kept.
    static let maximum = 256
    /// The maximum number of tickets of one server: this many connections can be resumed at once.
    static let maximumOfServer = 4

    private struct State {
        var tickets: [String: [TLSTicket]] = [:]
        /// The servers, least recently used first.
        var order: [String] = []
    }

    private let state = Mutex(State())

    /// Keeps a ticket of `server`, dropping the oldest if there is no room.
    func put(_ ticket: TLSTicket, of server: String) {
        state.withLock { state in
            if state.tickets[server] == nil {
                state.order.append(server)
                if state.order.count > Self.maximum { state.tickets[state.order.removeFirst()] = nil }
            }
            state.tickets[server, default: []].append(ticket)
            if state.tickets[server, default: []].count > Self.maximumOfServer {
                state.tickets[server]?.removeFirst()
            }
        }
    }

    /// Removes and returns the newest ticket of `server`; `nil` if there is none.
    func take(_ server: String) -> TLSTicket? {
        state.withLock { state in
            guard let ticket = state.tickets[server]?.popLast() else { return nil }
            if state.tickets[server]?.isEmpty == true {
                state.tickets[server] = nil
                state.order.removeAll { $0 == server }
            }
            return ticket
        }
    }
}
