import Foundation
import Testing

@testable import Broker

@Suite("Scans of retained values: MQTT 5.0 §4.7")
struct RetainedScanTests {
    private static let topics = [
        "a", "a/b", "a/b/c", "a/c", "a/x", "a/x/c", "a/x/c/d", "a/x/d", "a/y/b/c", "a/y/c", "a!", "a!/c", "ab", "ab/c",
        "/", "//", "/a", "a/", "a//c", "a//", "b", "b/x/c", "$SYS/x", "$SYS", "$", "%x",
        "ü/x/c", "ü",
    ]

    private static let filters = [
        "#", "+", "+/+", "+/+/c", "+/#", "a", "a/#", "a/+", "a/+/c", "a/+/c/#", "a/+/+", "a/b/c", "a/x/#", "/#", "/+",
        "+/",
        "//", "//#", "a/+/#", "a//+", "a//c", "$SYS/#", "$SYS/+", "$/#", "$", "nothing", "nothing/+", "z/#", "a!/#",
        "ü/+/c",
        "+/x/c", "+//c", "b/#", "+/+/+/+", "+/c",
    ]

    /// The results of a scan, in the store's order: that of the topics with `/` before all other bytes.
    private static func expected(_ topics: [String], _ name: String) throws -> [String] {
        try expected(topics.map { try topic($0) }, name)
            .sorted { sortKey($0).lexicographicallyPrecedes(sortKey($1)) }
    }

    private static func expected(_ topics: [Topic], _ name: String) throws -> [String] {
        let filter = try BrokerTests.filter(name)
        return topics.filter { filter.matches($0) }.map(\.name)
    }

    private static func sortKey(_ name: String) -> [UInt8] {
        name.utf8.map { $0 == UInt8(ascii: "/") ? 0 : $0 }
    }

