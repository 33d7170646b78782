/// Finds those of a list of filters that match a topic, by their places in the list.
///
/// What a look-up costs depends on the topic, and hardly on how many filters there are.
final class FilterIndex {
    private struct Entry: TreeEntry { let subscription: UInt32 }

    private var tree = SubscriptionTree<Entry>()

    init(_ filters: some Sequence<TopicFilter>) {
        for (place, filter) in filters.enumerated() {
            tree.insert(Entry(subscription: UInt32(truncatingIfNeeded: place)), at: filter)
        }
    }

    /// Shows `body` the places of the filters that match, in no particular order.
    func forEach(matching topic: Topic, _ body: (Int) -> Void) {
        tree.forEachMatch(of: topic) { entries in
            for index in entries.indices { body(Int(entries[index].subscription)) }
        }
    }

    /// Whether some filter matches whose place `isWanted` says yes to.
    func contains(_ topic: Topic, where isWanted: (Int) -> Bool = { _ in true }) -> Bool {
        var isFound = false
        forEach(matching: topic) { if !isFound { isFound = isWanted($0) } }
        return isFound
    }
}
