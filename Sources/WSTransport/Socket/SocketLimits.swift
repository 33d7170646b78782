extension SocketCore {
    /// Values that do not change during the socket's life.
    ///
    /// Shared by all sockets of a handler: an idle one holds a reference.
    final class Limits: Sendable {
        /// The maximum number of received bytes that have not been read; beyond it the peer is not read.
        let held: Int
        /// The maximum number of sent bytes that the system has not accepted; beyond it a message is refused.
        let unsent: Int
        /// The number of these bytes above which a sender that can wait must wait.
        let waitingMark: Int
        /// Whether a message beyond ``unsent`` ends the socket; otherwise only the message is refused.
        let closesSlowReaders: Bool
        /// Whether listeners and closures run on the connection's thread; otherwise on Swift's threads.
        let runsOnReactor: Bool
        /// Whether messages are delivered in parts, as they arrive.
        let receivesParts: Bool
        /// What a server's closures are run with; `nil` for other sockets.
        let reception: (any AnyObject & Sendable)?

        init(
            held: Int = 1024 * 1024, unsent: Int = 1024 * 1024, closesSlowReaders: Bool = false,
            runsOnReactor: Bool = false, receivesParts: Bool = false
        ) {
            self.held = held
            self.unsent = unsent
            self.closesSlowReaders = closesSlowReaders
            self.runsOnReactor = runsOnReactor
            self.receivesParts = receivesParts
            waitingMark = min(unsent, 64 * 1024)
            reception = nil
        }

        /// The same values, for the closures of a server.
        init(_ other: Limits, reception: any AnyObject & Sendable) {
            held = other.held
            unsent = other.unsent
            closesSlowReaders = other.closesSlowReaders
            runsOnReactor = other.runsOnReactor
            receivesParts = other.receivesParts
            waitingMark = other.waitingMark
            self.reception = reception
        }
    }
}
