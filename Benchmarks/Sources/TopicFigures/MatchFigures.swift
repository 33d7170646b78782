import Counting

/// What it costs to find the subscriptions of a topic.
package enum MatchFigures {
    private struct Entry: TreeEntry { let subscription: UInt32 }

    package static func record(in tally: Tally) throws {
        guard tally.wants("match/") else { return }
        try recordKinds(in: tally)
        try recordWorst(in: tally)
        try recordDeep(in: tally)
        try recordMillion(in: tally)
    }

    /// A tree of a few thousand filters, asked for a topic that one filter of each kind matches.
    private static func recordKinds(in tally: Tally) throws {
        for (name, filter) in [
            ("literal", "plant/7/line/3/temperature"), ("plus", "plant/+/line/+/temperature"), ("rest", "plant/7/#"),
        ] {
            var tree = SubscriptionTree<Entry>()
            for number in 0..<2_000 { tree.insert(Entry(subscription: UInt32(number)), at: try other(number)) }
            tree.insert(Entry(subscription: 5_000), at: try TopicFilter(filter))
            try count("match/\(name)", tree, "plant/7/line/3/temperature", expecting: 1, in: tally)
        }
        var tree = SubscriptionTree<Entry>()
        for number in 0..<2_000 { tree.insert(Entry(subscription: UInt32(number)), at: try other(number)) }
        try count("match/none", tree, "plant/7/line/3/temperature", expecting: 0, in: tally)
    }

    /// Half of them with wildcards.
    private static func other(_ number: Int) throws -> TopicFilter {
        try TopicFilter(number % 2 == 0 ? "plant/\(number)/line/1/pressure" : "hall/\(number)/+/pressure")
    }

    /// Every filter that matches a topic of ten levels, `+` or its name at each: the walk visits all 2¹⁰ of them.
    private static func recordWorst(in tally: Tally) throws {
        var tree = SubscriptionTree<Entry>()
        for bits in 0..<1024 {
            let levels = (0..<10).map { bits >> $0 & 1 == 0 ? "l\($0)" : "+" }
            tree.insert(
                Entry(subscription: UInt32(bits)), at: try TopicFilter(levels.joined(separator: "/"), limits: .none))
        }
        let topic = (0..<10).map { "l\($0)" }.joined(separator: "/")
        try count("match/worst-1024-of-10-levels", tree, topic, expecting: 1024, in: tally)
    }

    /// Filters that differ by which eight of thirty levels are `+`, and all match: 64 of them share a step.
    private static func recordDeep(in tally: Tally) throws {
        var tree = SubscriptionTree<Entry>()
        for number in 0..<10_000 {
            let single = Set((0..<8).map { (number >> $0 + $0 * number) % 30 })
            let filter = (0..<30).map { single.contains($0) ? "+" : "l" }.joined(separator: "/") + "/#"
            tree.insert(Entry(subscription: UInt32(number)), at: try TopicFilter(filter, limits: .none))
        }
        // No topic comes twice, or it would be remembered.
        let beginning = String(repeating: "l/", count: 30)
        let topics = try (0..<20).map { try Topic("\(beginning)\($0)", limits: .none) }
        let name = "match/deep-10000-of-30-levels"
        guard tally.wants(name) else { return }
        var found = 0
        try tally.record(name, operations: 20) {
            for topic in topics { tree.forEachMatch(of: topic) { found += $0.count } }
        }
        precondition(found % (10_000 * topics.count) == 0 && found > 0, "\(name): \(found) found")
    }

    private static func recordMillion(in tally: Tally) throws {
        var tree = SubscriptionTree<Entry>()
        for number in 0..<1_000_000 {
            let name = "site/\(number >> 10)/device/\(number & 1023)"
            let filter = try TopicFilter(number % 10 == 0 ? name + "/+" : name + "/state")
            tree.insert(Entry(subscription: UInt32(number)), at: filter)
        }
        try count("match/million-literal", tree, "site/500/device/501/state", expecting: 1, in: tally)
        try count("match/million-plus", tree, "site/0/device/500/state", expecting: 1, in: tally)
    }

    private static func count(
        _ name: String, _ tree: borrowing SubscriptionTree<Entry>, _ topic: String, expecting expected: Int,
        in tally: Tally
    ) throws {
        guard tally.wants(name) else { return }
        let topic = opaque(try Topic(topic))
        var found = 0
        try tally.record(name, operations: 20) {
            for _ in 0..<20 { tree.forEachMatch(of: topic) { found += $0.count } }
        }
        precondition(found % max(expected, 1) == 0 && (found > 0) == (expected > 0), "\(name): \(found) found")
    }
}
