import Testing

@testable import Broker

@Suite("Topic filters: coverage by several filters")
struct TopicCoverageTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let filter: String
        let others: [String]
        let isCovered: Bool
        var testDescription: String { "\(filter) by \(others)" }
    }

    static let cases = [
        Case(filter: "a", others: [], isCovered: false),
        Case(filter: "a", others: ["b", "a"], isCovered: true),
        Case(filter: "a/#", others: ["a", "a/+/#"], isCovered: true),
        Case(filter: "a/#", others: ["a/+/#"], isCovered: false),
        Case(filter: "a/#", others: ["a", "a/+", "a/+/+/#"], isCovered: true),
        Case(filter: "a/#", others: ["a", "a/b/#"], isCovered: false),
        Case(filter: "a/+", others: ["a/b", "a/+/#"], isCovered: true),
        Case(filter: "a/+", others: ["a/b", "a/c"], isCovered: false),
        Case(filter: "#", others: ["+", "+/+/#"], isCovered: true),
        Case(filter: "#", others: ["+", "a/#"], isCovered: false),
        Case(filter: "+/x", others: ["a/x", "+/+"], isCovered: true),
        Case(filter: "$SYS/#", others: ["#", "+/#"], isCovered: false),
        Case(filter: "$SYS/#", others: ["#", "$SYS", "$SYS/+/#"], isCovered: true),
        Case(filter: "+/#", others: ["+", "$x/#", "+/+/#"], isCovered: true),
    ]

    @Test(arguments: cases)
    func covers(_ expected: Case) throws {
        let others = try expected.others.map { try filter($0) }
        #expect(try filter(expected.filter).isCovered(by: others) == expected.isCovered)
    }

    /// Every topic of a few levels is tried.
    @Test(arguments: 0..<60)
    func agreesWithExhaustiveSearch(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let names = ["a", "b", "other", "$x"]
        var topics = names
        for _ in 0..<4 {
            topics += topics.flatMap { prefix in names.map { "\(prefix)/\($0)" } }
            topics = Array(Set(topics))
        }
        topics.removeAll { $0.split(separator: "/").count > 5 }
        let all = try topics.map { try topic($0) }
        for _ in 0..<20 {
            let wanted = try randomFilter(&random)
            let others = try (0..<Int.random(in: 1...4, using: &random)).map { _ in try randomFilter(&random) }
            let isCovered = all.allSatisfy { topic in
                !wanted.matches(topic) || others.contains { $0.matches(topic) }
            }
            #expect(wanted.isCovered(by: others) == isCovered, "\(wanted) by \(others)")
        }
    }

    private func randomFilter(_ random: inout SeededGenerator) throws -> TopicFilter {
        let choices = ["a", "b", "+", "+", "$x"]
        var levels = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            choices[Int.random(in: 0..<choices.count, using: &random)]
        }
        if levels.isEmpty || Int.random(in: 0..<2, using: &random) == 0 { levels.append("#") }
        return try filter(levels.joined(separator: "/"))
    }

    @Test func givesUpWhenTheSearchTakesTooLong() throws {
        // Each level doubles the number of cases.
        let others = try (0..<30).map { level in
            try filter(String(repeating: "+/", count: level) + "a/" + String(repeating: "+/", count: 30 - level) + "b")
        }
        #expect(try !filter(String(repeating: "+/", count: 31) + "b").isCovered(by: others))
    }
}
