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

/// What is due to a session that is behind, and how far it has come.
///
/// The messages come in one pass in the order of their numbers, however many subscriptions they are for. Where one asks
/// for what came long ago the pass goes back, and what the others have had is left out (``Subscription/brought``).
final class Ledger {
    /// Everything due up to this number has been sent.
    var cursor: UInt64
    /// Whether messages after the cursor are kept, and so for the store to bring.
    var isOwed = false
    /// ``HistorySummary/lossMark`` when losses were last looked for; `nil`: they were not.
    var lossMark: UInt64?
    /// Subscriptions that were replaced or ended while something was due to them, until that has been sent.
    var ended: [Subscription] = []
    /// No gap ends before this number.
    var nextGap: UInt64 = .max
    /// Those of which it is not known yet what is missing.
    var unexamined: [Resume] = []
    /// Those that are shown retained values before the messages.
    var showing: [Resume] = []
    /// What is called when everything due up to a number has been sent.
    struct Ending {
        let seq: UInt64
        /// Those of the subscriptions that end.
        let filters: [TopicFilter]
        let body: () -> Void
    }
    /// What follows the ends of subscriptions, in order.
    var endings: [Ending] = []
    /// Of all subscriptions and then ``ended``, made when it is needed.
    var index: FilterIndex?
    /// Whether the session was given this turn what was due before the end of a subscription.
    var hasSettled = false

    /// How often something was asked for or ended.
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
