internal import WSTransport

/// A publication that has no sequence number yet.
package struct Draft {
    /// A condition on the retained value for accepting the publication.
    package enum Condition: Sendable, Equatable {
        case none
        /// Its `seq` is one of these; an empty list means any.
        case matches([UInt64])
        /// There is none.
        case absent
        /// There is one.
        case present
        /// The value has this `seq`, expired or not, and no newer one has been set; `nil` if the store has already
        /// removed it for want of room.
        case expired(UInt64?)
        /// There is none on disk; the new value is ephemeral, and lives as long as the lease.
        case ephemeral(Lease)
        /// There is an ephemeral one with this `seq`, whose lease has ended.
        case ended(UInt64)
    }

    /// What the publisher waits for before it is answered.
    package enum Acknowledgement: Sendable {
        /// The message is on its way to the subscribers.
        case routed
        /// The message is on disk, if it must be stored at all.
        case stored
    }

    /// The message, which remains when it gets a number.
    private(set) var message: Message
    /// The parts that most drafts do not have; `nil` if there are none.
    private var terms: Terms?
    package var acknowledgement: Acknowledgement
    /// The token of the connection to pause while other reactors cannot keep up; set by ``Shard/publish(_:by:from:)``.
    ///
    /// Not the connection itself: that would count references twice for each publication.
    var source = Self.noSource
    /// Called once on the shard's reactor; `nil` if the publisher does not wait.
    package var completion: ((Result<Receipt, Refusal>) -> Void)?

    /// A token that no connection has.
    static var noSource: UInt64 { .max }

    /// An object, so that a draft without it is small.
    private final class Terms {
        var timeToLive: Int64?
        var condition: Condition
        var key: PublishKey?

        init(_ timeToLive: Int64?, _ condition: Condition, _ key: PublishKey?) {
            (self.timeToLive, self.condition, self.key) = (timeToLive, condition, key)
        }
    }

    /// Inlined: most parts are known where it is made.
    @inline(__always)
    init(
        _ message: Message, timeToLive: Int64? = nil, condition: Condition = .none,
        acknowledgement: Acknowledgement = .routed, key: PublishKey? = nil,
        completion: ((Result<Receipt, Refusal>) -> Void)? = nil
    ) {
        self.message = message
        let isConditional = if case .none = condition { false } else { true }
        terms = timeToLive == nil && !isConditional && key == nil ? nil : Terms(timeToLive, condition, key)
        self.acknowledgement = acknowledgement
        self.completion = completion
    }

    /// Makes a draft with a copy of the payload.
    package init(
        topic: Topic, payload: [UInt8], kind: Message.Kind, contentType: String? = nil,
        properties: MessageProperties? = nil, isRetained: Bool = false, timeToLive: Int64? = nil,
        condition: Condition = .none, acknowledgement: Acknowledgement = .routed, key: PublishKey? = nil,
        origin: UInt64 = 0, completion: ((Result<Receipt, Refusal>) -> Void)? = nil
    ) {
        let message = Message(
            topic: topic, payload: payload, kind: kind, contentType: contentType, properties: properties,
            isRetained: isRetained, seq: 0, time: 0, origin: origin)
        self.init(
            message, timeToLive: timeToLive, condition: condition, acknowledgement: acknowledgement, key: key,
            completion: completion)
    }
}

extension Draft {
    package var topic: Topic { message.topic }
    package var payload: Message.Payload { message.payload }
    package var kind: Message.Kind {
        get { message.kind }
        set { message.set(kind: newValue) }
    }
    package var contentType: String? {
        get { message.contentType }
        set { message.set(contentType: newValue) }
    }
    /// Its other properties; `nil` if there are none.
    package var properties: MessageProperties? {
        get { message.properties }
        set { message.set(properties: newValue) }
    }
    package var isRetained: Bool {
        get { message.isRetained }
        set { message.set(isRetained: newValue) }
    }
    package var origin: UInt64 {
        get { message.origin }
        set { message.set(origin: newValue) }
    }
    /// Its time to live, in milliseconds; `nil` for no limit.
    package var timeToLive: Int64? {
        get { terms?.timeToLive }
        set { changeTerms { $0.timeToLive = newValue } }
    }
    package var condition: Condition {
        get { terms?.condition ?? .none }
        set { changeTerms { $0.condition = newValue } }
    }
    /// The key by which a repetition is recognised; `nil` if it has none.
    package var key: PublishKey? {
        get { terms?.key }
        set { changeTerms { $0.key = newValue } }
    }

    /// Changes its terms, which a copy of the draft keeps as they are.
    private mutating func changeTerms(_ body: (Terms) -> Void) {
        let new = Terms(timeToLive, condition, key)
        body(new)
        terms = new
    }

    /// Whether it has neither a time to live, nor a condition, nor a key.
    var isPlain: Bool { terms == nil }

    /// Whether there is a key; cheaper than reading it, which counts references.
    var hasKey: Bool { terms != nil && key != nil }

    /// Whether there is a condition; cheaper than `!=`, which would compare lists.
    var isConditional: Bool {
        guard let terms else { return false }
        return if case .none = terms.condition { false } else { true }
    }

    /// The slot of the connection that it came from; `.max` if there is none.
    var sourceSlot: UInt32 { UInt32(truncatingIfNeeded: source) }

    /// A draft that removes an expired retained value and announces that, like any message.
    static func expiry(of value: ExpiredValue) -> Draft {
        Draft(
            topic: value.topic, payload: [], kind: .binary, isRetained: true,
            condition: .expired(value.isGone ? nil : value.seq))
    }

    /// The lease of an ephemeral value; `nil` for other drafts.
    var lease: Lease? {
        guard case .ephemeral(let lease) = condition else { return nil }
        return lease
    }

    /// The nature of its message.
    var nature: Message.Nature {
        switch condition {
        case .expired: .expiry
        case .ephemeral: .ephemeral
        case .ended: payload.isEmpty ? .ephemeral : .farewell
        case .none, .matches, .absent, .present: .plain
        }
    }
}

/// The result of an accepted publication.
package struct Receipt: Sendable, Equatable {
    package let seq: UInt64
    /// Whether it is on disk.
    package let isStored: Bool
}
