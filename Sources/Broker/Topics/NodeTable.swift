/// The nodes of a ``SubscriptionTree`` and the hash table that finds one by its parent and its name.
///
/// Nodes are numbered; a freed number is reused. The table uses open addressing with linear probing over node
/// numbers: four bytes a slot, at most three quarters full. Deleting moves later nodes of the run back, so no
/// tombstones remain. Names are hashed with a random seed (``NameHash``), so clients cannot choose names that collide.
struct NodeTable<Entry: TreeEntry>: ~Copyable {
    struct Node {
        /// A level of a filter with wildcards, or the whole name of a filter without.
        var name: String
        var entries: ContiguousArray<Entry> = []
        /// Distinguishes the name from others, a short one completely; see ``NameHash/withMark(_:in:below:)``.
        var mark: UInt64 = 0
        /// The parent's number; ``none`` for the root and for whole names.
        var parent: UInt32
        /// The child `+`; a value from ``tails`` on is the number of the ``TailSet`` in its place, with that bit.
        var single = NodeTable.none
        /// The child `#`.
        var rest = NodeTable.none
        /// How many named children and ends of filters there are, without `+` and `#`.
        ///
        /// The end of a filter has none; for it, this is its place in the ``TailSet`` of its parent, with the bit
        /// ``tails``.
        var children: UInt32 = 0
    }

    /// No node has this number.
    static var none: UInt32 { .max }
    /// How many `+` of a filter are nodes; the levels from the next `+` on are one node, in a ``TailSet``.
    ///
    /// This bounds the nodes that one topic visits: with two, by half the square of its levels for each of them.
    private static var singlesOfAPath: Int { 2 }
    /// Marks the number of a ``TailSet``; no node has a number with this bit.
    static var tails: UInt32 { 0x8000_0000 }
    /// The root of filters with wildcards.
    static var root: UInt32 { 0 }

    private var nodes: ContiguousArray<Node> = [Node(name: "", parent: .max)]
    private var free: ContiguousArray<UInt32> = []
    private var slots = ContiguousArray<UInt32>(repeating: .max, count: 16)
    private var occupied = 0
    /// How many filters have their ends in a ``TailSet``.
    private(set) var tailCount = 0
    private var tailSets: ContiguousArray<TailSet> = []
    private var freeTailSets: ContiguousArray<UInt32> = []
    private let hash = NameHash()
    /// Increases when a node on the path of a filter with wildcards is added or removed.
    private(set) var version: UInt64 = 0

    subscript(node: UInt32) -> Node {
        _read { yield nodes[Int(node)] }
        _modify { yield &nodes[Int(node)] }
    }

    /// The children `+` and `#` of a node, or what is in their places.
    @inline(__always)
    func wildcards(below node: UInt32) -> (single: UInt32, rest: UInt32) {
        let nodes = nodes.span
        return (nodes[Int(node)].single, nodes[Int(node)].rest)
    }

    /// How many nodes are in use, without the root.
    var count: Int { nodes.count - free.count - 1 }

    /// Whether any filter has a wildcard.
    var hasWildcards: Bool { isParent(NodeTable.root) }

    /// Passes `body` the filters' ends that match a topic from the level at `start` on; returns the cost, in steps.
    ///
    /// - Parameter single: the value in place of a node's child `+`, from ``tails`` on.
    func forEachTail(
        in single: UInt32, matching topic: TopicLevels, at start: Int, _ bytes: Span<UInt8>, _ body: (UInt32) -> Void
    ) -> Int {
        let set = Int(single & ~NodeTable.tails)
        // Most topics have another number of levels, and need not be parsed to find that out.
        if !topic.isRead {
            guard tailSets[set].mayHave(levels: bytes.levels(from: start)) else { return 1 }
            topic.read(bytes, hash)
        }
        let first = topic.level(at: start)
        guard tailSets[set].mayHave(levels: topic.count &- first) else { return 1 }
        return tailSets[set].forEachMatch(of: topic, from: first, bytes, body)
    }

    private func isParent(_ node: UInt32) -> Bool {
        (self[node].children > 0 && self[node].children < NodeTable.tails) || self[node].single != NodeTable.none
            || self[node].rest != NodeTable.none
    }

    /// The node named by the bytes in `range` below `parent`, or ``none``.
    func find(_ bytes: Span<UInt8>, in range: Range<Int>, below parent: UInt32) -> UInt32 {
        let (hash, mark) = hash.withMark(bytes, in: range, below: parent)
        return find(bytes, in: range, hash: hash, mark: mark, below: parent)
    }

