import Testing

@testable import Broker

@Suite("What rules allow and deny")
struct GrantTests {
    /// A grant of one rule.
    private func grant(
        publish: [String] = [], subscribe: [String] = [], retain: [String]? = nil, denyPublish: [String] = [],
        denySubscribe: [String] = []
    ) throws -> Grant {
        var condition = AccessRule.Condition()
        condition.isAnonymous = true
        var rule = AccessRule(for: condition)
        rule.publish = try publish.map { try FilterTemplate($0) }
        rule.subscribe = try subscribe.map { try FilterTemplate($0) }
        rule.retain = try retain?.map { try FilterTemplate($0) }
        rule.denyPublish = try denyPublish.map { try FilterTemplate($0) }
        rule.denySubscribe = try denySubscribe.map { try FilterTemplate($0) }
        return AccessRules([rule]).grant(for: Subject(.anonymous))
    }

    /// A list, a topic, and whether it may be published to.
    static let publishing: [([String], String, Bool)] = [
        ([], "a", false), (["a"], "a", true), (["a"], "a/b", false), (["a"], "A", false), (["a/+"], "a/b", true),
        (["a/+"], "a", false), (["a/#"], "a", true), (["a/#"], "a/b/c", true), (["b", "a/+"], "a/b", true),
        (["+/b"], "a/b", true), (["+/b"], "$a/b", false), (["$a/#"], "$a/b", true), (["#"], "a", true),
        (["#"], "$a/b", true), (["#"], "$SYS", false), (["#"], "$SYS/a", false), (["#"], "$SYSTEM/a", true),
        (["$SYS/#"], "$SYS/a", true), (["+/#"], "$a/b", false), (["+"], "$a", false), (["/#"], "/a", true),
        (["é"], "e\u{301}", false),
    ]

