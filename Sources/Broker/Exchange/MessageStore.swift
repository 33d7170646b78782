/// All that is kept of messages.
///
/// A batch changes values, history and reservation together, so one conformer has all three. What only reads takes the part
/// that it reads: ``RetainedStore``, ``HistoryStore`` or ``NumberStore``.
package protocol MessageStore: RetainedStore, HistoryStore, NumberStore {
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