    private func find(
        _ bytes: Span<UInt8>, in range: Range<Int>, hash: UInt32, mark: UInt64, below parent: UInt32
    ) -> UInt32 {
        let slots = slots.span
        let nodes = nodes.span
        let mask = slots.count &- 1
        var slot = Int(hash) & mask
        while true {
            let number = slots[slot]
            guard number != NodeTable.none else { return number }
            let node = Int(number)
            if nodes[node].mark == mark, nodes[node].parent == parent,
                range.count < 8
                    || self.nodes[node].name.utf8Span.span.hasSameBytes(as: bytes.extracting(range))
            {
                return number
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// The node of a whole name, created if there is none.
    mutating func insertLiteral(_ name: String) -> UInt32 {
        findOrInsert(name, below: NodeTable.none)
    }

    /// The node at the end of a filter's levels, created with the nodes above it if there is none.
    mutating func insertWildcard(_ filter: String) -> UInt32 {
        var node = NodeTable.root
        var singles = 0
        for level in TopicGrammar.levels(of: filter) {
            switch level {
            case "+":
                singles += 1
                if singles > Self.singlesOfAPath { return insertTail(String(filter[level.startIndex...]), below: node) }
                if self[node].single == NodeTable.none { self[node].single = allocate("+", below: node) }
                node = self[node].single
            case "#":
                if self[node].rest == NodeTable.none { self[node].rest = allocate("#", below: node) }
                node = self[node].rest
            default:
                node = findOrInsert(String(level), below: node)
            }
        }
        return node
    }

    /// The node of all levels from the third `+` on, created if there is none.
    private mutating func insertTail(_ tail: String, below head: UInt32) -> UInt32 {
        let children = self[head].children
        let node = findOrInsert(tail, below: head)
        guard self[head].children > children else { return node }
        if self[head].single == NodeTable.none { self[head].single = NodeTable.tails | allocateTails() }
        let place = tailSets[Int(self[head].single & ~NodeTable.tails)].insert(tail, node: node, hash)
        self[node].children = NodeTable.tails | place
        tailCount += 1
        return node
    }

    private mutating func allocateTails() -> UInt32 {
        if let number = freeTailSets.popLast() { return number }
        tailSets.append(TailSet())
        return UInt32(truncatingIfNeeded: tailSets.count - 1)
    }

    /// Removes a node from the ends below its parent; does nothing if it is a level.
    private mutating func removeTail(_ node: UInt32, below head: UInt32) {
        // No level begins with `+`: a level that is just `+` is not a named child.
        guard self[node].name.utf8.first == TopicGrammar.plus else { return }
        let set = self[head].single & ~NodeTable.tails
        tailSets[Int(set)].remove(self[node].name, at: self[node].children & ~NodeTable.tails, hash)
        tailCount -= 1
        guard tailSets[Int(set)].count == 0 else { return }
        tailSets[Int(set)] = TailSet()
        freeTailSets.append(set)
        self[head].single = NodeTable.none
    }

    private mutating func findOrInsert(_ name: String, below parent: UInt32) -> UInt32 {
        let span = name.utf8Span.span
        let (hash, mark) = hash.withMark(span, in: 0..<span.count, below: parent)
        let found = find(span, in: 0..<span.count, hash: hash, mark: mark, below: parent)
        guard found == NodeTable.none else { return found }
        let node = allocate(name, below: parent, mark: mark)
        if parent != NodeTable.none { self[parent].children += 1 }
        if (occupied + 1) * 4 > slots.count * 3 { rehash(to: slots.count * 2) }
        occupied += 1
        place(node)
        return node
    }

    private mutating func allocate(_ name: String, below parent: UInt32, mark: UInt64 = 0) -> UInt32 {
        if parent != NodeTable.none { version &+= 1 }
        let node = Node(name: name, mark: mark, parent: parent)
        if let number = free.popLast() {
            self[number] = node
            return number
        }
        nodes.append(node)
        return UInt32(truncatingIfNeeded: nodes.count - 1)
    }

    private mutating func place(_ node: UInt32) {
        let mask = slots.count - 1
        var slot = Int(hash(of: node)) & mask
        while slots[slot] != NodeTable.none { slot = (slot + 1) & mask }
        slots[slot] = node
    }

    /// It does not depend on the size of the table.
    private func hash(of node: UInt32) -> UInt32 { hash(self[node].name.utf8Span.span, below: self[node].parent) }

    private mutating func rehash(to size: Int) {
        let old = slots
        slots = ContiguousArray(repeating: NodeTable.none, count: size)
        for node in old where node != NodeTable.none { place(node) }
    }

    /// Releases memory of a node that had many entries and now has few.
    mutating func shrinkEntries(of node: UInt32) {
        let count = self[node].entries.count
        let capacity = self[node].entries.capacity
        guard capacity > 64, count < capacity / 4 else { return }
        var smaller = ContiguousArray<Entry>()
        smaller.reserveCapacity(count * 2)
        smaller.append(contentsOf: self[node].entries)
        self[node].entries = smaller
    }

    /// Frees a node without entries and children, and then its parent if nothing else is left of it.
    mutating func freeIfUnused(_ number: UInt32) {
        var node = number
        while node != NodeTable.root, self[node].entries.isEmpty, !isParent(node) {
            let parent = self[node].parent
            if parent != NodeTable.none, self[parent].single == node {
                self[parent].single = NodeTable.none
            } else if parent != NodeTable.none, self[parent].rest == node {
                self[parent].rest = NodeTable.none
            } else {
                takeOut(node)
                if parent != NodeTable.none {
                    removeTail(node, below: parent)
                    self[parent].children -= 1
                }
            }
            self[node] = Node(name: "", parent: NodeTable.none)
            free.append(node)
            if parent != NodeTable.none { version &+= 1 }
            guard parent != NodeTable.none else { return }
            node = parent
        }
    }

    /// Deletes a node from the table and closes the gap.
    private mutating func takeOut(_ node: UInt32) {
        let mask = slots.count - 1
        var gap = Int(hash(of: node)) & mask
        while slots[gap] != node { gap = (gap + 1) & mask }
        var slot = (gap + 1) & mask
        while slots[slot] != NodeTable.none {
            let home = Int(hash(of: slots[slot])) & mask
            // A node may move back to the gap unless its home lies after the gap.
            if (slot - home) & mask >= (slot - gap) & mask {
                slots[gap] = slots[slot]
                gap = slot
            }
            slot = (slot + 1) & mask
        }
        slots[gap] = NodeTable.none
        occupied -= 1
    }

    /// Passes `body` each node of some places that has entries, and their number.
    ///
    /// - Parameter visits: how many places are looked at.
    /// - Returns: the place after them; `nil` at the end.
    func forEachUsedNode(from place: Int, visiting visits: Int, _ body: (UInt32, Int) -> Void) -> Int? {
        let end = visits < nodes.count - place ? place + visits : nodes.count
        for node in place..<max(place, end) where !nodes[node].entries.isEmpty {
            body(UInt32(truncatingIfNeeded: node), nodes[node].entries.count)
        }
        return end < nodes.count ? end : nil
    }

    /// The filter whose node this is.
    func filter(of node: UInt32) -> TopicFilter {
        var parent = self[node].parent
        guard parent != NodeTable.none else { return TopicFilter(unchecked: self[node].name, isLiteral: true) }
        var levels = [self[node].name]
        while parent != NodeTable.root {
            levels.append(self[parent].name)
            parent = self[parent].parent
        }
        return TopicFilter(unchecked: levels.reversed().joined(separator: "/"), isLiteral: false)
    }
}

/// The hash of a name below a node, computed eight bytes at a time.
///
/// Each step multiplies the state by a secret number and folds the two halves of the product, so that all bits of a
/// name affect all bits of the hash. Both secrets come from `Hasher`, with new values in each process. `Hasher` itself
/// would cost ten times as much for a short name.
struct NameHash {
    private let seed: UInt64
    private let factor: UInt64

    init() {
        seed = UInt64(bitPattern: Int64(Self.secret(1)))
        factor = UInt64(bitPattern: Int64(Self.secret(2))) | 1
    }

    private static func secret(_ number: Int) -> Int {
        var hasher = Hasher()
        hasher.combine(number)
        return hasher.finalize()
    }

    func callAsFunction(_ name: Span<UInt8>, below parent: UInt32) -> UInt32 {
        withMark(name, in: 0..<name.count, below: parent).hash
    }

    /// The hash of a part of a topic, and a mark that distinguishes it from others.
    ///
    /// The mark of a name shorter than eight bytes is all of the name, with its length above; that of a longer one is
    /// its length and its hash.
    @inline(__always)
    func withMark(
        _ bytes: Span<UInt8>, in range: Range<Int>, below parent: UInt32
    ) -> (hash: UInt32, mark: UInt64) {
        let count = range.upperBound &- range.lowerBound
        var state = fold(seed ^ (UInt64(parent) &<< 32 | UInt64(truncatingIfNeeded: count)))
        if count < 8 {
            let word = bytes.word(at: range.lowerBound, count: count)
            if count > 0 { state = fold(state ^ word) }
            return (UInt32(truncatingIfNeeded: state), word | UInt64(truncatingIfNeeded: count) &<< 56)
        }
        var offset = range.lowerBound
        while range.upperBound &- offset > 8 {
            state = fold(state ^ bytes.word(at: offset, count: 8))
            offset &+= 8
        }
        state = fold(state ^ bytes.word(at: offset, count: range.upperBound &- offset))
        let hash = UInt32(truncatingIfNeeded: state)
        return (hash, UInt64(hash) | UInt64(count & 0xFF_FFFF) &<< 32 | 0xFF &<< 56)
    }

    @inline(__always)
    private func fold(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }
}
