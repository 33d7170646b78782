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

    package var topic: Topic
    package var payload: [UInt8]
    package var kind: Message.Kind
    package var contentType: String?
    /// Its other properties; `nil` if there are none.
    package var properties: MessageProperties?
    package var isRetained = false
    /// Its time to live, in milliseconds; `nil`: no limit.
    package var timeToLive: Int64?
    package var condition = Condition.none
    package var acknowledgement = Acknowledgement.routed
    /// The key by which a repetition is recognised; `nil` if it has none.
    package var key: PublishKey?
    package var origin: UInt64 = 0
    /// The connection to pause while other reactors cannot keep up; set by ``Shard/publish(_:from:)``.
    var source: StreamConnection?
    /// Called once on the shard's reactor; `nil` if the publisher does not wait.
    package var completion: ((Result<Receipt, Refusal>) -> Void)?

    /// Whether there is a key; cheaper than a look at it, which counts references.
    var hasKey: Bool {
        if case .none = key { false } else { true }
    }

    /// Whether there is a condition; cheaper than `!=`, which would compare lists.
    var isConditional: Bool {
        if case .none = condition { false } else { true }
    }
}

// In an extension, because the result of an initialiser in the structure itself is copied when it returns, and so is
// one that is filled in step by step.
extension Draft {
    /// A draft with default values for the other properties.
    package init(topic: Topic, payload: [UInt8], kind: Message.Kind) {
        self.init(topic: topic, payload: payload, kind: kind, isRetained: false)
    }

    /// A draft that removes an expired retained value and announces that, like any message.
    static func expiry(of value: ExpiredValue) -> Draft {
        Draft(
            topic: value.topic, payload: [], kind: .binary, isRetained: true,
            condition: .expired(value.isGone ? nil : value.seq))
    }

    /// That of an ephemeral value.
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
