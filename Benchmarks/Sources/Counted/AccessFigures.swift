import Broker
import Counting

/// What it costs to know whether a client may do something, with a hundred rules.
enum AccessFigures {
    static func record(in tally: Tally) throws {
        guard tally.wants("access/") else { return }
        let principal = Principal(.password, user: "alice", roles: ["sensor"])
        let grants = GrantTable(Access(try rules()))
        let box = grants.box(for: principal) { Subject(principal) }
        let topics = try (0..<20).map { try Topic("plant/\($0 * 5)/line/3/temperature") }
        let filters = try (0..<20).map { try TopicFilter("plant/\($0 * 5)/line/+/temperature") }
        var found = 0
        try tally.record("access/publish-100-rules", operations: 20) {
            for topic in topics where opaque(box).mayPublish(to: topic) { found += 1 }
        }
        try tally.record("access/subscribe-100-rules", operations: 20) {
            for filter in filters where opaque(box).verdict(on: filter) == .allowed { found += 1 }
        }
        let client = Client(
            id: 1, principal, address: "", listener: "", protocolName: "topic", connectedAt: 0, grants)
        // As a session has it that publishes again.
        let same = topics[1]
        try tally.record("access/publish-same-topic", operations: 20) {
            for _ in 0..<20 where client.mayPublish(to: same, grants) { found += 1 }
        }
        // The same bytes in other memory.
        let equal = try (0..<20).map { _ in try Topic("plant/\(opaque(5))/line/3/temperature") }
        try tally.record("access/publish-equal-topic", operations: 20) {
            for topic in equal where client.mayPublish(to: topic, grants) { found += 1 }
        }
        // As on loopback without a configuration, beside rules for others.
        var open = AccessRule.Condition()
        open.isAnonymous = true
        var everything = AccessRule(for: open)
        (everything.publish, everything.subscribe) = ([try FilterTemplate("#")], [try FilterTemplate("#")])
        let free = GrantTable(Access([everything] + (try rules())))
        let anonymous = Client(
            id: 2, .anonymous, address: "", listener: "", protocolName: "topic", connectedAt: 0, free)
        try tally.record("access/publish-anonymous", operations: 20) {
            for topic in topics where anonymous.mayPublish(to: topic, free) { found += 1 }
        }
        // The first of a user, after the start or a change of rules.
        let access = Access(try rules("{user}/"))
        let own = GrantTable(access)
        let users = (0..<20).map { Principal(.password, user: "user\($0)", roles: ["sensor"]) }
        try tally.record("access/grant-100-rules", operations: 20, before: { own.adopt(access) }) {
            for user in users { keep(own.box(for: user) { Subject(user) }) }
        }
        precondition(found % 20 == 0 && found > 0, "\(found) allowed")
    }

    /// A hundred that apply, each with a place of its own, and two that deny.
    ///
    /// - Parameter begin: what their filters begin with.
    static func rules(_ begin: String = "") throws -> [AccessRule] {
        var condition = AccessRule.Condition()
        condition.role = "sensor"
        return try (0..<100).map { number in
            var rule = AccessRule(for: condition)
            rule.publish = [try FilterTemplate("\(begin)plant/\(number)/line/+/temperature")]
            rule.subscribe = [try FilterTemplate("\(begin)plant/\(number)/#")]
            if number % 50 == 0 {
                rule.denySubscribe = [try FilterTemplate("\(begin)plant/\(number)/secret/#")]
                rule.denyPublish = [try FilterTemplate("\(begin)plant/\(number)/line/0/temperature")]
            }
            return rule
        }
    }
}
