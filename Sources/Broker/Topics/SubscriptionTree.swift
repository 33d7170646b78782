/// The tree's entry for one subscription.
package protocol TreeEntry {
    /// A small dense number, unique in the tree while the entry is in it, and reusable afterwards.
    var subscription: UInt32 { get }
}

/// All subscriptions of one reactor, found by the topic of a message.
///
/// Runs on the reactor's thread.
///
/// Filters without wildcards, the usual case, are found by one look-up of the topic's whole name. Filters with
/// wildcards form a trie of levels: `a/+/c` and `a/#` share the node `a`, which has one child `+` and one child `#`
/// beside its named ones. A topic's walk follows at each node the child of its level, the `+` and the `#`; it allocates
/// nothing. Named children of all nodes, and the whole names, are in one hash table (``NodeTable``), so a node needs no
/// dictionary of its own.
///
/// A node keeps its entries in one contiguous array: the caller gets all of it and loops over it. The place of each
/// entry is kept by its subscription number; removing an entry moves the node's last entry into its place. So insertion
/// and removal cost the filter's levels, however many subscribers share the node, and a node that has nothing left is
/// freed.
///
/// The levels from a filter's third `+` on are not nodes, but are compared 64 filters at a time (``TailSet``):
/// otherwise a few thousand filters with many `+` would make a topic's walk visit too many nodes.
///
/// A costly walk is remembered by topic (``MatchMemo``), until a node with wildcards is added or removed.
///
/// A filter costs about 48 bytes for its node, 8 for the table, 8 for the place, and its entries and name.
package struct SubscriptionTree<Entry: TreeEntry>: ~Copyable {
    private struct Place {
        var node: UInt32
        var position: UInt32
    }

    private var table = NodeTable<Entry>()
    private let memo = MatchMemo()
    private let topicLevels = TopicLevels()
    /// The place of each subscription's entry, by its number.
    private var places: ContiguousArray<Place> = []

    /// How many subscriptions there are.
    package private(set) var count = 0
    /// Increases with each change, so that data derived from the tree can be recognised as outdated.
    package private(set) var version: UInt64 = 0

    /// How many nodes the filters use: one for each filter without wildcards, one for each distinct beginning of the
    /// others.
    package var nodeCount: Int { table.count }

    /// Makes a tree without subscriptions.
    package init() {}

    /// Adds a subscription; one of the same number is replaced.
    ///
    /// - Returns: how many filters with more `+` than a topic's walk follows have been added, each counted once.
    @discardableResult
    package mutating func insert(_ entry: Entry, at filter: TopicFilter) -> Int {
        let forked = table.tailCount
        _ = remove(entry.subscription)
        let node = filter.isLiteral ? table.insertLiteral(filter.name) : table.insertWildcard(filter.name)
        let index = Int(entry.subscription)
        while places.count <= index { places.append(Place(node: NodeTable<Entry>.none, position: 0)) }
        places[index] = Place(node: node, position: UInt32(truncatingIfNeeded: table[node].entries.count))
        table[node].entries.append(entry)
        count += 1
        version &+= 1
        return table.tailCount - forked
    }

    /// Removes a subscription and returns its entry; `nil` if there is none with that number.
    package mutating func remove(_ subscription: UInt32) -> Entry? {
        guard let place = place(of: subscription) else { return nil }
        let position = Int(place.position)
        let last = table[place.node].entries.removeLast()
        var removed = last
        if position < table[place.node].entries.count {
            removed = table[place.node].entries[position]
            table[place.node].entries[position] = last
            places[Int(last.subscription)].position = place.position
        }
        places[Int(subscription)].node = NodeTable<Entry>.none
        table.shrinkEntries(of: place.node)
        table.freeIfUnused(place.node)
        count -= 1
        version &+= 1
        return removed
    }

    /// Removes a subscription; returns how many filters with more `+` than a topic's walk follows have been removed.
    package mutating func removeCounting(_ subscription: UInt32) -> Int {
        let forked = table.tailCount
        _ = remove(subscription)
        return forked - table.tailCount
    }

    /// Changes a subscription's entry in place; does nothing if there is none with that number.
    ///
    /// `change` must leave the subscription number as it is.
    package mutating func update(_ subscription: UInt32, _ change: (inout Entry) -> Void) {
        guard let place = place(of: subscription) else { return }
        change(&table[place.node].entries[Int(place.position)])
        assert(table[place.node].entries[Int(place.position)].subscription == subscription)
        version &+= 1
    }

    /// The entry of a subscription; `nil` if there is none with that number.
    package func entry(of subscription: UInt32) -> Entry? {
        guard let place = place(of: subscription) else { return nil }
        return table[place.node].entries[Int(place.position)]
    }

    private func place(of subscription: UInt32) -> Place? {
        let index = Int(subscription)
        guard index < places.count, places[index].node != NodeTable<Entry>.none else { return nil }
        return places[index]
    }

    /// Passes `body` the entries whose filters match `topic`: one call for each such filter, with all its entries.
    ///
    /// The entries are valid during the call, in which the tree must not change. Filters come in no particular order.
    ///
    /// - Returns: the cost, in visited nodes.
    @discardableResult
    package func forEachMatch(of topic: Topic, _ body: (Span<Entry>) -> Void) -> Int {
        let name = topic.name
        let bytes = name.utf8Span.span
        let literal = table.find(bytes, in: 0..<bytes.count, below: NodeTable<Entry>.none)
        if literal != NodeTable<Entry>.none { visit(literal, body) }
        guard table.hasWildcards else { return 0 }
        if let nodes = memo.nodes(of: bytes, version: table.version) {
            for node in nodes { visit(node, body) }
            return nodes.count
        }
        if table.tailCount > 0 { topicLevels.forget() }
        // MQTT-4.7.2-1: at the root, wildcards do not see names that begin with `$`.
        let seesWildcards = bytes[0] != TopicGrammar.dollar
        var cost = 0
        if seesWildcards {
            follow(bytes, from: 0, below: NodeTable<Entry>.root, seesWildcards: true, &cost, body)
        } else {
            follow(bytes, from: 0, below: NodeTable<Entry>.root, seesWildcards: false, &cost, body)
        }
        guard cost >= MatchMemo.minimumCost, memo.isWorthKeeping(bytes) else { return cost }
        var nodes: ContiguousArray<UInt32> = []
        collect(bytes, from: 0, below: NodeTable<Entry>.root, seesWildcards: seesWildcards, &nodes)
        memo.keep(nodes, of: name, version: table.version)
        return cost
    }

    /// The same at the nodes where the walk of `topic` has ended before; makes the walk if they are not known.
    package func forEachMatch(of topic: Topic, at ends: TopicEnds?, _ body: (Span<Entry>) -> Void) -> Int {
        guard let ends, ends.version == version else { return forEachMatch(of: topic, body) }
        for index in 0..<ends.count { visit(ends.nodes[index], body) }
        return ends.count
    }

    /// The only entry at the only node where a walk has ended; `nil` if there are more or none, or that is not known.
    package func onlyEntry(at ends: TopicEnds) -> Entry? {
        guard ends.version == version, ends.count == 1, table[ends.nodes[0]].entries.count == 1 else { return nil }
        return table[ends.nodes[0]].entries[0]
    }

    /// Where the walk of `topic` ends; `nil` if it ends at more nodes than are remembered.
    package func ends(of topic: Topic) -> TopicEnds? {
        let bytes = topic.name.utf8Span.span
        var nodes: ContiguousArray<UInt32> = []
        let literal = table.find(bytes, in: 0..<bytes.count, below: NodeTable<Entry>.none)
        if literal != NodeTable<Entry>.none { nodes.append(literal) }
        if table.hasWildcards {
            if table.tailCount > 0 { topicLevels.forget() }
            let seesWildcards = bytes[0] != TopicGrammar.dollar
            collect(bytes, from: 0, below: NodeTable<Entry>.root, seesWildcards: seesWildcards, &nodes)
        }
        return TopicEnds(nodes, version: version)
    }

    /// The same walk as ``follow(_:from:below:seesWildcards:_:_:)``, collecting the nodes where it ends.
    private func collect(
        _ bytes: Span<UInt8>, from start: Int, below parent: UInt32, seesWildcards: Bool,
        _ nodes: inout ContiguousArray<UInt32>
    ) {
        let end = bytes.endOfLevel(from: start)
        collect(from: table.find(bytes, in: start..<end, below: parent), bytes, end, &nodes)
        guard seesWildcards else { return }
        let single = table[parent].single
        if single < NodeTable<Entry>.tails {
            collect(from: single, bytes, end, &nodes)
        } else if single != NodeTable<Entry>.none {
            _ = table.forEachTail(in: single, matching: topicLevels, at: start, bytes) { nodes.append($0) }
        }
        if table[parent].rest != NodeTable<Entry>.none { nodes.append(table[parent].rest) }
    }

    private func collect(
        from node: UInt32, _ bytes: Span<UInt8>, _ end: Int, _ nodes: inout ContiguousArray<UInt32>
    ) {
        guard node != NodeTable<Entry>.none else { return }
        guard end == bytes.count else {
            return collect(bytes, from: end + 1, below: node, seesWildcards: true, &nodes)
        }
        nodes.append(node)
        if table[node].rest != NodeTable<Entry>.none { nodes.append(table[node].rest) }
    }

    /// Matches the level that begins at `start`, and what follows it, against the children of `parent`.
    private func follow(
        _ bytes: Span<UInt8>, from start: Int, below parent: UInt32, seesWildcards: Bool, _ cost: inout Int,
        _ body: (Span<Entry>) -> Void
    ) {
        cost &+= 1
        let end = bytes.endOfLevel(from: start)
        let named = table.find(bytes, in: start..<end, below: parent)
        if named != NodeTable<Entry>.none { arrive(at: named, bytes, end, &cost, body) }
        guard seesWildcards else { return }
        let (single, rest) = table.wildcards(below: parent)
        // Most nodes have neither, which one comparison finds out.
        guard single & rest != NodeTable<Entry>.none else { return }
        if single < NodeTable<Entry>.tails {
            arrive(at: single, bytes, end, &cost, body)
        } else if single != NodeTable<Entry>.none {
            followTails(single, bytes, from: start, &cost, body)
        }
        visit(rest, body)
    }

    /// Separate from the walk, because otherwise each of its steps would cost more.
    @inline(never)
    private func followTails(
        _ tails: UInt32, _ bytes: Span<UInt8>, from start: Int, _ cost: inout Int, _ body: (Span<Entry>) -> Void
    ) {
        cost &+= table.forEachTail(in: tails, matching: topicLevels, at: start, bytes) { visit($0, body) }
    }

    /// Continues below a node whose level matched the topic up to `end`.
    private func arrive(
        at node: UInt32, _ bytes: Span<UInt8>, _ end: Int, _ cost: inout Int, _ body: (Span<Entry>) -> Void
    ) {
        guard end == bytes.count else {
            return follow(bytes, from: end + 1, below: node, seesWildcards: true, &cost, body)
        }
        visit(node, body)
        // `a/#` includes its parent, `a`.
        visit(table[node].rest, body)
    }

    private func visit(_ node: UInt32, _ body: (Span<Entry>) -> Void) {
        guard node != NodeTable<Entry>.none else { return }
        let entries = table[node].entries.span
        if !entries.isEmpty { body(entries) }
    }

    /// Passes `body` each filter with subscriptions, and their number, in no particular order.
    package func forEachFilter(_ body: (TopicFilter, Int) -> Void) {
        _ = forEachFilter(from: 0, visiting: .max, body)
    }

    /// The same for some places of filters.
    ///
    /// - Parameters:
    ///   - place: 0, or what an earlier call has returned; the tree may have changed since then.
    ///   - visits: how many places are looked at.
    /// - Returns: where to continue; `nil` at the end.
    package func forEachFilter(from place: Int, visiting visits: Int, _ body: (TopicFilter, Int) -> Void) -> Int? {
        table.forEachUsedNode(from: place, visiting: visits) { node, count in body(table.filter(of: node), count) }
    }
}
