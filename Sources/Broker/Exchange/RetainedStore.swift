/// How a scan ended.
package enum ScanEnd: Equatable, Sendable {
    /// Nothing more matches.
    case finished
    /// There may be more: go on after this topic, which need not match the filter.
    case stopped(after: Topic)
}

/// Where the retained values are: what the broker reads of them.
///
/// Readers may call from any thread while the one writer works; they see what was there when their call began.
package protocol RetainedStore: AnyObject, Sendable {
    /// The retained value of `topic`, or `nil` when there is none or it has expired.
    ///
    /// - Parameter now: Unix milliseconds.
    func value(of topic: Topic, now: Int64) throws(StorageError) -> Message?

    /// Shows `body` the retained values that match, in the store's key order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - position: go on after this topic; `nil`: from the start.
    ///   - maximum: the most keys to look at, matching or not; at least one is.
    ///   - now: Unix milliseconds; values that have expired by then are left out.
    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd

    /// What is committed now, and stays to be read; busy where there are too many of them.
    func view() throws(StorageError) -> any RetainedView
}

/// The retained values as they were at one moment, unless the store takes them back: then as they are.
///
/// Values that are replaced or removed meanwhile keep their room in the store, so nobody has them for long.
/// One thread at a time uses it.
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

    /// Refuses what takes the totals over a limit; what does not make them larger is always allowed.
    ///
    /// So a limit that was lowered below what is there lets values be replaced and removed.
    func check(messages: Int, payloadBytes: Int, addingMessage: Bool, addingBytes: Int) throws(StorageError) {
        if addingMessage, let maximumMessages, messages > maximumMessages {
            throw .limit("retained.maximum_messages")
        }
        if addingBytes > 0, let maximumBytes, payloadBytes > maximumBytes {
            throw .limit("retained.maximum_bytes")
        }
    }
}
