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
        /// What tells the name from others: all of it where it is short; see ``NameHash/withMark(_:in:below:)``.
        var mark: UInt64 = 0
        /// ``none`` at the root and for whole names.
        var parent: UInt32
        /// The child `+`; from ``tails`` on the number of the ``TailSet`` that stands in its place, with that bit.
        var single = NodeTable.none
        /// The child `#`.
        var rest = NodeTable.none
        /// How many named children and ends of filters there are, `+` and `#` not among them; of a filter's end, which has
        /// none, its place in the ``TailSet`` of its parent, with the bit ``tails``.
        var children: UInt32 = 0
    }

    /// The number of no node.
    static var none: UInt32 { .max }
    /// The `+` of a filter that are nodes; from the next one on its levels are one node, in a ``TailSet``.
    ///
    /// So the nodes that one topic visits are bounded: with two, by half the square of its levels for each of them.
    private static var singlesOfAPath: Int { 2 }
    /// The bit of a ``TailSet``; no node has such a number.
    static var tails: UInt32 { 0x8000_0000 }
    /// The root of filters with wildcards.
    static var root: UInt32 { 0 }

    private var nodes: ContiguousArray<Node> = [Node(name: "", parent: .max)]
    private var free: ContiguousArray<UInt32> = []
    private var slots = ContiguousArray<UInt32>(repeating: .max, count: 16)
    private var occupied = 0
    /// How many filters have their end in a ``TailSet``.
    private(set) var tailCount = 0
    private var tailSets: ContiguousArray<TailSet> = []
    private var freeTailSets: ContiguousArray<UInt32> = []
    private let hash = NameHash()
    /// Increases when a node on the way of a filter with wildcards is added or removed.
    private(set) var version: UInt64 = 0

    subscript(node: UInt32) -> Node {
        _read { yield nodes[Int(node)] }
        _modify { yield &nodes[Int(node)] }
    }

    /// What stands for the children `+` and `#` of a node.
    @inline(__always)
    func wildcards(below node: UInt32) -> (single: UInt32, rest: UInt32) {
        let nodes = nodes.span
        return (nodes[Int(node)].single, nodes[Int(node)].rest)
    }

    /// How many nodes are in use, without the root.
    var count: Int { nodes.count - free.count - 1 }

    /// Whether there is any filter with a wildcard.
    var hasWildcards: Bool { isParent(NodeTable.root) }

    /// Passes `body` the filters' ends that match a topic from the level at `start` on; returns the cost, in steps.
    ///
    /// - Parameter single: what stands in place of a node's child `+`, from ``tails`` on.
    func forEachTail(
        in single: UInt32, matching topic: TopicLevels, at start: Int, _ bytes: Span<UInt8>, _ body: (UInt32) -> Void
    ) -> Int {
        let set = Int(single & ~NodeTable.tails)
        // Most topics have another number of levels, and need not be read for that.
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

    /// The node at the end of a filter's levels, created with those above it if there is none.
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

    /// The node of all levels from the third `+` on.
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

    /// Takes a node out of the ends below its parent; does nothing if it is a level.
    private mutating func removeTail(_ node: UInt32, below head: UInt32) {
        // No level begins so: where it is nothing but `+`, it is no named child.
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

    /// Gives `body` each node that has entries, and how many.
    func forEachUsedNode(_ body: (UInt32, Int) -> Void) {
        for node in nodes.indices where !nodes[node].entries.isEmpty {
            body(UInt32(truncatingIfNeeded: node), nodes[node].entries.count)
        }
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

/// The hash of a name below a node, eight bytes at a time.
///
/// Each step multiplies what there is by a secret number and folds the two halves of the product, so all bits of a name
/// bear on all bits of the hash. Both secrets are `Hasher`'s, which are new in each process. `Hasher` itself would cost ten
/// times as much for a short name.
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

    /// The same of a part of a topic, and what tells it from others: all of a name that is shorter than eight bytes, and its
    /// length above; of a longer one its length and its hash.
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
