/// What one subscription is shown before it is live, when all that is due up to it has been sent: the retained values,
/// the end marker.
struct Beginning {
    /// Of the subscription.
    let number: UInt32
    let filter: TopicFilter
    /// The position of the subscription: what is numbered after it is not part of this.
    let seq: UInt64
    /// The retained values; `nil`: none are to be shown, or no more.
    var snapshot: Snapshot?
}