    @Test(arguments: publishing)
    func allowsPublishing(list: [String], name: String, isAllowed: Bool) throws {
        #expect(try grant(publish: list).mayPublish(to: topic(name)) == isAllowed)
        #expect(
            try grant(publish: list).publishing(to: topic(name)).contains(.retain) == isAllowed,
            "without a list of its own")
        #expect(try !grant(subscribe: list).mayPublish(to: topic(name)), "another right")
        #expect(try Grant.everything.mayPublish(to: topic(name)))
        #expect(try !grant(publish: list, denyPublish: list).mayPublish(to: topic(name)), "deny wins")
        #expect(try !grant(publish: list, denyPublish: list).publishing(to: topic(name)).contains(.retain), "deny wins")
    }

    /// A list, a filter, and whether everything it can match may be read.
    static let subscribing: [([String], String, Bool)] = [
        ([], "a", false), (["a"], "a", true), (["a"], "+", false), (["a"], "#", false), (["a/+"], "a/b", true),
        (["a/+"], "a/+", true), (["a/+"], "a/#", false), (["a/#"], "a/+/c", true), (["a/#"], "a", true),
        (["a/#"], "a/#", true), (["a/#"], "+/b", false), (["+/#"], "#", true), (["+/#"], "$a", false),
        (["#"], "#", true), (["#"], "$a/#", true), (["#"], "$SYS/#", false), (["#"], "$SYS", false),
        (["#", "$SYS/#"], "$SYS/broker/#", true), (["$a/#"], "$a/+", true), (["/+/#"], "/#", true),
        (["/#"], "/+/#", true),
        // Two filters that cover it together do not count: each filter is considered alone.
        (["a", "a/+/#"], "a/#", false),
    ]

    @Test(arguments: subscribing)
    func allowsSubscribing(list: [String], name: String, isAllowed: Bool) throws {
        #expect(try grant(subscribe: list).maySubscribe(to: filter(name)) == isAllowed)
        #expect(try !grant(publish: list).maySubscribe(to: filter(name)), "another right")
        #expect(try Grant.everything.maySubscribe(to: filter(name)))
    }

    /// The denied filters, a filter, and the deny that applies to it.
    static let denying: [([String], String, String?)] = [
        ([], "#", nil), (["a/secret/#"], "a/#", "a/secret/#"), (["a/secret/#"], "#", "a/secret/#"),
        (["a/secret/#"], "a/+", "a/secret/#"), (["a/secret/#"], "a/secret", "a/secret/#"),
        (["a/secret/#"], "a/open/#", nil), (["a/secret/#"], "+/+/x", "a/secret/#"), (["+/x"], "a/#", "+/x"),
        (["+/x"], "$a/x", nil), (["$a/x"], "#", nil), (["$a/x"], "$a/+", "$a/x"), (["#"], "a", "#"),
        (["#"], "$SYS/a", nil), (["+/#"], "a", "+/#"), (["a"], "a/#", "a"), (["a/b/c"], "a/#", "a/b/c"),
    ]

    @Test(arguments: denying)
    func namesTheDenyThatApplies(list: [String], name: String, found: String?) throws {
        let grant = try grant(subscribe: ["#", "$SYS/#"], denySubscribe: list)
        #expect(try grant.verdict(on: filter(name)) == (found.map { .denied(try filter($0)) } ?? .allowed))
    }

    @Test func retainingMayBeNarrowerThanPublishing() throws {
        let grant = try grant(publish: ["t/#"], retain: ["t/state/#"])
        #expect(try grant.mayPublish(to: topic("t/a")) && !grant.publishing(to: topic("t/a")).contains(.retain))
        #expect(
            try grant.mayPublish(to: topic("t/state/a")) && grant.publishing(to: topic("t/state/a")).contains(.retain))
        #expect(!grant.publishesAnywhere)
    }

    @Test func aTokenNeverExceedsItsUsersRights() throws {
        var everyone = AccessRule.Condition()
        everyone.isEveryone = true
        var rule = AccessRule(for: everyone)
        rule.publish = [try FilterTemplate("a/#")]
        rule.subscribe = [try FilterTemplate("#")]
        var most = AccessRule()
        most.publish = [try FilterTemplate("#")]
        most.subscribe = [try FilterTemplate("a/+")]
        let principal = Principal(.token, user: "ci", ceilings: [most])
        let grant = AccessRules([rule]).grant(for: Subject(principal))
        #expect(try grant.mayPublish(to: topic("a/b")) && !grant.mayPublish(to: topic("b")))
        #expect(try grant.maySubscribe(to: filter("a/+")) && !grant.maySubscribe(to: filter("a/#")))
        #expect(!grant.publishesAnywhere)
    }

    @Test func knowsWhetherEveryTopicIsAllowed() throws {
        #expect(try grant(publish: ["#"]).publishesAnywhere)
        #expect(try !grant(subscribe: ["#"]).publishesAnywhere)
        #expect(try !grant(publish: ["#"], denyPublish: ["a"]).publishesAnywhere)
        #expect(try !grant(publish: ["#"], denyPublish: ["#"]).publishesAnywhere)
        #expect(try !grant(publish: ["#"], retain: []).publishesAnywhere)
        #expect(Grant.everything.publishesAnywhere)
        #expect(!Grant.nothing.publishesAnywhere)
    }

    // MARK: For whom a rule is

    @Test func aRuleAppliesOnlyIfAllItsConditionsHold() throws {
        var condition = AccessRule.Condition()
        condition.user = "alice"
        condition.role = "sensor"
        condition.addresses = [try #require(AddressRange("10.0.0.0/8"))]
        condition.listener = "0.0.0.0:1"
        func applies(
            _ user: String?, _ roles: Set<ExactText>, _ address: String? = "10.1.2.3", _ listener: String = "0.0.0.0:1"
        ) -> Bool {
            let principal = Principal(.password, user: user, roles: roles)
            return condition.applies(to: Subject(principal, address: address, listener: listener))
        }
        #expect(applies("alice", ["sensor", "other"]))
        #expect(!applies("bob", ["sensor"]) && !applies("alice", ["other"]))
        #expect(!applies("alice", ["sensor"], "11.1.2.3") && !applies("alice", ["sensor"], nil))
        #expect(!applies("alice", ["sensor"], "10.1.2.3", "0.0.0.0:2"))
    }

    @Test func everyoneExcludesAnonymousClients() {
        var everyone = AccessRule.Condition()
        everyone.isEveryone = true
        var anonymous = AccessRule.Condition()
        anonymous.isAnonymous = true
        let (nobody, somebody) = (Subject(.anonymous), Subject(Principal(.jwt, user: "a")))
        #expect(everyone.applies(to: somebody) && !everyone.applies(to: nobody))
        #expect(anonymous.applies(to: nobody) && !anonymous.applies(to: somebody))
        #expect(!AccessRule.Condition().applies(to: somebody) && !AccessRule.Condition().applies(to: nobody))
    }

    /// A network, an address, and whether it lies within.
    static let networks: [(String, String, Bool)] = [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "::1", false), ("::/0", "1.2.3.4", true), ("192.168.1.7", "192.168.1.7", true),
        ("192.168.1.7", "192.168.1.8", false), ("fd00::/8", "fd12::1", true), ("fd00::/8", "fe80::1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("::1", "::1", true), ("10.0.0.0/8", "10.0.0.0.evil", false),
    ]

    @Test(arguments: networks)
    func matchesAddressesAgainstNetworks(network: String, address: String, isWithin: Bool) throws {
        #expect(try #require(AddressRange(network)).contains(address) == isWithin)
    }

    @Test(arguments: [
        "", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "a", "1.2.3.4/8/8", "::/129",
    ])
    func rejectsMalformedNetworks(text: String) { #expect(AddressRange(text) == nil) }

    // MARK: Boxes

    @Test func principalsWithEqualRightsShareABox() throws {
        var tenants = AccessRule.Condition()
        tenants.role = "tenant"
        var rule = AccessRule(for: tenants)
        rule.publish = [try FilterTemplate("t/{claim.tenant}/#")]
        let table = GrantTable(Access([rule]))
        func box(_ tenant: String, _ color: String) -> GrantBox {
            // Each token has its own name, like a token that replaces another.
            let principal = Principal(
                .jwt, user: "u", roles: ["tenant"], claims: ["tenant": [tenant], "color": [color]], token: color)
            return table.box(for: principal) { Subject(principal) }
        }
        let (one, same, other) = (box("1", "red"), box("1", "blue"), box("2", "red"))
        #expect(one === same && one !== other)
        #expect(try one.grant.mayPublish(to: topic("t/1/a")) && !one.grant.mayPublish(to: topic("t/2/a")))
        table.adopt(Access([]))
        #expect(!one.isCurrent && !other.isCurrent)
        let now = box("1", "red")
        #expect(try now.isCurrent && !now.grant.mayPublish(to: topic("t/1/a")))
    }

    /// A cached decision is valid for one topic, one set of rights and one version of the rules.
    @Test func aCachedDecisionEndsWithItsRules() throws {
        var sensors = AccessRule.Condition()
        sensors.role = "sensor"
        var rule = AccessRule(for: sensors)
        rule.publish = [try FilterTemplate("plant/5/line/+")]
        rule.retain = []
        let table = GrantTable(Access([rule]))
        let client = Client(
            id: 1, Principal(.password, user: "alice", roles: ["sensor"]), address: "", listener: "",
            protocolName: "topic", connectedAt: 0, table)
        let allowed = try topic("plant/5/line/3")
        for _ in 0..<2 {
            #expect(client.mayPublish(to: allowed, table))
            #expect(client.mayPublish(to: try topic("plant/5/line/" + "3"), table), "in other memory")
            #expect(!client.has(.retain, for: allowed, table))
            #expect(try !client.mayPublish(to: topic("plant/5/line/3/x"), table))
        }
        #expect(client.mayPublish(to: allowed, table))
        table.adopt(Access([]))
        #expect(!client.mayPublish(to: allowed, table))
        table.adopt(Access([rule]))
        #expect(client.mayPublish(to: allowed, table))
    }

    /// `String` treats the Kelvin sign as a K; a user's name is bytes.
    @Test func namesWithDifferentBytesGetSeparateBoxes() throws {
        var sensors = AccessRule.Condition()
        sensors.role = "Kelvin"
        var rule = AccessRule(for: sensors)
        rule.publish = [try FilterTemplate("s/{user}/{claim.c}/#")]
        let table = GrantTable(Access([rule]))
        func box(_ user: String, _ role: String, _ claim: String) -> GrantBox {
            let principal = Principal(.jwt, user: user, roles: [role.exact], claims: ["c": [claim]])
            return table.box(for: principal) { Subject(principal) }
        }
        let kim = box("Kim", "Kelvin", "K")
        #expect(try kim === box("Kim", "Kelvin", "K") && kim.grant.mayPublish(to: topic("s/Kim/K/a")))
        for other in [
            box("\u{212A}im", "Kelvin", "K"), box("Kim", "\u{212A}elvin", "K"), box("Kim", "Kelvin", "\u{212A}"),
        ] {
            #expect(try other !== kim && !other.grant.mayPublish(to: topic("s/Kim/K/a")))
        }
        #expect(!Principal(.jwt, user: "Kim").isSameUser(as: Principal(.jwt, user: "\u{212A}im")))
    }

    @Test func freesBoxesWithoutClients() throws {
        let table = GrantTable(Access([]))
        func box(_ user: String) -> GrantBox {
            let principal = Principal(.password, user: user)
            return table.box(for: principal) { Subject(principal) }
        }
        let kept = (0..<10).map { box("kept \($0)") }
        for number in 0..<1000 { _ = box("\(number)") }
        #expect(table.count <= 74)
        for number in 0..<10 { #expect(box("kept \(number)") === kept[number]) }
    }

    @Test func rulesOnAddressOrClientMakeSeparateBoxes() throws {
        let principal = Principal(.password, user: "a")
        func box(_ table: GrantTable, _ address: String, _ client: String) -> GrantBox {
            table.box(for: principal) { Subject(principal, address: address, client: client) }
        }
        var everyone = AccessRule.Condition()
        everyone.isEveryone = true
        let table = GrantTable(Access([AccessRule(for: everyone)]))
        #expect(box(table, "10.0.0.1", "1") === box(table, "10.0.0.2", "2"))
        everyone.addresses = [try #require(AddressRange("10.0.0.1"))]
        var rule = AccessRule(for: everyone)
        rule.publish = [try FilterTemplate("a")]
        table.adopt(Access([rule]))
        #expect(try box(table, "10.0.0.1", "1").grant.mayPublish(to: topic("a")))
        #expect(try !box(table, "10.0.0.2", "1").grant.mayPublish(to: topic("a")))
        #expect(box(table, "10.0.0.1", "1") === box(table, "10.0.0.1", "2"))
        rule.publish = [try FilterTemplate("{client}")]
        table.adopt(Access([rule]))
        #expect(try box(table, "10.0.0.1", "1").grant.mayPublish(to: topic("1")))
        #expect(try !box(table, "10.0.0.1", "2").grant.mayPublish(to: topic("1")))
    }
}

extension Grant {
    /// Whether everything that `filter` can match may be read.
    func maySubscribe(to filter: TopicFilter) -> Bool { verdict(on: filter) == .allowed }
}
