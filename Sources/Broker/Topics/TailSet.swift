/// The ends of filters that have the same beginning and several `+` after it, compared with a topic 64 at a time.
///
/// In a trie each `+` is a fork: a topic's walk goes both ways, and many filters with many `+` make it visit nearly all
/// nodes. Here 64 filters share one word, and each level of the topic clears the bits of the filters that do not match.
/// A topic costs a step for each level and block, however the `+` are distributed.
struct TailSet {
    private var blocks: ContiguousArray<TailBlock> = []
    /// The blocks that have room.
    private var open: ContiguousArray<Int> = []
    /// How many filters there are.
    private(set) var count = 0

    /// A bit for each number of levels that some end may match, including removed ends as long as the set has not been
    /// empty; the last bit is for all larger numbers.
    private var lengths: UInt64 = 0

    /// Whether some end may match this many levels.
    func mayHave(levels: Int) -> Bool { lengths & Self.bit(ofLevels: levels) != 0 }

    private static func bit(ofLevels levels: Int) -> UInt64 { 1 &<< UInt64(min(levels, 63)) }

    private mutating func noteLength(of tail: String) {
        let levels = TopicGrammar.levels(of: tail)
        // `#` matches its parent's level and everything below it.
        let bit = Self.bit(ofLevels: levels.count)
        lengths |= levels.last == "#" ? ~(Self.bit(ofLevels: levels.count - 1) - 1) : bit
    }

    /// Adds a filter's end; returns its place, for ``remove(_:at:_:)``.
    mutating func insert(_ tail: String, node: UInt32, _ hash: NameHash) -> UInt32 {
        if open.isEmpty {
            open.append(blocks.count)
            blocks.append(TailBlock())
        }
        let block = open[open.count - 1]
        let bit = blocks[block].insert(tail, node: node, hash)
        if blocks[block].isFull { open.removeLast() }
        count += 1
        noteLength(of: tail)
        return UInt32(truncatingIfNeeded: block * TailBlock.size + bit)
    }

    /// Removes a filter's end from its place.
    mutating func remove(_ tail: String, at place: UInt32, _ hash: NameHash) {
        let (block, bit) = Int(place).quotientAndRemainder(dividingBy: TailBlock.size)
        if blocks[block].isFull { open.append(block) }
        blocks[block].remove(tail, at: bit, hash)
        count -= 1
    }

    /// Passes `body` the nodes of the filters whose ends match the levels of `topic` from `first` on.
    ///
    /// - Returns: the cost, in steps.
    func forEachMatch(of topic: TopicLevels, from first: Int, _ bytes: Span<UInt8>, _ body: (UInt32) -> Void) -> Int {
        var steps = 0
        for block in blocks.indices {
            var found = blocks[block].match(topic, from: first, bytes, &steps)
            while found != 0 {
                body(blocks[block].nodes[found.trailingZeroBitCount])
                found &= found &- 1
            }
        }
        return steps
    }
}

/// The ends of 64 filters; each has a bit in the words of every level.
private struct TailBlock {
    static var size: Int { 64 }

    private struct Level {
        /// The filters that have `+` here.
        var single: UInt64 = 0
        /// The filters that have `#` here.
        var rest: UInt64 = 0
        /// The filters that end before this level.
        var end: UInt64 = 0
        /// The filters that have a name here, by the name, in the order of the hashes.
        var names: ContiguousArray<Name> = []

        /// The filters that have this name at this level.
        func filters(named name: Span<UInt8>, hash: UInt32) -> UInt64 {
            let names = names.span
            var (low, high) = (0, names.count)
            while high &- low > 4 {
                let half = (low &+ high) / 2
                if names[half].hash < hash { low = half &+ 1 } else { high = half }
            }
            while low < names.count, names[low].hash <= hash {
                if names[low].hash == hash, names[low].isNamed(name) { return names[low].filters }
                low &+= 1
            }
            return 0
        }

        mutating func change(_ name: String, _ hash: UInt32, _ body: (inout UInt64) -> Void) {
            let bytes = name.utf8Span.span
            var place = names.firstIndex { $0.hash >= hash } ?? names.count
            while place < names.count, names[place].hash == hash, !names[place].isNamed(bytes) { place += 1 }
            if place == names.count || names[place].hash != hash {
                names.insert(Name(hash: hash, name: name), at: place)
            }
            body(&names[place].filters)
            if names[place].filters == 0 { names.remove(at: place) }
        }
    }

