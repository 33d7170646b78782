import Synchronization
import Testing

@testable import Broker

/// The meaning of rules, found by trying every topic of a small world.
private struct RightsModel {
    static let names = ["a", "b", "", "$SYS", "$x"]
    /// Up to four levels, made of the names and of one name that no filter has.
    static let topics: [Topic] = {
        var all: [[String]] = [[]]
        var last = all
        for _ in 0..<4 {
            last = last.flatMap { start in (names + ["z"]).map { start + [$0] } }
            all += last
        }
        return all.compactMap { try? Topic($0.joined(separator: "/")) }
    }()

    /// What was found out by any test, because each filter takes a while.
    private static let known = Mutex<[String: [UInt64]]>([:])

    /// The topics that a filter matches, a bit each.
    func matched(by name: String) -> [UInt64] {
        let filter = try? TopicFilter(name)
        return Self.bits(for: name) { filter?.matches($0) ?? false }
    }

    /// The same for a filter of a rule.
    func ruled(by name: String) -> [UInt64] {
        name == "#" ? Self.bits(for: "rule #") { !$0.isSystem } : matched(by: name)
    }

    private static func bits(for name: String, _ isIn: (Topic) -> Bool) -> [UInt64] {
        if let bits = known.withLock({ $0[name] }) { return bits }
        let bits = bits(isIn)
        known.withLock { $0[name] = bits }
        return bits
    }

    private static func bits(_ isIn: (Topic) -> Bool) -> [UInt64] {
        var bits = [UInt64](repeating: 0, count: topics.count / 64 + 1)
        for (number, topic) in topics.enumerated() where isIn(topic) { bits[number / 64] |= 1 << UInt64(number % 64) }
        return bits
    }
}

@Suite("Rights compared with a model of the rules")
struct GrantModelTests {
    private struct Rule {
        var isForPrincipal = true
        var rule = AccessRule()
        var publish: [String] = []
        var subscribe: [String] = []
        var retain: [String]?
        var denyPublish: [String] = []
        var denySubscribe: [String] = []
    }

    private static func filter(_ random: inout SeededGenerator) -> String {
        var levels = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            Int.random(in: 0..<3, using: &random) == 0 ? "+" : RightsModel.names.randomElement(using: &random) ?? "a"
        }
        if Int.random(in: 0..<3, using: &random) == 0 { levels[levels.count - 1] = "#" }
        let name = levels.joined(separator: "/")
        return name.isEmpty ? "a" : name
    }

    private static func filters(_ most: Int, _ random: inout SeededGenerator) -> [String] {
        (0..<Int.random(in: 0...most, using: &random)).map { _ in filter(&random) }
    }

    /// The same filter with a placeholder in the place of each `a`.
    private static func template(_ name: String, _ random: inout SeededGenerator) throws -> FilterTemplate {
        let text = name.split(separator: "/", omittingEmptySubsequences: false).map { level in
            level == "a" && Bool.random(using: &random)
                ? ["{user}", "{claim.x}"].randomElement(using: &random) ?? "a" : String(level)
        }
        return try FilterTemplate(text.joined(separator: "/"))
    }

    private static func rule(_ random: inout SeededGenerator) throws -> Rule {
        var made = Rule()
        var condition = AccessRule.Condition()
        switch Int.random(in: 0..<5, using: &random) {
        case 0: condition.user = "a"
        case 1: condition.role = "r"
        case 2:
            condition.role = "other"
            made.isForPrincipal = false
        case 3:
            condition.isAnonymous = true
            made.isForPrincipal = false
        default: condition.isEveryone = true
        }
        made.rule = AccessRule(for: condition)
        made.publish = filters(3, &random)
        made.subscribe = filters(3, &random)
        made.retain = Bool.random(using: &random) ? nil : filters(2, &random)
        made.denyPublish = filters(1, &random)
        made.denySubscribe = filters(1, &random)
        made.rule.publish = try made.publish.map { try template($0, &random) }
        made.rule.subscribe = try made.subscribe.map { try template($0, &random) }
        made.rule.retain = try made.retain?.map { try template($0, &random) }
        made.rule.denyPublish = try made.denyPublish.map { try template($0, &random) }
        made.rule.denySubscribe = try made.denySubscribe.map { try template($0, &random) }
        return made
    }

    @Test(arguments: 0..<10)
    func agreesWithTheModel(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let model = RightsModel()
        let subject = Subject(Principal(.jwt, user: "a", roles: ["r"], claims: ["x": ["a"]]))
        var found: [Bool: Int] = [:]
        for number in 0..<1000 {
            let rules = try (0..<Int.random(in: 1...4, using: &random)).map { _ in try Self.rule(&random) }
            let grant = AccessRules(rules.map(\.rule)).grant(for: subject)
            let shuffled = AccessRules(rules.map(\.rule).shuffled(using: &random)).grant(for: subject)
            #expect(grant == shuffled, "their order means nothing")
            let mine = rules.filter(\.isForPrincipal)
            for _ in 0..<8 {
                let place = Int.random(in: 0..<RightsModel.topics.count, using: &random)
                func holds(_ names: [String]) -> Bool {
                    names.contains { model.ruled(by: $0)[place / 64] & 1 << UInt64(place % 64) != 0 }
                }
                let isDenied = holds(mine.flatMap(\.denyPublish))
                let topic = RightsModel.topics[place]
                let may = holds(mine.flatMap(\.publish)) && !isDenied
                #expect(grant.mayPublish(to: topic) == may, "\(number): publish \(topic)")
                let mayRetain = holds(mine.flatMap { $0.retain ?? $0.publish }) && !isDenied
                #expect(grant.publishing(to: topic).contains(.retain) == mayRetain, "\(number): retain \(topic)")
                if grant.publishesAnywhere { #expect(topic.isSystem || may && mayRetain) }
                // The explanation agrees with the decision.
                let filter = TopicFilter(topic)
                #expect((grant.verdict(onTopic: filter, .publish) == .allowed) == may)
                #expect((grant.verdict(onTopic: filter, .retain) == .allowed) == mayRetain)
                found[may, default: 0] += 1
            }
            for _ in 0..<8 {
                let name = Self.filter(&random)
                let wanted = model.matched(by: name)
                let isCovered = mine.flatMap(\.subscribe).contains { allow in
                    zip(wanted, model.ruled(by: allow)).allSatisfy { $0 & ~$1 == 0 }
                }
                let denies = mine.flatMap(\.denySubscribe).filter { deny in
                    zip(wanted, model.ruled(by: deny)).contains { $0 & $1 != 0 }
                }
                switch grant.verdict(on: try TopicFilter(name)) {
                case .allowed: #expect(isCovered && denies.isEmpty, "\(number): subscribe \(name)")
                case .notAllowed: #expect(!isCovered, "\(number): subscribe \(name)")
                case .denied(let deny):
                    // Perhaps with another name: `/#` is `/+/#`.
                    let named = model.ruled(by: deny.name)
                    #expect(
                        isCovered && denies.contains { model.ruled(by: $0) == named }, "\(number): subscribe \(name)")
                }
                found[isCovered && denies.isEmpty, default: 0] += 1
            }
        }
        #expect(found[true] ?? 0 > 1000 && found[false] ?? 0 > 1000, "both kinds were tried")
    }
}
