/// A retained value whose time to live has passed.
package struct ExpiredValue: Equatable, Sendable {
    package let topic: Topic
    package let seq: UInt64
    /// Whether the store has already removed it for want of room.
    package var isGone = false

    package init(topic: Topic, seq: UInt64, isGone: Bool = false) {
        self.topic = topic
        self.seq = seq
        self.isGone = isGone
    }
}

/// How a scan ended.
package enum ScanEnd: Equatable, Sendable {
    /// Nothing more matches.
    case finished
    /// There may be more: continue after this topic, which need not match the filter.
    case stopped(after: Topic)
}

/// The store of retained values, as the broker reads it.
///
/// Readers may call it from any thread while the one writer works; they see the state at the beginning of their call.
package protocol RetainedStore: AnyObject, Sendable {
    /// The retained value of `topic`; `nil` if there is none or it has expired.
    ///
    /// - Parameter now: Unix milliseconds.
    func value(of topic: Topic, now: Int64) throws(StorageError) -> Message?

    /// Passes `body` the retained values that match, in the store's key order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - position: continue after this topic; `nil`: from the start.
    ///   - maximum: the maximum number of keys to visit, matching or not; at least one is visited.
    ///   - now: Unix milliseconds; values that have expired by then are left out.
    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd

    /// A view of what is committed now; throws ``StorageError/busy(_:)`` if there are too many views.
    func view() throws(StorageError) -> any RetainedView
}

/// The retained values at one moment; after the store has taken the view back, the current ones.
///
/// Values that are replaced or removed meanwhile keep their room in the store, so views must be short-lived. Used by
/// one thread at a time.
package protocol RetainedView: AnyObject, Sendable {
    /// As ``RetainedStore/scan(_:after:visiting:now:_:)``.
    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd
}

/// The limits on retained values.
package struct RetainedLimits: Equatable, Sendable {
    /// `retained.maximum_messages`; `nil`: unlimited.
    package var maximumMessages: Int?
    /// `retained.maximum_bytes`, of payload; `nil`: unlimited.
    package var maximumBytes: Int?

    package init(maximumMessages: Int? = nil, maximumBytes: Int? = nil) {
        self.maximumMessages = maximumMessages
        self.maximumBytes = maximumBytes
    }

    /// Refuses a change that raises the totals above a limit.
    ///
    /// A change that does not raise them is always allowed, so under a lowered limit values can still be replaced and
    /// removed.
    func check(messages: Int, payloadBytes: Int, addingMessage: Bool, addingBytes: Int) throws(StorageError) {
        if addingMessage, let maximumMessages, messages > maximumMessages {
            throw .limit("retained.maximum_messages")
        }
        if addingBytes > 0, let maximumBytes, payloadBytes > maximumBytes {
            throw .limit("retained.maximum_bytes")
        }
    }
}
