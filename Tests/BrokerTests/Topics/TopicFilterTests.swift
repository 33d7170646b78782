import Broker
import Testing

@Suite("MQTT 5.0 §4.7.1, §4.7.2: topic filters")
struct TopicFilterTests {
    @Test(arguments: [
        "#", "+", "/", "/+", "+/", "+/+", "+/#", "/#", "//#", "sport/#", "sport/tennis/#", "sport/tennis/player1/#",
        "+/tennis/#",
        "sport/+", "sport/+/player1", "$SYS/#", "$SYS/+/x", "+/+/+", "a", "a//+//#", "日本/+/#",
    ])
    func accepts(name: String) throws {
        let filter = try TopicFilter(name)
        #expect(filter.name == name)
        #expect(filter.description == name)
        #expect(filter.isLiteral == !(name.contains("+") || name.contains("#")))
        #expect((filter.literalTopic != nil) == filter.isLiteral)
        #expect(filter.beginsWithWildcard == (name.hasPrefix("+") || name.hasPrefix("#")))
        #expect(try TopicFilter(bytes: Array(name.utf8).span) == filter)
    }

    static let refused: [(String, TopicError)] = [
        ("", .empty),
        ("sport/tennis#", .misplacedWildcard("#", level: 2)),
        ("sport/tennis/#/ranking", .misplacedWildcard("#", level: 3)),
        ("#/a", .misplacedWildcard("#", level: 1)),
        ("#/", .misplacedWildcard("#", level: 1)),
        ("##", .misplacedWildcard("#", level: 1)),
        ("a/#b", .misplacedWildcard("#", level: 2)),
        ("sport+", .misplacedWildcard("+", level: 1)),
        ("+sport", .misplacedWildcard("+", level: 1)),
        ("a/++", .misplacedWildcard("+", level: 2)),
        ("a/+b/c", .misplacedWildcard("+", level: 2)),
        ("+#", .misplacedWildcard("+", level: 1)),
        ("#+", .misplacedWildcard("#", level: 1)),
        ("a/\u{0}/#", .controlCharacter("\u{0}", offset: 2)),
        ("+/\u{85}", .controlCharacter("\u{85}", offset: 2)),
        ("$share/group/a/#", .shared), ("$share/", .shared), ("$share", .shared),
    ]

    /// A filter that was accepted by an earlier version can still be unsubscribed.
    @Test func parsesSharedFiltersWithoutLimits() throws {
        #expect(try TopicFilter("$share/group/a", limits: .none).name == "$share/group/a")
        #expect(try TopicFilter("$shared/a").isLiteral && TopicFilter("$shar").isLiteral)
    }

    @Test(arguments: refused)
    func refuses(name: String, error: TopicError) {
        #expect(throws: error) { try TopicFilter(name) }
        #expect(throws: error) { try TopicFilter(bytes: Array(name.utf8).span) }
    }

    /// The specification's own examples, and common ones of other clients.
    static let matching: [(String, String)] = [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"), ("sport/#", "sport/"), ("sport/#", "sport/a/b/c"),
        ("#", "a"), ("#", "/"), ("#", "a/b/c"), ("#", "/a"), ("+/#", "a"), ("+/#", "/"),
        ("sport/tennis/+", "sport/tennis/player1"), ("sport/tennis/+", "sport/tennis/player2"),
        ("sport/+", "sport/"), ("+/+", "/finance"), ("/+", "/finance"), ("+", "finance"),
        ("$SYS/#", "$SYS/monitor/Clients"), ("$SYS/#", "$SYS"), ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a//+", "a//b"), ("a/+/b", "a//b"), ("//", "//"), ("+//+", "a//b"), ("a/+/#", "a/b"), ("a/+/#", "a/"),
        ("/#", "/"), ("/#", "/a/b"), ("a/$x/+", "a/$x/b"), ("+/$x", "a/$x"), ("+/+/", "a/b/"), ("ä/+", "ä/ö"),
    ]

    @Test(arguments: matching)
    func matches(filter: String, topic: String) throws {
        #expect(try TopicFilter(filter).matches(Topic(topic)))
        #expect(matchesByDefinition(filter, topic))
    }

