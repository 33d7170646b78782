import Broker
import Testing

@Suite("Subscription tree")
struct SubscriptionTreeTests {
    struct Subscriber: TreeEntry, Equatable {
        var subscription: UInt32
        var mark = 0
    }

    /// An entry that is counted while it lives.
    final class Counted: TreeEntry {
        let subscription: UInt32
        let died: () -> Void

        init(_ subscription: UInt32, died: @escaping () -> Void) {
            self.subscription = subscription
            self.died = died
        }

        deinit { died() }
    }

    private func matches(_ tree: borrowing SubscriptionTree<Subscriber>, _ topic: String) throws -> [UInt32] {
        var found: [UInt32] = []
        tree.forEachMatch(of: try Topic(topic)) { entries in
            for index in entries.indices { found.append(entries[index].subscription) }
        }
        return found.sorted()
    }

    private func tree(_ filters: [String]) throws -> SubscriptionTree<Subscriber> {
        var tree = SubscriptionTree<Subscriber>()
        for (number, filter) in filters.enumerated() {
            tree.insert(Subscriber(subscription: UInt32(number)), at: try TopicFilter(filter))
        }
        return tree
    }

    @Test(arguments: TopicFilterTests.matching)
    func findsMatchingFilters(filter: String, topic: String) throws {
        let tree = try tree([filter, "not/this/one", filter])
        #expect(try matches(tree, topic) == [0, 2])
    }

    @Test(arguments: TopicFilterTests.notMatching)
    func omitsOtherFilters(filter: String, topic: String) throws {
        let tree = try tree([filter, topic])
        #expect(try matches(tree, topic) == [1])
    }

    /// An administrator's list is made in several turns.
    @Test(arguments: 1...9)
    func visitsEachFilterOnceInPieces(visits: Int) throws {
        let filters = ["a", "a/b", "a/+", "#", "+/b", "c/d/e", "c/#"]
        let tree = try tree(filters)
        var (seen, place, pieces) = ([String](), Optional(0), 0)
        while let next = place {
            place = tree.forEachFilter(from: next, visiting: visits) { filter, _ in seen.append(filter.name) }
            pieces += 1
        }
        #expect(seen.sorted() == filters.sorted() && pieces > 9 / visits)
    }

    @Test func visitsEachMatchingFilterOnce() throws {
        let tree = try tree(["a/b", "a/b", "a/+", "a/+", "a/+", "a/#", "+/b", "#", "a", "a/b/#", "a/b/+", "a/c"])
        var runs: [[UInt32]] = []
        tree.forEachMatch(of: try Topic("a/b")) { entries in
            runs.append(entries.indices.map { entries[$0].subscription })
        }
        #expect(runs.sorted { $0[0] < $1[0] } == [[0, 1], [2, 3, 4], [5], [6], [7], [9]])
    }

    @Test func removesAndReusesNumbers() throws {
        var tree = try tree(["a", "a", "a"])
        #expect(tree.remove(0) == Subscriber(subscription: 0))
        #expect(try matches(tree, "a") == [1, 2])
        #expect(tree.remove(0) == nil)
        #expect(tree.remove(99) == nil)
        tree.insert(Subscriber(subscription: 0), at: try TopicFilter("b"))
        #expect(try matches(tree, "a") == [1, 2])
        #expect(try matches(tree, "b") == [0])
        #expect(tree.count == 3)
    }

    @Test func replacesAnEntryWithTheSameNumber() throws {
        var tree = try tree(["a", "b/+"])
        tree.insert(Subscriber(subscription: 0, mark: 1), at: try TopicFilter("b/#"))
        #expect(tree.count == 2)
        #expect(try matches(tree, "a") == [])
        #expect(try matches(tree, "b/x") == [0, 1])
    }

    @Test func updatesInPlace() throws {
        var tree = try tree(["a", "+"])
        tree.update(1) { $0.mark = 7 }
        #expect(tree.entry(of: 1) == Subscriber(subscription: 1, mark: 7))
        #expect(tree.entry(of: 0) == Subscriber(subscription: 0))
        #expect(tree.entry(of: 2) == nil)
    }

    @Test func theVersionCountsChanges() throws {
        var tree = try tree([])
        var versions = [tree.version]
        tree.insert(Subscriber(subscription: 0), at: try TopicFilter("a"))
        versions.append(tree.version)
        tree.update(0) { $0.mark = 1 }
        versions.append(tree.version)
        _ = tree.remove(0)
        versions.append(tree.version)
        #expect(versions == versions.sorted())
        #expect(Set(versions).count == 4)
        _ = tree.remove(0)
        tree.update(0) { $0.mark = 1 }
        #expect(try matches(tree, "a") == [])
        #expect(tree.version == versions[3])
    }

