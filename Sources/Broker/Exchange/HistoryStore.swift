/// How a reading of the history ended.
package enum HistoryEnd: Equatable, Sendable {
    /// There is nothing more up to the requested number.
    case finished
    /// There may be more after this number.
    case stopped(after: UInt64)
}

/// The store of messages that are kept for clients that return.
///
/// ``MessageStore/apply(_:reserving:now:)`` stores the messages that a rule keeps, and removes those beyond the rule's
/// limits, a bounded number each time.
package protocol HistoryStore: AnyObject, Sendable {
    /// Applies the rules to messages from `seq` on.
    ///
    /// ``maintain(now:)`` applies the new limits to existing messages.
    func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError)

    /// Records that a message that a rule keeps is lost; written with the next commit.
    func lose(_ seq: UInt64)

    /// Records that a message that a rule keeps is in memory only.
    ///
    /// The next start, however this process ends, then assumes that messages are missing from this number on.
    func forgo(from seq: UInt64)

    /// Announces messages that may have to be kept, before they are numbered and delivered.
    ///
    /// A crash before they are settled may lose some that subscribers have seen. Does not wait for the disk.
    func expectKept(_ count: Int)

    /// Whether it is recorded that a crash loses no message; ``expectKept(_:)`` takes that back.
    var isAtRest: Bool { get }

    /// Settles some of the announced messages: they are on disk, or lost, or no rule keeps them.
    func settleKept(_ count: Int)

    /// Records for the next start that a crash from now on loses no message, unless an announced one is not settled.
    func rest()

    /// Removes messages that are too old, a bounded number; returns `true` if there are more.
    ///
    /// - Parameter now: Unix milliseconds.
    func maintain(now: Int64) throws(StorageError) -> Bool

    /// Passes `body` a consistent view of the committed history.
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

    /// Whether the message with this number is kept.
    func holds(_ seq: UInt64) throws(StorageError) -> Bool

    /// The record of messages removed from `topic`; `nil` if it has no kept message.
    func trim(of topic: Topic) throws(StorageError) -> HistoryTrim?

    /// Passes `body` the topics from which messages after `seq` were removed; `false` if there are more topics.
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

    /// The kept message with this number; `nil` if it is not kept, or cannot be read.
    func message(_ seq: UInt64) throws(StorageError) -> Message?

    /// The number of the newest kept message up to `limit` that was accepted before a time; 0 if there is none.
    ///
    /// - Parameter time: Unix milliseconds.
    func newest(before time: Int64, upTo limit: UInt64) throws(StorageError) -> UInt64

    /// Passes `body` the topics that match and have messages, in the store's key order, until it returns `false`.
    ///
    /// - Parameters:
    ///   - position: the topic after which to continue; `nil`: from the start.
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
