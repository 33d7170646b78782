internal import Synchronization

/// The nodes where the walk of a topic through a ``SubscriptionTree`` ends, if they are few; for a run of messages of
/// one topic.
package struct TopicEnds {
    private static var most: Int { 8 }

    /// The nodes; only the first ``count`` are valid.
    private(set) var nodes = InlineArray<8, UInt32>(repeating: 0)
    let count: Int
    /// The version of the tree for which the nodes are valid.
    let version: UInt64

    init?(_ found: ContiguousArray<UInt32>, version: UInt64) {
        guard found.count <= Self.most else { return nil }
        for index in found.indices { nodes[index] = found[index] }
        (count, self.version) = (found.count, version)
    }
}

/// Remembers where the walks of the most recently published topics end, until the tree changes.
///
/// From the third message to such a topic on, no walk is made. Each topic has one place, and the last of those with the
/// same place stays. Topics are compared by their strings' memory, not by their bytes: the topics of one publisher are
/// one string. Costly walks are left to ``MatchMemo``. Runs on the tree's thread.
final class EndsMemo {
    private enum State { case seen, known, unfit }

    private struct Place {
        var words: (UInt64, UInt64) = (0, 0)
        /// The version of the tree for which the state is valid.
        var version = UInt64.max
        var state = State.unfit
        var ends: TopicEnds?
    }

    private static var count: Int { 64 }
    /// The longest name that is kept, in bytes.
    private static var longest: Int { 1024 }

    // Unchecked, because each message reads these, and nothing is called while one of them changes.
    @exclusivity(unchecked) private var places = ContiguousArray(repeating: Place(), count: count)
    /// The names, kept so that no other string gets their memory.
    @exclusivity(unchecked) private var names = ContiguousArray(repeating: "", count: count)

    init() {}

    /// Where the walk of a topic ends; `nil` if that is not known yet, or there are too many nodes.
    ///
    /// - Parameter walk: makes the walk; called if the topic was asked for before.
    func ends(of topic: Topic, version: UInt64, _ walk: () -> TopicEnds?) -> TopicEnds? {
        let words = topic.name.words
        let place = Self.place(of: words)
        guard unsafe places[place].words == words && places[place].version == version else {
            note(topic, version, at: place)
            return nil
        }
        switch unsafe places[place].state {
        case .known: return unsafe places[place].ends
        case .unfit: return nil
        case .seen:
            let ends = walk()
            unsafe (places[place].ends, places[place].state) = (ends, ends == nil ? .unfit : .known)
            return ends
        }
    }

    /// Records that no further walk should be made for a topic before the tree changes.
    func leave(_ topic: Topic) {
        let words = topic.name.words
        let place = Self.place(of: words)
        if unsafe places[place].words == words { unsafe places[place].state = .unfit }
    }

    @inline(never)
    private func note(_ topic: Topic, _ version: UInt64, at place: Int) {
        guard topic.name.utf8.count <= Self.longest else { return }
        unsafe names[place] = topic.name
        unsafe places[place] = Place(words: topic.name.words, version: version, state: .seen)
    }

    @inline(__always)
    private static func place(of words: (UInt64, UInt64)) -> Int {
        Int(truncatingIfNeeded: ((words.0 &* 31 ^ words.1) &* 0x9E37_79B9_7F4A_7C15) &>> 58) & (count - 1)
    }
}

/// Remembers, by topic, where costly walks through a ``SubscriptionTree`` ended.
///
/// Filters with many `+` can be chosen so that a topic's walk visits thousands of nodes. With this the walk is made
/// only for the first messages. Holds a bounded number of topics and nodes. Runs on the tree's thread.
final class MatchMemo {
    private struct Place {
        /// The hash of the last topic with a costly walk at this place.
        var hash: Int
        var name = ""
        /// The version of the tree for which the nodes are valid.
        var version = UInt64.max
        var nodes: ContiguousArray<UInt32> = []
    }

    /// The minimum cost of a walk to remember, in visited nodes.
    static let minimumCost = 64
    /// The maximum number of nodes of all topics together, four bytes each; if it is exceeded, all are forgotten.
    static let maximumNodes = 1 << 18
    private static let count = 64

    /// Empty until a topic has a costly walk, as in nearly every tree.
    private var places: [Place] = []
    private var nodeCount = 0
    /// Whether there are any: one atomic load costs less than reading the array.
    private let isUsed = Atomic<Bool>(false)

    private static func hash(_ name: Span<UInt8>) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: name)
        return hasher.finalize()
    }

    /// The nodes where the walk of `name` ends; `nil` if not known.
    func nodes(of name: Span<UInt8>, version: UInt64) -> ContiguousArray<UInt32>? {
        guard isUsed.load(ordering: .relaxed) else { return nil }
        let hash = Self.hash(name)
        let place = hash & (Self.count - 1)
        guard places[place].hash == hash, places[place].version == version,
            places[place].name.utf8Span.span.hasSameBytes(as: name)
        else { return nil }
        return places[place].nodes
    }

    /// Records a costly walk; returns `true` if it is the second one, so that it is worth remembering.
    func isWorthKeeping(_ name: Span<UInt8>) -> Bool {
        let hash = Self.hash(name)
        if places.isEmpty {
            places = Array(repeating: Place(hash: ~hash), count: Self.count)
            isUsed.store(true, ordering: .relaxed)
        }
        if places[hash & (Self.count - 1)].hash == hash { return true }
        free(hash & (Self.count - 1))
        places[hash & (Self.count - 1)].hash = hash
        return false
    }

    /// Remembers the end of a walk for which ``isWorthKeeping(_:)`` was `true`.
    func keep(_ nodes: ContiguousArray<UInt32>, of name: String, version: UInt64) {
        let place = Self.hash(name.utf8Span.span) & (Self.count - 1)
        free(place)
        guard nodes.count <= Self.maximumNodes else { return }
        if nodeCount + nodes.count > Self.maximumNodes { for place in places.indices { free(place) } }
        (places[place].name, places[place].version, places[place].nodes) = (name, version, nodes)
        nodeCount += nodes.count
    }

    private func free(_ place: Int) {
        nodeCount -= places[place].nodes.count
        places[place] = Place(hash: places[place].hash)
    }
}
