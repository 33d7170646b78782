/// What a topic or a filter may be used for; several at a time.
struct Rights: OptionSet, Sendable {
    let rawValue: UInt8

    static let publish = Rights(rawValue: 1)
    static let subscribe = Rights(rawValue: 2)
    /// Setting and deleting retained values.
    static let retain = Rights(rawValue: 4)
    /// Neither publishing nor retaining, whatever allows it.
    static let noPublish = Rights(rawValue: 8)
    /// No subscribing, whatever allows it.
    static let noSubscribe = Rights(rawValue: 16)
}

/// Filters, each with the rights that it gives or takes away, as a trie of levels.
///
/// A look-up follows the topic's levels, so its cost depends on the name and on the filters that begin like it, and not
/// on the number of filters. It allocates nothing. Immutable; 28 bytes a node, and the names.
///
/// A lone `#` is not stored here: it stands for every topic outside `$SYS`, which no node can express.
struct RightsTrie: Sendable, Equatable {
    /// One level of a filter.
    ///
    /// The named children of a node are adjacent, in the order of their hashes.
    private struct Node: Equatable {
        var hash: UInt32 = 0
        var parent: UInt32 = 0
        /// The child `+`; 0 if there is none.
        var single: UInt32 = 0
        /// The first of the named children.
        var children: UInt32 = 0
        var count: UInt32 = 0
        /// The start of the name; it ends where the next node's name begins.
        var name: UInt32 = 0
        /// The rights of filters that end with this level.
        var here: Rights = []
        /// The rights of filters whose next and last level is `#`.
        var rest: Rights = []
        /// The rights of this node and of those below it together.
        var within: Rights = []
    }

    private var nodes: [Node] = [Node()]
    private var names: [UInt8] = []

    /// - Parameter filters: none of them a lone `#`.
    init(_ filters: [(filter: TopicFilter, rights: Rights)]) {
        let entries = filters.map { Entry(bytes: Array(Self.comparable($0.filter).utf8), rights: $0.rights) }
        build(entries.sorted { Self.precedes($0.bytes, $1.bytes) })
    }

    /// The rights of all filters together.
    var all: Rights { nodes[0].within }

    /// How many nodes there are.
    var nodeCount: Int { nodes.count }

    // MARK: Building

    private struct Entry {
        let bytes: [UInt8]
        let rights: Rights

        /// Where the level that begins at `offset` ends.
        func end(ofLevelAt offset: Int) -> Int { bytes[offset...].firstIndex(of: TopicGrammar.slash) ?? bytes.count }

        /// Whether it has the same level there as another one with the same levels before it.
        func hasLevel(of other: Entry, _ range: Range<Int>) -> Bool {
            guard bytes.count >= range.upperBound, bytes[range].elementsEqual(other.bytes[range]) else { return false }
            return bytes.count == range.upperBound || bytes[range.upperBound] == TopicGrammar.slash
        }
    }