    @Test(arguments: Conformer.allCases, filters)
    func findsMatchingTopics(conformer: Conformer, filter: String) throws {
        let made = try conformer.make()
        try made.store.apply(Self.topics.map { try retained($0, "x") }, reserving: nil)
        let expected = try Self.expected(Self.topics, filter)
        #expect(try matches(made.store, filter) == expected)
        for maximum in 1...5 { #expect(try matches(made.store, filter, visiting: maximum) == expected) }
    }

    @Test(arguments: Conformer.allCases, ["#", "a/+/c", "a/#", "+/+", "a/b"])
    func continuesAfterAnyTopic(conformer: Conformer, filter: String) throws {
        let made = try conformer.make()
        try made.store.apply(Self.topics.map { try retained($0, "x") }, reserving: nil)
        let expected = try Self.expected(Self.topics, filter)
        for position in Self.topics + ["a/bb", "0", "zz"] {
            var found: [String] = []
            let end = try made.store.scan(
                TopicFilter(filter), after: topic(position), visiting: .max, now: 0
            ) { message in
                found.append(message.topic.name)
                return true
            }
            #expect(end == .finished)
            #expect(found == expected.filter { Self.sortKey(position).lexicographicallyPrecedes(Self.sortKey($0)) })
        }
    }

    @Test(arguments: Conformer.allCases)
    func stopsWhenTheBodySaysSo(conformer: Conformer) throws {
        let made = try conformer.make()
        try made.store.apply(Self.topics.map { try retained($0, "x") }, reserving: nil)
        for filter in ["a/+/c", "#", "a"] {
            let expected = try Self.expected(Self.topics, filter)
            for stop in expected {
                var last: String?
                let end = try made.store.scan(TopicFilter(filter), after: nil, visiting: .max, now: 0) { message in
                    last = message.topic.name
                    return last != stop
                }
                #expect(end == .stopped(after: try topic(stop)))
                #expect(last == stop)
            }
        }
    }

    /// A scan does not read skipped keys: with 2,000 topics below each `a/N` it reads a handful.
    @Test func skipsKeysThatCannotMatch() throws {
        let made = try Conformer.lmdb.make()
        var messages: [Message] = []
        for first in ["x", "y"] {
            for second in 0..<2000 { messages.append(try retained("a/\(first)/b/\(second)", "x")) }
            messages.append(try retained("a/\(first)/c", "x"))
            for second in 0..<2000 { messages.append(try retained("a/\(first)/c/\(second)", "x")) }
        }
        for other in 0..<2000 { messages.append(try retained("b/\(other)", "x")) }
        try made.store.apply(messages, reserving: nil)
        var found: [String] = []
        let end = try made.store.scan(TopicFilter("a/+/c"), after: nil, visiting: 8, now: 0) { message in
            found.append(message.topic.name)
            return true
        }
        #expect(end == .finished)
        #expect(found == ["a/x/c", "a/y/c"])
    }

    // MARK: Long topics

    private static let long = String(repeating: "long/", count: 96)  // 480 bytes
    private static let longTopics: [String] = {
        var topics = ["long", "long/x", "a", "z", String(long.dropLast()), String(long.dropLast(2)), long + "\u{7e}"]
        for last in ["", "x", "x/y", "x/z", "x/y/z", "end", "/", "x/", "x/!"] { topics.append(long + last) }
        for last in ["a", "b/c", "z"] {
            for count in [18, 19, 20, 21, 31, 600] {
                topics.append(long + String(repeating: "m", count: count) + "/" + last)
                topics.append(long + last + "/" + String(repeating: "n", count: count))
            }
        }
        for first in ["p/", "q/"] { topics.append(first + String(repeating: "ö", count: 400) + "/end") }
        return topics
    }()

    private static let longFilters = [
        "#", "long/#", "+/#", long + "#", long + "+", long + "+/a", long + "+/b/c", long + "+/b/+", long + "x/#",
        long + "x/+",
        long + "a/#", long + "a/+", long + "b/c/+", long + "z/#", String(long.dropLast()),
        String(long.dropLast()) + "/#",
        String(repeating: "+/", count: 96) + "+", String(repeating: "+/", count: 96) + "+/z",
        String(repeating: "+/", count: 95) + "long/+/a", String(repeating: "+/", count: 96) + "b/#", "p/#", "+/+/end",
        "q/+/end",
        long + String(repeating: "m", count: 600) + "/+", long + String(repeating: "m", count: 19) + "/#",
        long + String(repeating: "m", count: 600) + "/a", long + "y/+",
    ]

    @Test(arguments: Conformer.allCases)
    func findsLongTopics(conformer: Conformer) throws {
        let made = try conformer.make()
        try made.store.apply(Self.longTopics.map { try retained($0, $0) }, reserving: nil)
        for name in Self.longTopics { #expect(try value(made.store, name) == name) }
        #expect(try value(made.store, Self.long + "never" + String(repeating: "m", count: 600)) == nil)
        for filter in Self.longFilters {
            let expected = try Self.expected(Self.longTopics, filter).sorted()
            for maximum in [1, 7, Int.max] {
                #expect(try matches(made.store, filter, visiting: maximum).sorted() == expected)
            }
        }
    }

    @Test(arguments: Conformer.allCases)
    func removesLongTopics(conformer: Conformer) throws {
        let made = try conformer.make()
        try made.store.apply(Self.longTopics.map { try retained($0, "x") }, reserving: nil)
        for (index, name) in Self.longTopics.enumerated() {
            try made.store.apply([retained(name, "")], reserving: nil)
            #expect(try value(made.store, name) == nil)
            #expect(try made.store.statistics().values == Self.longTopics.count - index - 1)
        }
        #expect(try made.store.statistics().payloadBytes == 0)
    }

    // MARK: Random values

    private static func randomName(_ random: inout SeededGenerator, filter: Bool = false) -> String {
        let words = ["", "a", "b", "ab", "a!", "$x", "long", String(repeating: "w", count: 200), "\u{7e}", "ö"]
        var levels = (0..<Int.random(in: 1...5, using: &random)).map { _ in words.randomElement(using: &random) ?? "a" }
        if filter {
            for index in levels.indices where Int.random(in: 0..<3, using: &random) == 0 { levels[index] = "+" }
            if Int.random(in: 0..<3, using: &random) == 0 { levels.append("#") }
        } else if Int.random(in: 0..<2, using: &random) == 0 {
            levels.append("\(Int.random(in: 0..<2000, using: &random))")
        }
        let name = levels.joined(separator: "/")
        return name.isEmpty ? "a" : name
    }

    @Test(arguments: Conformer.allCases, 0..<2)
    func agreesWithAModel(conformer: Conformer, seed: Int) throws {
        let made = try conformer.make()
        var random = SeededGenerator(seed: seed)
        var model: [String: String] = [:]
        for round in 0..<20 {
            var batch: [Message] = []
            for index in 0..<500 {
                let name = Self.randomName(&random)
                let payload = Int.random(in: 0..<6, using: &random) == 0 ? "" : "\(round)-\(index)"
                model[name] = payload.isEmpty ? nil : payload
                batch.append(try retained(name, payload))
            }
            try made.store.apply(batch, reserving: nil)
        }
        let statistics = try made.store.statistics()
        #expect(statistics.values == model.count)
        #expect(statistics.payloadBytes == model.values.reduce(0) { $0 + $1.utf8.count })
        let topics: [Topic] = try model.keys.map { try topic($0) }
        for name in model.keys.prefix(200) { #expect(try value(made.store, name) == model[name]) }
        for _ in 0..<100 {
            let filter = Self.randomName(&random, filter: true)
            let expected = try Self.expected(topics, filter).sorted()
            let maximum = [3, 50, Int.max].randomElement(using: &random) ?? 1
            #expect(try matches(made.store, filter, visiting: maximum).sorted() == expected, "filter \(filter)")
        }
    }
}