    @Test func countsFilters() throws {
        var tree = try tree(["a/b", "a/b", "a/+/#", "#", "+/+", "$SYS/#", "a/b/c", "x//+"])
        _ = tree.remove(6)
        var counts: [TopicFilter: Int] = [:]
        tree.forEachFilter { filter, count in counts[filter, default: 0] += count }
        let expected = ["a/b": 2, "a/+/#": 1, "#": 1, "+/+": 1, "$SYS/#": 1, "x//+": 1]
        #expect(counts == Dictionary(uniqueKeysWithValues: try expected.map { (try TopicFilter($0), $1) }))
        #expect(counts.keys.allSatisfy { $0.isLiteral == ($0.name == "a/b") })
    }

    @Test func sharesAndFreesNodes() throws {
        var tree = try tree(["a/b/c", "a/b/c", "x/+/y/#", "x/+/z", "x/+/y/+"])
        // One whole name; x, x/+, x/+/y, x/+/y/#, x/+/z, x/+/y/+.
        #expect(tree.nodeCount == 7)
        _ = tree.remove(2)
        #expect(tree.nodeCount == 6)
        _ = tree.remove(4)
        #expect(tree.nodeCount == 4)
        _ = tree.remove(0)
        #expect(tree.nodeCount == 4)
        _ = tree.remove(1)
        _ = tree.remove(3)
        #expect(tree.nodeCount == 0)
    }

    @Test func releasesRemovedEntries() throws {
        var alive = 4
        var tree = SubscriptionTree<Counted>()
        for number in 0..<3 as Range<UInt32> {
            tree.insert(Counted(number) { alive -= 1 }, at: try TopicFilter("a/+"))
        }
        #expect(alive == 4)
        _ = tree.remove(0)
        #expect(alive == 3)
        tree.insert(Counted(1) { alive -= 1 }, at: try TopicFilter("b"))
        #expect(alive == 2)
        _ = tree.remove(1)
        #expect(alive == 1)
        _ = consume tree
        #expect(alive == 0)
    }

    @Test func holdsManySubscribersAndFilters() throws {
        var tree = SubscriptionTree<Subscriber>()
        let filters = try (0..<5_000).map { try TopicFilter($0 % 2 == 0 ? "device/\($0)/+" : "device/\($0)/x") }
        for number in 0..<20_000 {
            let filter = try number < 15_000 ? TopicFilter("all") : filters[number - 15_000]
            tree.insert(Subscriber(subscription: UInt32(number)), at: filter)
        }
        #expect(try matches(tree, "device/4321/x") == [19_321])
        #expect(try matches(tree, "device/4322/x") == [19_322])
        #expect(try matches(tree, "all").count == 15_000)
        for number in 0..<20_000 where number % 10 != 0 { _ = tree.remove(UInt32(number)) }
        #expect(try matches(tree, "all") == stride(from: 0, to: 15_000, by: 10).map(UInt32.init))
        #expect(try matches(tree, "device/4320/x") == [19_320])
        #expect(try matches(tree, "device/4322/x") == [])
        #expect(tree.count == 2_000)
    }

    // MARK: Costly topics

    private static let deep = Array(repeating: "a", count: 12).joined(separator: "/")

    /// Filters of `a` and `+`, some of which end in `#` or another name, so that the walk goes deep.
    private func deepFilter(_ schedule: inout TopicSchedule) throws -> TopicFilter {
        var levels = (0..<12).map { _ in Int.random(in: 0..<3, using: &schedule) == 0 ? "+" : "a" }
        switch Int.random(in: 0..<4, using: &schedule) {
        case 0: levels[11] = "b"
        case 1: levels[Int.random(in: 4..<12, using: &schedule)] = "#"
        default: break
        }
        if let end = levels.firstIndex(of: "#") { levels.removeSubrange((end + 1)...) }
        return try TopicFilter(levels.joined(separator: "/"), limits: .none)
    }

    @Test func remembersACostlyLookupAfterTwoWalks() throws {
        var schedule = TopicSchedule(seed: 1)
        var tree = SubscriptionTree<Subscriber>()
        for number: UInt32 in 0..<1000 {
            tree.insert(Subscriber(subscription: number), at: try deepFilter(&schedule))
        }
        let topic = try Topic(Self.deep)
        let cost = tree.forEachMatch(of: topic) { _ in }
        #expect(tree.forEachMatch(of: topic) { _ in } == cost)
        var found = 0
        let again = tree.forEachMatch(of: topic) { _ in found += 1 }
        #expect(cost > 500 && again <= found)
        // Joining an existing filter changes nothing; a new filter is found.
        tree.insert(Subscriber(subscription: 1000), at: try TopicFilter(Self.deep))
        #expect(tree.forEachMatch(of: topic) { _ in } == again)
        tree.insert(Subscriber(subscription: 1001), at: try TopicFilter("+/+/#"))
        #expect(tree.forEachMatch(of: topic) { _ in } > 500)
        #expect(try matches(tree, Self.deep).contains(1001))
    }

