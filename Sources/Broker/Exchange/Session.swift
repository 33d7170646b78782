package import WSTransport

/// One client in its protocol: its subscriptions, and how messages are sent to it.
///
/// A session is not a connection: it may have none for some time, and then a new one. Runs on its reactor's thread.
package protocol Session: AnyObject {
    var client: Client { get }
    /// Its subscriptions, and the messages that they are owed.
    var subscriptions: SubscriptionSet { get }
    /// The connection to send messages to; `nil` if it has none now.
    var connection: StreamConnection? { get }
    /// The lane of its wire form, which never changes; `nil` if it gets each message by ``deliver(_:for:)``.
    var lane: Lane? { get }
    /// The round-trip time of its connection's last PING, in nanoseconds; `nil` if not known.
    var roundTrip: Int64? { get }

    /// Delivers a message to a session without a ``lane``.
    ///
    /// - Parameter subscriptions: the numbers of its subscriptions that match the message.
    func deliver(_ message: Message, for subscriptions: [UInt32])

    /// A publication of this client is refused that nobody was to be told about.
    func publicationRefused(_ refusal: Refusal)

    /// Sends a retained value of a snapshot.
    func sendSnapshot(_ message: Message)

    /// Sends the marker that ends the retained values.
    func sendLive(_ filter: TopicFilter, seq: UInt64)

    /// Tells the client that messages were not delivered and will not be.
    ///
    /// - Parameter isResuming: whether the messages are from before the subscription began.
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool)

    /// Sends a gap for messages that are no longer in any log.
    ///
    /// - Parameter parts: its numbers in each of several logs; `nil`: as the gap says.
    func sendUndone(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts?)

    /// Tells the client that a subscription has ended because the right to it was withdrawn.
    func revoked(_ filter: TopicFilter, _ refusal: Refusal)

    /// Ends the session.
    func end(_ reason: SessionEnd)

    /// Applies the limits of its shard, because the settings have been reloaded.
    func takeOverLimits()

    /// Called when an alarm of the session is due; see ``Shard/wake(_:at:for:)``.
    func timeHasCome(for reason: Alarms.Reason)
}

extension Session {
    /// Ends the session when its credentials have expired.
    package func timeHasCome(for reason: Alarms.Reason) {
        if reason == .expired { end(.unauthenticated("expired")) }
    }

    package func sendUndone(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts?) {
        sendGap(filter, gap, isResuming: true)
    }

    /// Does nothing: it is not called for a session with a lane.
    package func deliver(_ message: Message, for subscriptions: [UInt32]) {}

    /// Whether it takes messages now: its connection is open, or it has none.
    var isTaking: Bool { connection?.isOpen ?? true }

    /// Whether its connection has no unsent bytes.
    var isDrained: Bool { connection.map { $0.unsentBytes == 0 } ?? true }
}

extension Session {
    /// Nobody is told: its publications have completions, or it has none.
    package func publicationRefused(_ refusal: Refusal) {}
}

/// Why the broker ends a session.
package enum SessionEnd: Sendable {
    /// It is too slow; the text says which limit it has reached.
    case slow(String)
    /// The broker cannot serve it; the text says why.
    case failed(String)
    /// The broker is shutting down; the client must reconnect after `retry` milliseconds.
    case restarting(retry: Int)
    /// An administrator or another session ends it; the text says why.
    case kicked(String)
    /// Its credentials are no longer valid: `expired` or `revoked`.
    case unauthenticated(String)
}

extension SessionEnd {
    /// The reason, as the CLOSE frame gives it.
    package var sentence: String {
        switch self {
        case .slow(let text), .failed(let text), .kicked(let text), .unauthenticated(let text): text
        case .restarting(let retry): "retry=\(retry)"
        }
    }
}

/// One subscription as fan-out sees it: the tree's entry.
///
/// It is small, because fan-out reads one for each delivery.
package struct Subscriber: TreeEntry {
    package let subscription: UInt32
    /// The slot of its connection in the reactor's tables; if fan-out asks the session, the session's number.
    let place: UInt32
    /// The number of its lane and its flags, combined so that fan-out compares them in one step.
    let kind: UInt8

    /// A subscription whose messages go to a connection in a lane.
    package init(subscription: UInt32, slot: UInt32, lane: Lane, skipsOwn: Bool) {
        self.subscription = subscription
        place = slot
        kind = lane.number | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    /// A subscription whose session takes messages itself, by ``Session/deliver(_:for:)``.
    package init(subscription: UInt32, askingSession session: UInt32, skipsOwn: Bool) {
        self.subscription = subscription
        place = session
        kind = Self.asksSessionFlag | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    static var skipsOwnFlag: UInt8 { 0x80 }
    static var asksSessionFlag: UInt8 { 0x40 }

    /// The kind without the flag for skipping own messages.
    var road: UInt8 { kind & ~Self.skipsOwnFlag }

    /// Whether it gets every matching message, in its lane.
    var isPlain: Bool { kind < Self.asksSessionFlag }

    /// Whether it skips its own client's publications.
    package var skipsOwn: Bool { kind & Self.skipsOwnFlag != 0 }

    /// Whether its session takes each message itself.
    var asksSession: Bool { kind & Self.asksSessionFlag != 0 }
}

/// A wire format of messages: encodes the bytes that its clients are sent for a message.
///
/// A format is a conformer and its registration (``Shard/register(_:of:)``). Runs on its reactor's thread.
package protocol WireForm: AnyObject {
    /// Encodes a live message, once for all clients of this format; `nil` if they are not sent it.
    ///
    /// - Parameter lane: the lane that its bytes belong to (``Reactor/encode(lane:_:)``).
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment?
}

/// Identifies one ``WireForm`` of a reactor; the bytes of a lane are contiguous in a turn's memory.
package struct Lane: Hashable, Sendable {
    /// The reactor's number for it, above 0.
    package let number: UInt8

    /// How many lanes a shard may have.
    static let maximum = 63
}

extension StreamConnection {
    /// Adopts whether the subscriptions tolerate lag, after some have ended.
    ///
    /// What they have left unsent must not close the connection now, for example when the answer is sent. It stays
    /// tolerant then, until the client subscribes or unsubscribes again.
    func loseTolerance(of set: SubscriptionSet) { toleratesLag = set.toleratesLag || toleratesLag && isOverfull }
}
