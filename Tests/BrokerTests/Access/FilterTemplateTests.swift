import Testing

@testable import Broker

@Suite("Placeholders in the filters of rules")
struct FilterTemplateTests {
    /// A template, a user, a claim `x`, and the filters that come of it.
    static let rows: [(String, String?, [String], [String])] = [
        ("a/{user}/#", "bob", [], ["a/bob/#"]), ("a/{user}/#", nil, [], []), ("a/#", nil, [], ["a/#"]),
        ("a/{user}-in", "bob", [], ["a/bob-in"]), ("{user}/{user}", "bob", [], ["bob/bob"]),
        // Never a wildcard, never more than one level, never nothing.
        ("a/{user}/#", "+", [], []), ("a/{user}/#", "#", [], []), ("a/{user}/#", "a/b", [], []),
        ("a/{user}/#", "", [], []), ("a/{user}/#", "\u{0}", [], []), ("a/{user}/#", "x+", [], []),
        ("a/{user}/#", "$SYS", [], []), ("a/{user}/#", "é", [], ["a/é/#"]), ("a/{user}/#", "\u{202E}x", [], []),
        ("a/{user}/#", "\u{85}", [], []), ("a/{user}/#", String(repeating: "x", count: 129), [], []),
        ("a/{claim.x}", nil, ["+"], []), ("a/{claim.x}", nil, ["#"], []), ("a/{claim.x}", nil, ["a/b"], []),
        ("a/{claim.x}", nil, [""], []), ("a/{claim.x}", nil, ["\u{7F}"], []), ("a/{claim.x}", nil, ["\u{9F}"], []),
        ("a/{claim.x}", nil, ["1"], ["a/1"]), ("a/{claim.x}", nil, ["1", "+", "2"], ["a/1", "a/2"]),
        ("a/{claim.x}", nil, [String(repeating: "x", count: 257)], []),
        // No client becomes the broker.
        ("{claim.x}/#", nil, ["$SYS"], []), ("{claim.x}/#", nil, ["ok"], ["ok/#"]),
        ("a/{claim.x}", nil, ["$x"], ["a/$x"]),
        ("$app/{claim.x}", nil, ["1"], ["$app/1"]),
        // Braces.
        ("a/{{user}", "bob", [], ["a/{user}"]), ("a/b}", "bob", [], ["a/b}"]),
        ("{user}/{claim.x}", "bob", ["1", "2"], ["bob/1", "bob/2"]),
    ]

    @Test(arguments: rows)
    func expandsPlaceholdersToWholeValues(text: String, user: String?, claim: [String], expected: [String]) throws {
        let principal = Principal(.jwt, user: user, claims: ["x": claim])
        let filters = try FilterTemplate(text).filters(for: Subject(principal))
        #expect(filters.map(\.name) == expected)
        #expect(filters.allSatisfy { !$0.name.contains("{user") || text.contains("{{") })
    }

    private static func many(_ count: Int) -> [String] { (0..<count).map(String.init) }

    static let denials: [(String, String?, [String], [String])] = [
        ("a/{user}/#", "bob", [], ["a/bob/#"]), ("a/{user}/#", "a/b", [], ["a/+/#"]),
        ("a/{user}/#", nil, [], ["a/+/#"]),
        ("a/x{user}/s", "+", [], ["a/+/s"]), ("a/{claim.x}", nil, [], ["a/+"]), ("{claim.x}/#", nil, ["#"], ["#"]),
        ("a/{claim.x}", nil, ["1", "2"], ["a/1", "a/2"]), ("a/{claim.x}", nil, ["1", "a/b"], ["a/+"]),
        ("{claim.x}/#", nil, ["$x"], ["$x/#"]),
        ("a/{claim.x}", nil, many(33), ["a/+"]),
        ("a/{claim.x}/{claim.y}", nil, many(6), ["a/+/+"]),
        // To `Character`, a slash and an accent after it are one.
        ("a/b/\u{301}{user}/#", nil, [], ["a/b/+/#"]), ("a/\u{301}b/{user}", nil, [], ["a/\u{301}b/+"]),
        ("a/{claim.x}/b", nil, ["\u{301}"], ["a/\u{301}/b"]),
    ]

    /// A denial that did not apply would allow what it should deny.
    @Test(arguments: denials)
    func aDenialFailsClosed(text: String, user: String?, claim: [String], expected: [String]) throws {
        let principal = Principal(.jwt, user: user, claims: ["x": claim, "y": claim])
        #expect(try FilterTemplate(text).denied(for: Subject(principal)).map(\.name) == expected)
    }

    /// Two spellings of one accent: bytes count.
    @Test func claimNamesAreComparedByBytes() throws {
        let claims: [ExactText: [String]] = ["\u{E9}": ["composed"], "e\u{301}": ["decomposed"]]
        let subject = Subject(Principal(.jwt, user: "a", claims: claims))
        let filters = try FilterTemplate("{claim.\u{E9}}/{claim.e\u{301}}").filters(for: subject)
        #expect(filters.map(\.name) == ["composed/decomposed"])
    }

    @Test func deniesWhenAUserNameDoesNotFitATopicLevel() throws {
        var condition = AccessRule.Condition()
        condition.isEveryone = true
        var rule = AccessRule(for: condition)
        rule.subscribe = [try FilterTemplate("#")]
        rule.denySubscribe = [try FilterTemplate("secret/{user}/#")]
        let grant = AccessRules([rule]).grant(for: Subject(Principal(.jwt, user: "a/b")))
        #expect(!grant.maySubscribe(to: try TopicFilter("secret/x")))
        #expect(grant.maySubscribe(to: try TopicFilter("open/x")))
    }

    @Test func limitsTheFiltersMadeFromAnArray() throws {
        let many = (0..<100).map(String.init)
        let principal = Principal(.jwt, user: "u", claims: ["x": many, "y": many])
        #expect(try FilterTemplate("{claim.x}").filters(for: Subject(principal)).count == 32)
        #expect(try FilterTemplate("{claim.x}/{claim.y}").filters(for: Subject(principal)).count == 32)
    }

    @Test func expandsTheClientAndItsAddress() throws {
        let subject = Subject(.anonymous, address: "10.0.0.1", client: "x1")
        #expect(try FilterTemplate("c/{client}").filters(for: subject).map(\.name) == ["c/x1"])
        #expect(try FilterTemplate("c/{client}").filters(for: Subject(.anonymous)).isEmpty)
        #expect(try FilterTemplate("c/{address}").filters(for: subject).map(\.name) == ["c/10.0.0.1"])
    }

    @Test(arguments: [
        ("a/{user", FilterTemplate.Mistake.unclosed), ("a/{name}", .unknown("name")), ("a/{}", .unknown("")),
        ("a/{claim.}", .unknown("claim.")), ("", .notAFilter(.empty)),
        ("a/#/{user}", .notAFilter(.misplacedWildcard("#", level: 2))),
        ("a+{user}", .notAFilter(.misplacedWildcard("+", level: 1))),
    ])
    func reportsMistakes(text: String, mistake: FilterTemplate.Mistake) {
        #expect(throws: mistake) { _ = try FilterTemplate(text) }
    }
}
