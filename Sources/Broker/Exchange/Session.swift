package import WSTransport

/// One client in its protocol: what it subscribes to, and how it is sent what is due to it.
///
/// A client is not a connection: a session may have none for a time, and several may follow one another. Runs on its reactor's
/// thread.
package protocol Session: AnyObject {
    var client: Client { get }
    /// What it subscribes to, and what is under way for it.
    var subscriptions: SubscriptionSet { get }
    /// Where it is sent what is due to it; `nil`: it has no connection now.
    var connection: StreamConnection? { get }
    /// How messages look on its connection, which then stays the same; `nil`: it has each message itself by
    /// ``deliver(_:for:)``.
    var lane: Lane? { get }
    /// The round-trip time of its connection's last PING, in nanoseconds; `nil`: not known.
    var roundTrip: Int64? { get }

    /// Takes a message that is due to it, where it has no ``lane``.
    ///
    /// - Parameter subscriptions: the numbers of those of its subscriptions that ask for the message.
    func deliver(_ message: Message, for subscriptions: [UInt32])

    /// Sends a retained value of a snapshot.
    func sendSnapshot(_ message: Message)

    /// Sends the marker that ends the retained part.
    func sendLive(_ filter: TopicFilter, seq: UInt64)

    /// Says that messages were not delivered and will not be.
    ///
    /// - Parameter isResuming: they came before the subscription began.
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool)

    /// Says that a subscription has ended, as its right has been taken away.
    func revoked(_ filter: TopicFilter, _ refusal: Refusal)

    /// Ends it.
    func end(_ reason: SessionEnd)

    /// The settings have been read again: its limits are those of its shard now.
    func takeOverLimits()

    /// A time that it was waiting for has come; see ``Shard/wake(_:at:for:)``.
    func timeHasCome(for reason: Alarms.Reason)
}

extension Session {
    /// Ends where nothing else is to be done.
    package func timeHasCome(for reason: Alarms.Reason) {
        if reason == .expired { end(.unauthenticated("expired")) }
    }

    /// Never called where there is a lane.
    package func deliver(_ message: Message, for subscriptions: [UInt32]) {}

    /// Whether it takes messages now: a connection that is open, or none at all.
    var isTaking: Bool { connection?.isOpen ?? true }

    /// Whether its connection has taken everything.
    var isDrained: Bool { connection.map { $0.unsentBytes == 0 } ?? true }
}

/// Why the broker ends a session.
package enum SessionEnd: Sendable {
    /// It does not take what it is sent; what is too much is said.
    case slow(String)
    /// The broker cannot serve it; why is said.
    case failed(String)
    /// The broker ends, and is expected to be there again after so many milliseconds.
    case restarting(retry: Int)
    /// Somebody else wants it to end; why is said.
    case kicked(String)
    /// Its credentials do not hold any more: `expired`, or `revoked`.
    case unauthenticated(String)
}
