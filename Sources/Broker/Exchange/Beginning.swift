/// What a subscription receives before it is live, after everything that was due before: the retained values
/// and the end marker.
struct Beginning {
    /// The number of the subscription.
    let number: UInt32
    let filter: TopicFilter
    /// The position of the subscription: later messages are not part of this.
    let seq: UInt64
    /// The retained values; `nil`: none are wanted, or all have been sent.
    var snapshot: Snapshot?
}