    /// A walk's cost hardly grows with filters that differ by where they have their `+`.
    @Test func oneStepHandlesSixtyFourWildcardFilters() throws {
        var schedule = TopicSchedule(seed: 1)
        var tree = SubscriptionTree<Subscriber>()
        for number: UInt32 in 0..<10_000 {
            let single = Set((0..<30).shuffled(using: &schedule).prefix(8))
            let levels = (0..<30).map { single.contains($0) ? "+" : "l" }
            tree.insert(Subscriber(subscription: number), at: try TopicFilter(levels.joined(separator: "/") + "/#"))
        }
        let topic = try Topic(Array(repeating: "l", count: 31).joined(separator: "/"))
        var found = 0
        // In a trie alone it is some 200,000.
        #expect(tree.forEachMatch(of: topic) { found += $0.count } < 60_000)
        #expect(found == 10_000)
        for number: UInt32 in 0..<10_000 { #expect(tree.remove(number) != nil) }
        #expect(tree.nodeCount == 0)
    }

    /// However filters come and go between the messages.
    @Test(arguments: 0..<20)
    func costlyLookupsAgreeWithAList(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        var tree = SubscriptionTree<Subscriber>()
        var list: [UInt32: TopicFilter] = [:]
        let topics = [Self.deep, Self.deep + "/a", "b/" + Self.deep.dropFirst(2)]
        for _ in 0..<400 {
            // In some more than 64 filters are at one place of the tree.
            let number = UInt32.random(in: 0..<(seed % 2 == 0 ? 120 : 300), using: &schedule)
            switch Int.random(in: 0..<6, using: &schedule) {
            case 0:
                #expect((tree.remove(number) != nil) == (list.removeValue(forKey: number) != nil))
            case 1, 2:
                let topic = topics[Int.random(in: 0..<3, using: &schedule)]
                let expected = list.filter { matchesByDefinition($0.value.name, topic) }.keys.sorted()
                #expect(try matches(tree, topic) == expected)
            default:
                let filter = try deepFilter(&schedule)
                tree.insert(Subscriber(subscription: number), at: filter)
                list[number] = filter
            }
        }
        for number in list.keys { #expect(tree.remove(number) != nil) }
        #expect(tree.nodeCount == 0)
    }

    /// Against a plain list, however subscriptions come and go.
    @Test(arguments: 0..<500)
    func agreesWithAListUnderAnyChanges(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        var tree = SubscriptionTree<Subscriber>()
        var list: [UInt32: (filter: TopicFilter, mark: Int)] = [:]
        // Few removals let it grow, many bring it back to nothing.
        let removals = Int.random(in: 1...6, using: &schedule)
        // Deeper ones have more `+` than the walk follows.
        let depth = seed % 2 == 0 ? 4 : 7
        var known: [Topic: TopicEnds] = [:]
        for step in 0..<200 {
            let number = UInt32.random(in: 0..<40, using: &schedule)
            switch Int.random(in: 0..<10, using: &schedule) {
            case 0..<removals:
                #expect(tree.remove(number)?.mark == list.removeValue(forKey: number)?.mark)
            case 6:
                tree.update(number) { $0.mark += 1 }
                list[number]?.mark += 1
            case 7...:
                let topic = try schedule.topic(depth: depth)
                var found: [UInt32: Int] = [:]
                // Found before, perhaps by a tree that has changed since, or by the whole walk.
                let ends = known[topic] ?? (step % 2 == 0 ? tree.ends(of: topic) : nil)
                _ = tree.forEachMatch(of: topic, at: ends) { entries in
                    for index in entries.indices { found[entries[index].subscription] = entries[index].mark }
                }
                known[topic] = ends
                let expected = list.filter { matchesByDefinition($0.value.filter.name, topic.name) }.mapValues(\.mark)
                #expect(found == expected, "step \(step), \(topic)")
            default:
                let filter = try schedule.filter(depth: depth)
                tree.insert(Subscriber(subscription: number, mark: step), at: filter)
                list[number] = (filter, step)
            }
            #expect(tree.count == list.count)
        }
        var counts: [TopicFilter: Int] = [:]
        tree.forEachFilter { filter, count in counts[filter] = count }
        #expect(counts == Dictionary(grouping: list.values, by: \.filter).mapValues(\.count))
        for number in list.keys { #expect(tree.remove(number) != nil) }
        #expect(tree.nodeCount == 0)
        tree.forEachFilter { filter, _ in Issue.record("\(filter) was not freed") }
        #expect(tree.count == 0)
    }
}
