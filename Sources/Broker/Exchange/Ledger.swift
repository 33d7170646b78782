/// A subscription that asked for what came before it.
struct Resume {
    let filter: TopicFilter
    /// The number after which messages were missed.
    let since: UInt64
    /// The position of the subscription.
    let seq: UInt64
    /// The retained values, which are shown where something is missing; `nil`: they are not wanted.
    var snapshot: Snapshot?
}

/// What is due to a session that is behind, and its progress.
///
/// The messages come in one pass in the order of their numbers, however many subscriptions they are for. Where one asks
/// for older messages the pass goes back, and what the others have had is left out (``Subscription/brought``).
final class Ledger {
    /// Everything due up to this number has been sent.
    var cursor: UInt64
    /// Whether messages after the cursor are kept, so that the store delivers them.
    var isOwed = false
    /// ``HistorySummary/lossMark`` when losses were last searched; `nil`: never.
    var lossMark: UInt64?
    /// Subscriptions that were replaced or ended while something was due, until that has been sent.
    var ended: [Subscription] = []
    /// No gap ends before this number.
    var nextGap: UInt64 = .max
    /// Subscriptions whose losses are not known yet.
    var unexamined: [Resume] = []
    /// Subscriptions that get retained values before the messages.
    var showing: [Resume] = []
    /// Called when everything due up to a number has been sent.
    struct Ending {
        let seq: UInt64
        /// The numbers of the ending subscriptions.
        let filters: [TopicFilter]
        let body: () -> Void
    }
    /// The actions that follow the ends of subscriptions, in order.
    var endings: [Ending] = []
    /// An index of all subscriptions and then ``ended``, made when needed.
    var index: FilterIndex?
    /// The broker's own figures that have changed meanwhile; the newest are sent when the session is live.
    var figures: Set<Topic> = []
    /// Whether this turn sent the session what was due before the end of a subscription.
    var hasSettled = false

    /// How often a subscription began or ended.
    private var steps: UInt64 = 0

    init(cursor: UInt64) { self.cursor = cursor }

    /// The next step: what a subscription asks for at a later one than another has ended is not what that has brought.
    func step() -> UInt64 {
        steps += 1
        return steps
    }

    /// Takes what follows when everything up to `seq` has been sent.
    func takeEndings(upTo seq: UInt64) -> ArraySlice<Ending> {
        guard let first = endings.first, first.seq <= seq else { return [] }
        let taken = endings.prefix { $0.seq <= seq }
        endings.removeFirst(taken.count)
        return taken
    }

    /// Takes what follows the ends of subscriptions, one of which is about to begin again.
    func takeEndings(of filter: TopicFilter) -> [Ending] {
        guard endings.contains(where: { $0.filters.contains(filter) }) else { return [] }
        defer { endings.removeAll { $0.filters.contains(filter) } }
        return endings.filter { $0.filters.contains(filter) }
    }

    /// Shows a subscription that is over no values any more.
    func removeValues(of filter: TopicFilter) {
        showing.removeAll { $0.filter == filter }
        for place in unexamined.indices where unexamined[place].filter == filter { unexamined[place].snapshot = nil }
    }

    /// Looks for no losses of a subscription that is over.
    ///
    /// - Returns: the number after which nothing is known of what it has missed; `nil`: all is.
    func removeResumes(of filter: TopicFilter) -> UInt64? {
        defer { unexamined.removeAll { $0.filter == filter } }
        return unexamined.filter { $0.filter == filter }.map(\.since).min()
    }
}