    private struct Name {
        let hash: UInt32
        let name: String
        var filters: UInt64 = 0

        func isNamed(_ bytes: Span<UInt8>) -> Bool { name.utf8Span.span.hasSameBytes(as: bytes) }
    }

    /// The node of each filter, by its bit.
    private(set) var nodes = ContiguousArray<UInt32>(repeating: .max, count: size)
    private var used: UInt64 = 0
    /// One more level than the longest filter has.
    private var levels: ContiguousArray<Level> = []

    var isFull: Bool { used == .max }

    /// Adds the end of a filter to a block that is not full; returns its bit.
    mutating func insert(_ tail: String, node: UInt32, _ hash: NameHash) -> Int {
        let bit = (~used).trailingZeroBitCount
        used |= 1 << bit
        nodes[bit] = node
        change(tail, hash) { $0 |= 1 << bit }
        return bit
    }

    mutating func remove(_ tail: String, at bit: Int, _ hash: NameHash) {
        change(tail, hash) { $0 &= ~(1 << bit) }
        used &= ~(1 << bit)
        nodes[bit] = .max
        if used == 0 { levels = [] }
    }

    /// Changes the words of the levels of a filter.
    private mutating func change(_ tail: String, _ hash: NameHash, _ body: (inout UInt64) -> Void) {
        let names = TopicGrammar.levels(of: tail)
        while levels.count <= names.count { levels.append(Level()) }
        for (depth, name) in names.enumerated() {
            switch name {
            case "+": body(&levels[depth].single)
            case "#": return body(&levels[depth].rest)
            default:
                let name = String(name)
                levels[depth].change(name, hash(name.utf8Span.span, below: 0), body)
            }
        }
        body(&levels[names.count].end)
    }

    /// The filters that match the levels of a topic from `first` on.
    func match(_ topic: TopicLevels, from first: Int, _ bytes: Span<UInt8>, _ steps: inout Int) -> UInt64 {
        let levels = levels.span
        var (alive, found, depth) = (used, UInt64(0), 0)
        // A filter that still matches has another level or ends here, so this level has words.
        while alive != 0, first &+ depth < topic.count {
            steps &+= 1
            found |= alive & levels[depth].rest
            let level = first &+ depth
            let named = levels[depth].filters(
                named: bytes.extracting(topic.range(of: level)), hash: topic.hash(of: level))
            alive &= levels[depth].single | named
            depth &+= 1
        }
        return alive == 0 ? found : found | alive & (levels[depth].rest | levels[depth].end)
    }
}

/// The levels of the topic that is being looked up: the range and the hash of each.
///
/// Runs on the tree's thread; its memory is reused for each topic.
final class TopicLevels {
    private var levels: ContiguousArray<(start: UInt32, end: UInt32, hash: UInt32)> = []

    private(set) var isRead = false

    /// The number of levels.
    var count: Int { levels.count }

    /// Discards the topic, because another one is looked up.
    func forget() { isRead = false }

    /// Parses the topic, unless that was done since ``forget()``.
    func read(_ bytes: Span<UInt8>, _ hash: NameHash) {
        guard !isRead else { return }
        isRead = true
        levels.removeAll(keepingCapacity: true)
        var start = 0
        for end in 0...bytes.count where end == bytes.count || bytes[end] == TopicGrammar.slash {
            let name = hash(bytes.extracting(start..<end), below: 0)
            levels.append((UInt32(truncatingIfNeeded: start), UInt32(truncatingIfNeeded: end), name))
            start = end + 1
        }
    }

    /// The index of the level that begins at a byte.
    func level(at start: Int) -> Int {
        var level = 0
        while level < levels.count, Int(levels[level].start) < start { level &+= 1 }
        return level
    }

    /// The hash of a level's name.
    func hash(of level: Int) -> UInt32 { levels[level].hash }

    /// The range of a level in the topic's bytes.
    func range(of level: Int) -> Range<Int> { Int(levels[level].start)..<Int(levels[level].end) }
}
