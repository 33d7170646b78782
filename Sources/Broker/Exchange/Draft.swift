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
        /// The value has this `seq`, expired or not, and no newer one has been set; `nil`: the store has had to remove it
        /// already.
        case expired(UInt64?)
        /// There is none on disk; the value is ephemeral, and lives as long as the lease.
        case ephemeral(Lease)
        /// There is an ephemeral one with this `seq`, whose lease has ended.
        case ended(UInt64)
    }

    /// What the publisher waits for.
    package enum Acknowledgement: Sendable {
        /// Until it is on its way to the subscribers.
        case routed
        /// Until it is on disk, if it is to be stored at all.
        case stored
    }

    package var topic: Topic
    package var payload: [UInt8]
    package var kind: Message.Kind
    package var contentType: String?
    /// Its other properties; `nil`: none.
    package var properties: MessageProperties?
    package var isRetained = false
    /// Its time to live, in milliseconds; `nil`: no limit.
    package var timeToLive: Int64?
    package var condition = Condition.none
    package var acknowledgement = Acknowledgement.routed
    /// What it is recognised by if it is published again; `nil`: it is not.
    package var key: PublishKey?
    package var origin: UInt64 = 0
    /// The connection to pause while other reactors cannot keep up; ``Shard/publish(_:from:)`` sets it.
    var source: StreamConnection?
    /// Called once on the shard's reactor; `nil`: the publisher does not wait.
    package var completion: ((Result<Receipt, Refusal>) -> Void)?

    /// Whether there is a condition; comparing conditions would compare their lists.
    var isConditional: Bool {
        if case .none = condition { false } else { true }
    }
}

// Not in the structure itself: where it has an initialiser of its own, what that makes is copied on its way out. What is put
// together step by step is, too.
extension Draft {
    /// A publication of so much.
    package init(topic: Topic, payload: [UInt8], kind: Message.Kind) {
        self.init(topic: topic, payload: payload, kind: kind, isRetained: false)
    }

    /// The removal of a retained value that has expired, which is announced like any other.
    static func expiry(of value: ExpiredValue) -> Draft {
        Draft(
            topic: value.topic, payload: [], kind: .binary, isRetained: true,
            condition: .expired(value.isGone ? nil : value.seq))
    }

    /// What is particular about its message.
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
