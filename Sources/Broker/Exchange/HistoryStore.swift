/// How a reading of the history ended.
package enum HistoryEnd: Equatable, Sendable {
    /// Nothing more up to the requested number.
    case finished
    /// There may be more after this number.
    case stopped(after: UInt64)
}

/// Where messages are kept for clients that return.
///
/// ``MessageStore/apply(_:reserving:now:)`` stores the messages that a rule keeps, and removes what is beyond
/// the rule's limits, a bounded number of messages each time.
package protocol HistoryStore: AnyObject, Sendable {
    /// Applies the rules to messages from `seq` on.
    ///
    /// ``maintain(now:)`` brings existing messages within the new limits.
    func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError)

    /// Records that a message that was to be kept is lost; written with the next commit.
    func lose(_ seq: UInt64)

    /// A message that was to be kept is in memory only: the next start, however this process ends, knows nothing of what is
    /// missing from this number on.
    func forgo(from seq: UInt64)

    /// Announces messages that may have to be kept and are about to be numbered and delivered. A crash before they are
    /// settled may lose some that subscribers have seen. Does not wait for the disk.
    func expectKept(_ count: Int)

    /// Whether it is recorded that a crash loses none, which ``expectKept(_:)`` takes back.
    var isAtRest: Bool { get }

    /// Settles some of the announced messages: they are on disk, or lost, or were not to be kept.
    func settleKept(_ count: Int)

    /// Records for the next start, if no announced message waits, that a crash from here on loses none.
    func rest()

    /// Removes messages that are too old, a bounded number; `true`: there is more to do.
    ///
    /// - Parameter now: Unix milliseconds.
    func maintain(now: Int64) throws(StorageError) -> Bool

    /// Passes `body` a consistent view of what is committed.
    func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result
}

extension HistoryStore {
    package func forgo(from seq: UInt64) {}
    package func expectKept(_ count: Int) {}
    package var isAtRest: Bool { false }
    package func settleKept(_ count: Int) {}
    package func rest() {}
}

/// The history as it is at one moment, valid within ``HistoryStore/readHistory(_:)``.
package protocol HistoryView {
    /// Its summary.
    var summary: HistorySummary { get }

    /// Whether this message is kept.
    func holds(_ seq: UInt64) throws(StorageError) -> Bool

    /// What was removed of `topic`; `nil` if nothing of it is kept.
    func trim(of topic: Topic) throws(StorageError) -> HistoryTrim?

    /// Passes `body` the topics of which messages after `seq` were removed; `false`: there are more topics.
    ///
    /// - Parameter maximum: the maximum number of topics.
    func trims(
        after seq: UInt64, visiting maximum: Int, _ body: (Topic, HistoryTrim) -> Void
    ) throws(StorageError) -> Bool

    /// Passes `body` the kept messages of one topic after `seq` and up to `limit`, in order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - maximum: the maximum number of messages to examine, at least one.
    ///   - now: Unix milliseconds; messages that have expired by then are left out.
    func messages(
        of topic: Topic, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd

    /// A kept message; `nil`: it is not kept, or cannot be read.
    func message(_ seq: UInt64) throws(StorageError) -> Message?

    /// The number of the newest kept message up to `limit` that was accepted before a time; 0: there is none.
    ///
    /// - Parameter time: Unix milliseconds.
    func newest(before time: Int64, upTo limit: UInt64) throws(StorageError) -> UInt64

    /// Passes `body` the topics that match and have messages, in the store's key order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - position: continue after this topic; `nil`: from the start.
    ///   - maximum: the maximum number of topics to visit, matching or not.
    func topics(
        matching filter: TopicFilter, after position: Topic?, visiting maximum: Int, _ body: (Topic) -> Bool
    ) throws(StorageError) -> ScanEnd

    /// Passes `body` the numbers of the last messages of a topic up to `limit`, the newest first.
    ///
    /// - Parameter count: the maximum number of messages.
    func last(
        _ count: Int, of topic: Topic, upTo limit: UInt64, _ body: (UInt64) -> Void
    ) throws(StorageError)

    /// The same as ``messages(of:after:upTo:visiting:now:_:)`` for all topics that satisfy `isWanted`.
    func messages(
        where isWanted: (Topic) -> Bool, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd
}
