/// One publication, the same for every subscriber and endpoint.
///
/// Immutable, so every reactor may hold it.
package final class Message: Sendable {
    /// The WebSocket opcode a payload travels in.
    package enum Kind: UInt8, Sendable {
        case text = 1
        case binary = 2
        /// Text that was published as a JSON value and is delivered as one; on a topic socket it is ``text``.
        case json = 3
    }

    package let topic: Topic
    package let payload: [UInt8]
    // The small properties are together, so that a message takes less memory.
    package let kind: Kind
    /// Whether this replaces (or, with an empty payload, removes) the topic's retained value.
    package let isRetained: Bool
    /// Its nature; ``Nature/plain`` for nearly all messages.
    package let nature: Nature
    /// The content type as the publisher gave it.
    package let contentType: String?
    /// The other properties from the publisher; `nil` if there are none.
    package let properties: MessageProperties?
    /// Its place in this broker's order, which is known nowhere else.
    package let seq: UInt64
    /// The number by which clients and other brokers know it: ``seq``, except where several logs give the order.
    package let number: UInt64
    /// When the broker accepted it, in Unix milliseconds.
    package let time: Int64
    /// When it expires, retained or not, in Unix milliseconds; 0 if never.
    package let expiry: Int64
    /// The ``Client/id`` of its publisher; 0 if it is no client or not known, as for a retained value from the disk.
    package let origin: UInt64

    /// The kinds of messages that need special treatment, and plain ones.
    package enum Nature: UInt8, Sendable {
        case plain
        /// The broker removes a retained value with it, because the value has expired.
        case expiry
        /// Sets or removes an ephemeral value, which never goes to disk.
        case ephemeral
        /// Removes an ephemeral value, although it has a payload.
        case farewell
    }

    /// - Parameter number: `nil`: that of its place.
    package init(
        topic: Topic, payload: [UInt8], kind: Kind, contentType: String? = nil,
        properties: MessageProperties? = nil, isRetained: Bool = false, seq: UInt64, number: UInt64? = nil,
        time: Int64, expiry: Int64 = 0, origin: UInt64 = 0, nature: Nature = .plain
    ) {
        self.topic = topic
        self.payload = payload
        self.kind = kind
        self.contentType = contentType
        self.properties = properties
        self.isRetained = isRetained
        self.seq = seq
        self.number = number ?? seq
        self.time = time
        self.expiry = expiry
        self.origin = origin
        self.nature = nature
    }

    /// Whether it removes the topic's retained value.
    package var isRemoval: Bool { isRetained && (payload.isEmpty || nature == .farewell) }

    /// Whether the broker removes a retained value with it, because the value has expired.
    package var isExpiry: Bool { nature == .expiry }

    /// Whether it sets or removes an ephemeral value.
    package var isEphemeral: Bool { nature.rawValue >= Nature.ephemeral.rawValue }

    /// Its weight for limits and pieces, in bytes: its content and an overhead.
    package var weight: Int {
        Self.overhead &+ payload.count &+ topic.name.utf8.count &+ (contentType?.utf8.count ?? 0)
            &+ (properties?.weight ?? 0)
    }

    private static let overhead = 128

    /// Whether it had expired at `now`, in Unix milliseconds.
    package func isExpired(at now: Int64) -> Bool { Self.isExpired(expiry, at: now) }

    /// The same for a message whose ``expiry`` is known.
    package static func isExpired(_ expiry: Int64, at now: Int64) -> Bool { expiry != 0 && expiry <= now }
}
