/// Finds the filters of a list that match a topic, by index.
///
/// The cost of a look-up depends on the topic, and hardly on the number of filters.
final class FilterIndex {
    private struct Entry: TreeEntry { let subscription: UInt32 }

    private var tree = SubscriptionTree<Entry>()

    init(_ filters: some Sequence<TopicFilter>) {
        for (place, filter) in filters.enumerated() {
            tree.insert(Entry(subscription: UInt32(truncatingIfNeeded: place)), at: filter)
        }
    }

    /// Passes `body` the indices of the filters that match, in no particular order.
    func forEach(matching topic: Topic, _ body: (Int) -> Void) {
        tree.forEachMatch(of: topic) { entries in
            for index in entries.indices { body(Int(entries[index].subscription)) }
        }
    }

    /// Whether a filter matches whose index satisfies `isWanted`.
    func contains(_ topic: Topic, where isWanted: (Int) -> Bool = { _ in true }) -> Bool {
        var isFound = false
        forEach(matching: topic) { if !isFound { isFound = isWanted($0) } }
        return isFound
    }
}
