internal import WSTransport

/// A publication on its way to its sequence number.
package struct Draft {
    /// What must hold of the retained value for the publication to be accepted.
    package enum Condition: Sendable, Equatable {
        case none
        /// Its `seq` is one of these; an empty list stands for any.
        case matches([UInt64])
        /// There is none.
        case absent
        /// There is one.
        case present
    }

    /// Which acknowledgement the publisher waits for.
    package enum Acknowledgement: Sendable {
        /// That it is on its way to the subscribers.
        case routed
        /// That it is on disk, where it is to be stored at all.
        case stored
    }

    package var topic: Topic
    package var payload: [UInt8]
    package var kind: Message.Kind
    package var contentType: String?
    /// What else goes along; `nil`: nothing.
    package var properties: MessageProperties?
    package var isRetained = false
    /// The topic's value until the broker ends, and never on disk: one of the broker's own figures.
    package var isVolatile = false
    /// How long it lives, in milliseconds; `nil`: for ever.
    package var timeToLive: Int64?
    package var condition = Condition.none
    package var acknowledgement = Acknowledgement.routed
    package var origin: UInt64 = 0
    /// The connection to pause while other reactors cannot keep up; ``Shard/publish(_:from:)`` sets it.
    var source: StreamConnection?
    /// Called once on the shard's reactor; `nil`: nobody waits.
    package var completion: ((Result<Receipt, Refusal>) -> Void)?

    package init(topic: Topic, payload: [UInt8], kind: Message.Kind) {
        self.topic = topic
        self.payload = payload
        self.kind = kind
    }

    /// What a client publishes, in one piece: what is put together step by step is copied on its way.
    init(
        topic: Topic, payload: [UInt8], kind: Message.Kind, contentType: String? = nil, isRetained: Bool,
        timeToLive: Int64? = nil, condition: Condition = .none, acknowledgement: Acknowledgement,
        completion: ((Result<Receipt, Refusal>) -> Void)? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.kind = kind
        self.contentType = contentType
        self.isRetained = isRetained
        self.timeToLive = timeToLive
        self.condition = condition
        self.acknowledgement = acknowledgement
        self.completion = completion
    }
}

/// What became of an accepted publication.
package struct Receipt: Sendable, Equatable {
    package let seq: UInt64
    /// Whether it is on disk.
    package let isStored: Bool
}
