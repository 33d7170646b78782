/// A subscription's request to resume.
struct Resume {
    let filter: TopicFilter
    /// The number after which messages were missed.
    let since: UInt64
    /// The position of the subscription.
    let seq: UInt64
    /// The messages that the client has, if one number cannot say it.
    var parts: ResumeParts?
    /// The place at which the log continued, if the client has received later messages than ``since`` that are no
    /// longer in any log; otherwise 0.
    var undoneUpTo: UInt64 = 0
    /// The number up to which changes of ephemeral values are no longer remembered; 0 if all are.
    var forgotten: UInt64 = 0
    /// The retained values, which are sent if messages are missing; `nil` if they are not wanted.
    var snapshot: Snapshot?

    /// Whether the client has a message.
    func has(_ message: Message) -> Bool { message.seq <= since || parts?.has(message) ?? false }
}

/// The messages that a session that is behind is still owed, and how far it has got.
///
/// Messages are sent in one pass, in the order of their numbers, for all subscriptions. When a subscription asks for
/// older messages, the pass goes back, and skips those that other subscriptions have already delivered
/// (``Subscription/brought``).
final class Ledger {
    /// Everything due up to this number has been sent.
    var cursor: UInt64
    /// Whether messages after the cursor are kept, so that the store delivers them.
    var isOwed = false
    /// ``HistorySummary/lossMark`` when losses were last searched; `nil` if they have not been.
    var lossMark: UInt64?
    /// Subscriptions that were replaced or ended while they were owed messages; kept until those have been sent.
    var ended: [Subscription] = []
    /// A lower bound of the number at which the next gap ends.
    var nextGap: UInt64 = .max
    /// Whether a subscription may have a gap that was merged with another (``Subscription/hasWideGap``).
    var hasWideGaps = false
    /// Subscriptions whose losses are not known yet.
    var unexamined: [Resume] = []
    /// Subscriptions that get retained values before their messages.
    var showing: [Resume] = []
    /// An action to run after subscriptions have ended.
    struct Ending {
        let seq: UInt64
        /// The filters of the subscriptions that end.
        let filters: [TopicFilter]
        let body: () -> Void
    }
    /// In the order of their numbers; each runs when everything owed up to its number has been sent.
    var endings: [Ending] = []
    /// An index of all subscriptions, followed by ``ended``; created when it is needed.
    var index: FilterIndex? { didSet { searches = 0 } }
    /// How often all subscriptions were searched without an index.
    var searches = 0
    /// The broker's own figures that have changed; their newest values are sent when the session becomes live.
    var figures: Set<Topic> = []
    /// Whether this turn has already sent the session what it was owed before the end of a subscription.
    var hasSettled = false

    /// How many subscriptions have begun or ended.
    private var steps: UInt64 = 0

    init(cursor: UInt64) { self.cursor = cursor }

    /// Returns the next step.
    ///
    /// A subscription that resumes at a later step than another one ended gets the messages of that one again.
    func step() -> UInt64 {
        steps += 1
        return steps
    }

    /// Whether a subscription has ended since a step.
    ///
    /// One that resumes now gets its messages again, one that has resumed before the step does not.
    func hasEnd(after step: UInt64) -> Bool { ended.contains { $0.over > step } }

    /// Takes the actions that are due when everything up to `seq` has been sent.
    func takeEndings(upTo seq: UInt64) -> ArraySlice<Ending> {
        guard let first = endings.first, first.seq <= seq else { return [] }
        let taken = endings.prefix { $0.seq <= seq }
        endings.removeFirst(taken.count)
        return taken
    }

    /// Takes the actions for a group of ended subscriptions, one of which has this filter and is about to begin again.
    func takeEndings(of filter: TopicFilter) -> [Ending] {
        guard endings.contains(where: { $0.filters.contains(filter) }) else { return [] }
        defer { endings.removeAll { $0.filters.contains(filter) } }
        return endings.filter { $0.filters.contains(filter) }
    }

    /// Removes the retained values of a subscription that has ended.
    func removeValues(of filter: TopicFilter) {
        showing.removeAll { $0.filter == filter }
        for place in unexamined.indices where unexamined[place].filter == filter { unexamined[place].snapshot = nil }
    }

    /// Stops searching for losses of a subscription that has ended.
    ///
    /// - Returns: the number after which its losses are unknown; `nil` if all are known.
    func removeResumes(of filter: TopicFilter) -> UInt64? {
        defer { unexamined.removeAll { $0.filter == filter } }
        return unexamined.filter { $0.filter == filter }.map(\.since).min()
    }
}
