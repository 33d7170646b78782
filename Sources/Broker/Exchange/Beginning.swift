/// What one subscription is shown before it is live: what it has missed is announced or sent, the retained values, the
/// end marker.
struct Beginning {
    /// Of the subscription.
    let number: UInt32
    let filter: TopicFilter
    /// The position of the subscription: what is numbered after it is not part of this.
    let seq: UInt64
    /// The number after which messages were missed; `nil`: nobody asks for them.
    let since: UInt64?
    /// How far the missed messages have been sent; `nil`: none are to be.
    var replayed: UInt64?
    /// The retained values; `nil`: none are to be shown.
    var snapshot: Snapshot?
    /// Announced before everything else.
    var gap: Gap?
    /// Whether what was missed has been looked into.
    var isChecked: Bool
    /// How much limits had removed from the history when losses were last looked for.
    var checkedTrims: UInt64 = 0
    /// Losses up to this number have been announced.
    var lostUpTo: UInt64 = 0

    /// Shows the retained values and nothing else.
    init(_ number: UInt32, _ snapshot: Snapshot) {
        self.number = number
        filter = snapshot.filter
        seq = snapshot.seq
        self.snapshot = snapshot
        since = nil
        isChecked = true
    }

    /// Brings what came after `since`.
    ///
    /// - Parameter snapshot: shown where something is missing.
    init(_ number: UInt32, _ filter: TopicFilter, since: UInt64, upTo seq: UInt64, snapshot: Snapshot?) {
        self.number = number
        self.filter = filter
        self.seq = seq
        self.since = since
        self.snapshot = snapshot
        replayed = since
        isChecked = false
    }

    /// Brings nothing of what was before, and says so: the point to resume from is none of this store's.
    init(_ number: UInt32, _ filter: TopicFilter, strangerUpTo seq: UInt64, snapshot: Snapshot?) {
        self.number = number
        self.filter = filter
        self.seq = seq
        self.snapshot = snapshot
        since = nil
        gap = Gap(since: 0, seq: seq, missed: nil)
        isChecked = true
    }
}