    /// An order in which filters that begin with the same levels are adjacent: the end of a level comes first.
    private static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        for (one, other) in zip(left, right) where one != other {
            if one == TopicGrammar.slash || other == TopicGrammar.slash { return one == TopicGrammar.slash }
            return one < other
        }
        return left.count < right.count
    }

    /// Level by level, so that a node's children are adjacent.
    private mutating func build(_ entries: [Entry]) {
        // The filters of each node, and where the level below it begins in them.
        var open = [(entries: entries.indices, offset: 0)]
        var next = 0
        while next < open.count {
            let (range, offset) = open[next]
            var named: [(hash: UInt32, entries: Range<Int>, end: Int)] = []
            var single: Range<Int>?
            var first = range.lowerBound
            while first < range.upperBound {
                let entry = entries[first]
                guard offset <= entry.bytes.count else {
                    nodes[next].here.formUnion(entry.rights)
                    first += 1
                    continue
                }
                let level = offset..<entry.end(ofLevelAt: offset)
                let wildcard = level.count == 1 ? entry.bytes[offset] : TopicGrammar.slash
                var last = first + 1
                while last < range.upperBound, entries[last].hasLevel(of: entry, level) { last += 1 }
                switch wildcard {
                case TopicGrammar.hash:
                    for one in entries[first..<last] { nodes[next].rest.formUnion(one.rights) }
                case TopicGrammar.plus: single = first..<last
                default: named.append((Self.hash(entry.bytes.span.extracting(level)), first..<last, level.upperBound))
                }
                first = last
            }
            nodes[next].within = nodes[next].here.union(nodes[next].rest)
            nodes[next].children = UInt32(nodes.count)
            nodes[next].count = UInt32(named.count)
            for child in named.sorted(by: { $0.hash < $1.hash }) {
                append(child.hash, entries[child.entries.lowerBound].bytes[offset..<child.end], below: UInt32(next))
                open.append((child.entries, child.end + 1))
            }
            if let single {
                nodes[next].single = UInt32(nodes.count)
                append(0, [TopicGrammar.plus], below: UInt32(next))
                open.append((single, offset + 2))
            }
            next += 1
        }
        for node in nodes.indices.dropFirst().reversed() {
            nodes[Int(nodes[node].parent)].within.formUnion(nodes[node].within)
        }
    }

    private mutating func append(_ hash: UInt32, _ name: ArraySlice<UInt8>, below parent: UInt32) {
        nodes.append(Node(hash: hash, parent: parent, name: UInt32(names.count)))
        names += name
    }

    // MARK: Looking up

    /// All rights of the filters that match a topic.
    func rights(of topic: Topic) -> Rights {
        var found: Rights = []
        walk(topic.name.utf8Span.span).collect(from: 0, at: 0, &found)
        return found
    }

    /// Whether one filter with a right covers `filter`: it matches every topic that `filter` matches.
    func covers(_ filter: TopicFilter, _ right: Rights) -> Bool {
        guard all.contains(right) else { return false }
        return walk(Self.comparable(filter).utf8Span.span).covers(right, from: 0, at: 0)
    }

    /// A filter with a right that matches some topic that `filter` matches; `nil` if there is none.
    func overlapping(_ filter: TopicFilter, _ right: Rights) -> TopicFilter? {
        guard all.contains(right) else { return nil }
        return walk(Self.comparable(filter).utf8Span.span).overlap(right, from: 0, at: 0).map(self.filter)
    }

    @_lifetime(copy bytes, borrow self)
    private func walk(_ bytes: Span<UInt8>) -> Walk { Walk(nodes: nodes.span, names: names.span, bytes: bytes) }

    private func filter(_ end: End) -> TopicFilter {
        var levels: [String] = end.isRest ? ["#"] : []
        var node = end.node
        while node != 0 {
            let name = Int(nodes[node].name)..<(node + 1 < nodes.count ? Int(nodes[node + 1].name) : names.count)
            levels.append(String(decoding: names[name], as: UTF8.self))
            node = Int(nodes[node].parent)
        }
        let name = levels.reversed().joined(separator: "/")
        return TopicFilter(unchecked: name, isLiteral: !end.isRest && !levels.contains("+"))
    }

    /// The name, with `#` written as `+/#` and `/#` as `/+/#`, which are the same: no topic is empty.
    private static func comparable(_ filter: TopicFilter) -> String {
        switch filter.name {
        case "#": "+/#"
        case "/#": "/+/#"
        default: filter.name
        }
    }

    /// FNV-1a: names come from the administrator, so no attacker chooses names that collide.
    private static func hash(_ bytes: Span<UInt8>) -> UInt32 {
        var hash = emptyHash
        for offset in bytes.indices { hash = (hash ^ UInt32(bytes[offset])) &* hashFactor }
        return hash
    }

    private static var emptyHash: UInt32 { 0x811C_9DC5 }
    private static var hashFactor: UInt32 { 0x0100_0193 }

    /// Where a filter ends: at a node, or with `#` below it.
    private struct End {
        let node: Int
        let isRest: Bool
    }

    /// One look-up: the trie and the name that is looked up, in place.
    private struct Walk: ~Escapable {
        let nodes: Span<Node>
        let names: Span<UInt8>
        let bytes: Span<UInt8>

        @_lifetime(copy nodes, copy names, copy bytes)
        init(nodes: Span<Node>, names: Span<UInt8>, bytes: Span<UInt8>) {
            self.nodes = nodes
            self.names = names
            self.bytes = bytes
        }

        /// The end of the level that begins at `start`, and its hash.
        private func level(from start: Int) -> (end: Int, hash: UInt32) {
            var (end, hash) = (start, RightsTrie.emptyHash)
            while end < bytes.count {
                let byte = bytes[end]
                if byte == TopicGrammar.slash { break }
                hash = (hash ^ UInt32(byte)) &* RightsTrie.hashFactor
                end &+= 1
            }
            return (end, hash)
        }

        /// The named child of a node for the level `start..<end`; 0 if there is none.
        private func child(of node: Int, _ start: Int, _ end: Int, _ hash: UInt32) -> Int {
            var low = Int(nodes[node].children)
            let limit = low &+ Int(nodes[node].count)
            // Most nodes have few children, and are searched in the loop below.
            var count = Int(nodes[node].count)
            while count > 3 {
                let half = count / 2
                if nodes[low &+ half &- 1].hash < hash { low = low &+ half }
                count = count &- half
            }
            while low < limit, nodes[low].hash <= hash {
                if nodes[low].hash == hash, isNamed(low, start, end) { return low }
                low &+= 1
            }
            return 0
        }

        private func isNamed(_ node: Int, _ start: Int, _ end: Int) -> Bool {
            let first = Int(nodes[node].name)
            let last = node &+ 1 < nodes.count ? Int(nodes[node &+ 1].name) : names.count
            return names.extracting(first..<last).hasSameBytes(as: bytes.extracting(start..<end))
        }

        /// Whether a wildcard at the beginning does not stand for the first level's name (MQTT-4.7.2-1).
        private func isReserved(_ node: Int) -> Bool {
            let first = Int(nodes[node].name)
            let last = node &+ 1 < nodes.count ? Int(nodes[node &+ 1].name) : names.count
            return first < last && names[first] == TopicGrammar.dollar
        }

        /// The first byte of the level at `offset`; `/` if the level is empty.
        private func first(_ offset: Int) -> UInt8 { offset < bytes.count ? bytes[offset] : TopicGrammar.slash }

        func collect(from offset: Int, at node: Int, _ found: inout Rights) {
            var (offset, node) = (offset, node)
            while true {
                found.formUnion(nodes[node].rest)
                if offset > bytes.count { return found.formUnion(nodes[node].here) }
                let (end, hash) = level(from: offset)
                let single = Int(nodes[node].single)
                if single != 0, node != 0 || bytes[0] != TopicGrammar.dollar {
                    // Only the wildcard continues here, so no other call is needed.
                    if nodes[node].count == 0 {
                        (node, offset) = (single, end &+ 1)
                        continue
                    }
                    collect(from: end &+ 1, at: single, &found)
                }
                node = child(of: node, offset, end, hash)
                guard node != 0 else { return }
                offset = end &+ 1
            }
        }

        func covers(_ right: Rights, from offset: Int, at node: Int) -> Bool {
            var (offset, node) = (offset, node)
            while !nodes[node].rest.contains(right) {
                if offset > bytes.count { return nodes[node].here.contains(right) }
                let first = first(offset)
                if first == TopicGrammar.hash { return false }
                let (end, hash) = level(from: offset)
                let single = Int(nodes[node].single)
                if single != 0, nodes[single].within.contains(right), node != 0 || first != TopicGrammar.dollar,
                    covers(right, from: end &+ 1, at: single)
                {
                    return true
                }
                if first == TopicGrammar.plus { return false }
                node = child(of: node, offset, end, hash)
                guard node != 0 else { return false }
                offset = end &+ 1
            }
            return true
        }

        func overlap(_ right: Rights, from offset: Int, at node: Int) -> End? {
            guard nodes[node].within.contains(right) else { return nil }
            if nodes[node].rest.contains(right) { return End(node: node, isRest: true) }
            if offset > bytes.count {
                return nodes[node].here.contains(right) ? End(node: node, isRest: false) : nil
            }
            let first = first(offset)
            if first == TopicGrammar.hash { return any(right, from: node) }
            let (end, hash) = level(from: offset)
            let single = Int(nodes[node].single)
            if single != 0, node != 0 || first != TopicGrammar.dollar,
                let found = overlap(right, from: end &+ 1, at: single)
            {
                return found
            }
            guard first == TopicGrammar.plus else {
                let child = child(of: node, offset, end, hash)
                return child == 0 ? nil : overlap(right, from: end &+ 1, at: child)
            }
            let children = Int(nodes[node].children)
            for child in children..<children + Int(nodes[node].count) where node != 0 || !isReserved(child) {
                if let found = overlap(right, from: end &+ 1, at: child) { return found }
            }
            return nil
        }

        /// Where any filter with a right ends, at a node or below it.
        private func any(_ right: Rights, from node: Int) -> End? {
            if nodes[node].here.contains(right) { return End(node: node, isRest: false) }
            if nodes[node].rest.contains(right) { return End(node: node, isRest: true) }
            let single = Int(nodes[node].single)
            if single != 0, nodes[single].within.contains(right) { return any(right, from: single) }
            let children = Int(nodes[node].children)
            for child in children..<children + Int(nodes[node].count) where nodes[child].within.contains(right) {
                return any(right, from: child)
            }
            return nil
        }
    }
}
