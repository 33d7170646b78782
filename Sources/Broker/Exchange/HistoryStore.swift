/// How a reading of the history ended.
package enum HistoryEnd: Equatable, Sendable {
    /// Nothing more up to the number that was asked for.
    case finished
    /// There may be more after this number.
    case stopped(after: UInt64)
}

/// Where messages are kept for those who come back.
///
/// ``MessageStore/apply(_:reserving:now:)`` stores the messages whose ``Message/rule`` says so, and removes what is beyond
/// the rule's limits, a bounded number of messages each time.
package protocol HistoryStore: AnyObject, Sendable {
    /// Takes over the rules for messages from `seq` on.
    ///
    /// What is kept already is brought within the new limits by ``maintain(now:)``.
    func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError)

    /// Takes note that a message that was to be kept will not be; written with the next commit.
    func lose(_ seq: UInt64)

    /// So many messages are about to be numbered and shown that may have to be kept: a crash before they are settled may lose
    /// what somebody has seen. Does not wait for the disk.
    func expectKept(_ count: Int)

    /// So many of the expected messages are on disk, or lost, or were not to be kept.
    func settleKept(_ count: Int)

    /// Notes for the next start, where no expected message waits, that a crash from here on loses none.
    func rest()

    /// Removes what has expired or is too old, a bounded number; `true`: there is more to do.
    ///
    /// - Parameter now: Unix milliseconds.
    func maintain(now: Int64) throws(StorageError) -> Bool

    /// Shows `body` what is committed, as it is at one moment.
    func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result
}

extension HistoryStore {
    package func expectKept(_ count: Int) {}
    package func settleKept(_ count: Int) {}
    package func rest() {}
}

/// The history as it is at one moment, valid within ``HistoryStore/readHistory(_:)``.
package protocol HistoryView {
    /// What is known of it as a whole.
    var summary: HistorySummary { get }

    /// Whether this message is kept.
    func holds(_ seq: UInt64) throws(StorageError) -> Bool

    /// What was removed of `topic`; `nil` where nothing of it is kept.
    func trim(of topic: Topic) throws(StorageError) -> HistoryTrim?

    /// Shows `body` the topics of which messages after `seq` were removed; `false` where there are more of them.
    ///
    /// - Parameter maximum: the most topics to look at.
    func trims(
        after seq: UInt64, visiting maximum: Int, _ body: (Topic, HistoryTrim) -> Void
    ) throws(StorageError) -> Bool

    /// Shows `body` the kept messages of one topic after `seq` and up to `limit`, in order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - maximum: the most messages to look at, at least one.
    ///   - now: Unix milliseconds; messages whose time to live is over by then are left out.
    func messages(
        of topic: Topic, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd

    /// The same of all topics that `isWanted` says yes to.
    func messages(
        where isWanted: (Topic) -> Bool, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd
}
