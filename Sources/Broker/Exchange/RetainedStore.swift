/// What can go wrong with stored messages.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No room: `store.maximum_size` is reached, or the disk is full.
    case full
    /// A configured limit is reached; its name, such as `retained.maximum_messages`.
    case limit(String)
    /// What was read cannot be what was written.
    case damaged(String)
    /// Not now, but soon: the store's file is being opened again.
    case busy(String)
    /// Another process uses the data directory.
    case inUse(String)
    /// A newer version has written the store, which is left as it is: a sentence.
    case newer(String)
    /// The system refused; `code` is an `errno`, or an LMDB code where it is below zero.
    case system(code: Int32, what: String)

    package var description: String {
        switch self {
        case .full: "the store is full"
        case .limit(let name): "the limit \(name) is reached"
        case .damaged(let what): "the store is damaged: \(what)"
        case .busy(let what): "the store is busy: \(what)"
        case .inUse(let what): "the data directory is in use: \(what)"
        case .newer(let what): what
        case .system(_, let what): what
        }
    }

    /// Whether it will be over in a moment, so that who asked asks again.
    package var isBusy: Bool {
        guard case .busy = self else { return false }
        return true
    }
}

/// How much a store holds.
package struct StoreStatistics: Equatable, Sendable {
    /// Retained values, those included that have expired and are not yet removed.
    package var values: Int
    /// The payloads of these values, in bytes.
    package var payloadBytes: Int
    /// What the store takes with everything it needs around the payloads, in bytes.
    package var usedBytes: Int
    /// What ``usedBytes`` may grow to, in bytes.
    package var maximumBytes: Int
    /// Records that could not be read and were skipped, since the store was opened.
    package var damagedRecords: Int
    /// Messages in the history.
    package var historyMessages: Int
    /// The payloads of these messages, in bytes.
    package var historyBytes: Int
    /// How often the store's file was opened again after a failure of the disk.
    package var reopenings: Int
    /// Views that hold the store at one moment.
    package var views: Int
    /// How often a view was ended before its reader was through.
    package var viewsTakenBack: Int
    /// What the store's file spans with what is free in it, in bytes.
    package var fileBytes: Int

    package init(
        values: Int, payloadBytes: Int, usedBytes: Int, maximumBytes: Int, damagedRecords: Int = 0, reopenings: Int = 0,
        historyMessages: Int = 0, historyBytes: Int = 0, views: Int = 0, viewsTakenBack: Int = 0, fileBytes: Int = 0
    ) {
        self.views = views
        self.viewsTakenBack = viewsTakenBack
        self.fileBytes = fileBytes
        self.historyMessages = historyMessages
        self.historyBytes = historyBytes
        self.values = values
        self.payloadBytes = payloadBytes
        self.usedBytes = usedBytes
        self.maximumBytes = maximumBytes
        self.damagedRecords = damagedRecords
        self.reopenings = reopenings
    }
}

/// How a scan ended.
package enum ScanEnd: Equatable, Sendable {
    /// Nothing more matches.
    case finished
    /// There may be more: go on after this topic, which need not match the filter.
    case stopped(after: Topic)
}

/// Where the retained values and the reservation of sequence numbers are kept.
///
/// Readers may call from any thread while the one writer works; they see what was there when their call began.
package protocol RetainedStore: HistoryStore {
    /// A random number made with the store: positions of a store that was replaced have another. 1 to 2⁵³-1.
    var epoch: UInt64 { get }

    /// No message ever had a `seq` above this.
    var reservedSeq: UInt64 { get }

    /// Raises ``reservedSeq``; on disk when it returns. A number that is not higher changes nothing.
    func reserve(seqsUpTo seq: UInt64) throws(StorageError)

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

    /// Sets (or, where the payload is empty, removes) the retained values, in order; all on disk when it returns, or
    /// none.
    ///
    /// Messages that are not ``Message/isRetained`` change no value; those with a ``Message/rule`` are kept in the history.
    /// Values that have expired by `now` are removed on the way, a bounded number each time.
    ///
    /// - Parameters:
    ///   - seq: raises ``reservedSeq`` in the same transaction; `nil`: does not.
    ///   - now: Unix milliseconds, as ``Lifetime/now`` counts them.
    func apply(_ messages: [Message], reserving seq: UInt64?, now: Int64) throws(StorageError)

    /// Writes a little and syncs it, to know that the store takes writes.
    func probe() throws(StorageError)

    /// How much the store holds.
    func statistics() throws(StorageError) -> StoreStatistics
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