    static let notMatching: [(String, String)] = [
        ("sport/tennis/+", "sport/tennis/player1/ranking"), ("sport/tennis/+", "sport/tennis"), ("sport/+", "sport"),
        ("+", "/finance"), ("+", "/"), ("ACCOUNTS", "Accounts"), ("/finance", "finance"), ("finance/", "finance"),
        ("#", "$SYS"), ("#", "$SYS/a"), ("+/monitor/Clients", "$SYS/monitor/Clients"), ("+", "$"), ("+/#", "$x/a"),
        ("a/+/#", "a"), ("a/#", "ab"), ("a/#", "b/a"), ("ab/#", "a"), ("a/b", "a/b/"), ("a/+", "a/b/c"), ("+/+", "a"),
        ("/#", "a"), ("a/+/c", "a/b/d"), ("a/+/c", "a/b/cd"), ("a/+/cd", "a/b/c"), ("abc", "abd"),
        ("longer/than/eight", "longer/than/eigth"),
    ]

    @Test(arguments: notMatching)
    func doesNotMatch(filter: String, topic: String) throws {
        #expect(try !TopicFilter(filter).matches(Topic(topic)))
        #expect(!matchesByDefinition(filter, topic))
    }

    @Test(arguments: 0..<500)
    func agreesWithTheDefinition(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        for _ in 0..<50 {
            let filter = try schedule.filter()
            let topic = try schedule.topic()
            #expect(filter.matches(topic) == matchesByDefinition(filter.name, topic.name), "\(filter) and \(topic)")
        }
    }
}

@Suite("MQTT 5.0 §4.7: coverage of one filter by another")
struct TopicFilterCoverageTests {
    @Test(arguments: [
        ("#", "#"), ("#", "+"), ("#", "a/b"), ("#", "+/#"), ("+/#", "#"), ("/+/#", "/#"), ("/#", "/+/#"), ("a/#", "a"),
        ("a/#", "a/#"),
        ("a/#", "a/+/#"),
        ("a/+", "a/b"), ("+/b", "a/b"), ("a/#", "a/b/+/c"), ("$SYS/#", "$SYS/+"), ("$SYS/#", "$SYS"), ("+/+", "/"),
        ("a", "a"),
    ])
    func covers(wide: String, narrow: String) throws {
        #expect(try TopicFilter(wide).covers(TopicFilter(narrow)))
    }

    @Test(arguments: [
        ("#", "$SYS/#"), ("#", "$x"), ("+", "$x"), ("+/a", "$x/a"), ("+", "#"), ("a", "a/#"), ("a/+", "a/#"),
        ("a/+/#", "a/#"),
        ("a/b", "a/+"), ("+/b", "+/+"), ("/#", "#"), ("$SYS/#", "#"), ("a/#", "+/#"), ("+/+/#", "#"), ("a/b", "a"),
        ("a", "a/b"),
    ])
    func doesNotCover(wide: String, narrow: String) throws {
        #expect(try !TopicFilter(wide).covers(TopicFilter(narrow)))
    }

    /// All names of 1 to 4 levels over an alphabet with a level (`z`) that no filter below names, as a stand-in for
    /// "any other".
    static let topics: [Topic] = {
        var names: [String] = []
        var longer = ["a", "b", "", "$x", "z"]
        for _ in 0..<4 {
            names += longer
            longer = longer.flatMap { prefix in ["a", "b", "", "$x", "z"].map { prefix + "/" + $0 } }
        }
        return names.compactMap { try? Topic($0) }
    }()

    /// All filters of 1 to 3 levels over the same, without `z`.
    static let filters: [TopicFilter] = {
        let levels = ["a", "", "$x", "+"]
        let two = levels.flatMap { first in levels.map { first + "/" + $0 } }
        let three = two.flatMap { first in ["a", "+"].map { first + "/" + $0 } }
        let open = ["#"] + (levels + two).map { $0 + "/#" }
        return (levels + two + three + open).compactMap { try? TopicFilter($0) }
    }()

    /// With topics one level deeper than any filter, what is covered among them is covered among all.
    @Test(arguments: filters)
    func isExactForAllShortFilters(wide: TopicFilter) {
        let mine = Set(Self.topics.filter { wide.matches($0) })
        for narrow in Self.filters {
            let escapes = Self.topics.contains { narrow.matches($0) && !mine.contains($0) }
            #expect(wide.covers(narrow) == !escapes, "\(wide) covers \(narrow)")
        }
    }

    @Test(arguments: 0..<300)
    func claimsNoUncoveredTopic(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        let wide = try schedule.filter()
        for _ in 0..<20 {
            let narrow = try schedule.filter()
            guard wide.covers(narrow) else { continue }
            for topic in Self.topics where narrow.matches(topic) {
                #expect(wide.matches(topic), "\(wide) covers \(narrow) but not \(topic)")
            }
        }
    }
}
