/// The store of messages.
///
/// A batch changes values, history and reservation together, so one type conforms to all three. Readers use the
/// protocol that they need: ``RetainedStore``, ``HistoryStore`` or ``NumberStore``.
package protocol MessageStore: RetainedStore, HistoryStore, NumberStore {
    /// Sets (or, if the payload is empty, removes) the retained values, in order; all are on disk when it returns, or
    /// none.
    ///
    /// Messages that are not ``Message/isRetained`` change no value; those that a rule keeps go into the history. If
    /// there is no room, values that have expired by `now` are removed, a bounded number each time.
    ///
    /// - Parameters:
    ///   - seq: the number to raise ``reservedSeq`` to in the same transaction; `nil`: unchanged.
    ///   - now: Unix milliseconds by the clock of ``Lifetime/now``.
    func apply(_ entries: [StoreEntry], reserving seq: UInt64?, now: Int64) throws(StorageError)

    /// The same for messages from an order that several brokers share, with the position reached, in one transaction.
    ///
    /// The history is complete up to that position, and ephemeral values are stored, too. Nothing is removed for want
    /// of room, because the other brokers would not remove it.
    func apply(_ entries: [StoreEntry], reaching mark: OrderMark, now: Int64) throws(StorageError)

    /// The last mark that ``apply(_:reaching:now:)`` was given; `nil` if there was none.
    func orderMark() throws(StorageError) -> OrderMark?

    /// The ephemeral values that ``apply(_:reaching:now:)`` has stored.
    func ephemerals() throws(StorageError) -> [StoreEntry]

    /// Takes over the epoch of the brokers that share an order, in place of its own.
    func adopt(epoch: UInt64)

    /// When the next of the values expires that ``expired(by:atMost:)`` has not returned as gone, in Unix milliseconds;
    /// `.max` if none does.
    var nextExpiry: Int64 { get }

    /// Values that have expired by `now` and are not yet removed by messages, earliest expiry first; then values that
    /// the store has removed for want of room, each of which is returned once.
    ///
    /// - Parameter maximum: the maximum number of values that are not gone.
    func expired(by now: Int64, atMost maximum: Int) throws(StorageError) -> [ExpiredValue]

    /// The stored keys that are not too old, in the order of their messages' numbers.
    func keys() throws(StorageError) -> [StoredKey]

    /// Keeps keys for this many milliseconds from now on.
    func adopt(keyWindow: Int64)

    /// Writes and syncs a small record, to find out whether the store takes writes.
    func probe() throws(StorageError)

    /// The size of the store's content.
    func statistics() throws(StorageError) -> StoreStatistics
}

/// The position that one broker has reached in an order that several brokers share.
package struct OrderMark: Sendable, Equatable {
    /// The state from which the order continues there.
    package let state: [UInt8]
    /// The number of the newest message.
    package let seq: UInt64

    package init(state: [UInt8], seq: UInt64) { (self.state, self.seq) = (state, seq) }

    /// With what a state of several logs begins; the highest number by which others know a message follows (8 bytes,
    /// big-endian).
    static let severalLogs: UInt8 = 0x80

    /// The highest number by which others know a message; not less than ``seq``.
    package var highest: UInt64 {
        guard state.count >= 9, state[0] == Self.severalLogs else { return seq }
        return max(seq, state.span.bigEndian(at: 1))
    }
}

extension MessageStore {
    package func apply(_ entries: [StoreEntry], reaching mark: OrderMark, now: Int64) throws(StorageError) {
        try apply(entries.filter { !$0.message.isEphemeral }, reserving: mark.seq, now: now)
    }
    package func orderMark() throws(StorageError) -> OrderMark? { nil }
    package func ephemerals() throws(StorageError) -> [StoreEntry] { [] }
    package func adopt(epoch: UInt64) {}
    package func keys() throws(StorageError) -> [StoredKey] { [] }
    package func adopt(keyWindow: Int64) {}
    package var nextExpiry: Int64 { .max }
    package func expired(by now: Int64, atMost maximum: Int) throws(StorageError) -> [ExpiredValue] { [] }
}

/// A message to store: as its topic's value, in the history, or both.
package struct StoreEntry: Sendable {
    package let message: Message
    /// The rule that keeps it; `nil` if it does not go into the history.
    package let rule: HistoryRule?
    /// The key by which a repetition of it is recognised; `nil` if it has none.
    package let key: PublishKey?
    /// What is to become of an ephemeral value of a log at the end of its publisher; `nil`: it is removed at once.
    package let lease: Lease?

    package init(_ message: Message, keptBy rule: HistoryRule? = nil, key: PublishKey? = nil, lease: Lease? = nil) {
        self.message = message
        self.rule = rule
        self.key = key
        self.lease = lease
    }
}

/// The size of a store's content.
package struct StoreStatistics: Equatable, Sendable {
    /// The number of retained values, including those that have expired and are not removed yet.
    package var values: Int
    /// The size of the payloads of these values, in bytes.
    package var payloadBytes: Int
    /// The size of the store, including everything around the payloads, in bytes.
    package var usedBytes: Int
    /// The limit of ``usedBytes``, in bytes.
    package var maximumBytes: Int
    /// How many records could not be read and were skipped, since the store was opened.
    package var damagedRecords: Int
    /// The number of messages in the history.
    package var historyMessages: Int
    /// The size of the payloads of these messages, in bytes.
    package var historyBytes: Int
    /// How often the store's file was opened again after the disk failed.
    package var reopenings: Int
    /// How many views hold the store now.
    package var views: Int
    /// How often a view was taken back before its reader had finished.
    package var viewsTakenBack: Int
    /// The size of the store's file including free pages, in bytes.
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

/// Where the reservation of sequence numbers is stored, so that none is used twice.
package protocol NumberStore: AnyObject, Sendable {
    /// A random number made with the store, so that a position in another store is recognised. 1 to 2⁵³-1.
    var epoch: UInt64 { get }

    /// No message has ever had a higher `seq`.
    var reservedSeq: UInt64 { get }

    /// Raises ``reservedSeq``; on disk when it returns. A number that is not higher changes nothing.
    func reserve(seqsUpTo seq: UInt64) throws(StorageError)

    /// Records that everything numbered is settled and that `seq` was the last number, so that the next start finds no
    /// hole in the history and continues with the next number. If it is `nil`, that is not known, and all reserved
    /// numbers count as used.
    func seal(upTo seq: UInt64?) throws(StorageError)
}

/// Errors of the store.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No room: `store.maximum_size` is reached, or the disk is full.
    case full
    /// A configured limit is reached; the value is its name, such as `retained.maximum_messages`.
    case limit(String)
    /// The data read is not the data that was written.
    case damaged(String)
    /// Temporary: the store's file is being opened again.
    case busy(String)
    /// Another process uses the data directory.
    case inUse(String)
    /// A newer version of the broker has written the store, which is left unchanged; the value is a sentence.
    case newer(String)
    /// The system reported an error; `code` is an `errno`, or an LMDB code if it is negative.
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

    /// Whether it is temporary, so that the caller should try again.
    package var isBusy: Bool {
        guard case .busy = self else { return false }
        return true
    }
}
