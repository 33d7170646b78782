import Testing

@testable import Broker

@Suite("Rules of a cluster")
struct SharedRulesTests {
    private func settings() -> Settings {
        var settings = Settings()
        settings.dataDirectory = "elsewhere"
        settings.access.anonymous.publish = ["open/#"]
        settings.access.anonymousAnywhere = true
        var rule = Settings.Access.Rule()
        (rule.user, rule.publish, rule.subscribe) = ("ann \"ä\\", ["a/{user}/#"], ["#", "$SYS/#"])
        rule.deny.publish = ["a/secret"]
        rule.retain = []
        settings.access.rules = [rule]
        settings.history = [Settings.History(filter: "k/#", messages: 7, age: .seconds(90))]
        settings.publish.keyWindow = .seconds(77)
        return settings
    }

    @Test func roundTripThroughTheLog() throws {
        let rules = SharedRules(settings())
        let read = try SharedRules(rules.bytes)
        #expect(read == rules && read.bytes == rules.bytes && rules.differences(from: read) == [])
        let text = String(decoding: rules.bytes, as: UTF8.self)
        #expect(!text.contains("elsewhere") && !text.contains("password_checks"))
        #expect(try SharedRules(SharedRules(Settings()).bytes) == SharedRules(Settings()))
    }

    /// All else stays as the broker's own file has it.
    @Test func replaceTheRulesOfTheFile() {
        var own = Settings()
        own.dataDirectory = "own"
        own.access.passwordChecks = 7
        let settings = settings()
        let inForce = SharedRules(settings).inForce(in: own)
        #expect(inForce.dataDirectory == "own" && inForce.access.passwordChecks == 7)
        #expect(inForce.access.rules == settings.access.rules && inForce.history == settings.history)
        #expect(inForce.publish == settings.publish && inForce.access.anonymous == settings.access.anonymous)
        let differing = SharedRules(settings).differences(from: SharedRules(own))
        #expect(differing.contains { $0.hasPrefix("access.rules") } && differing.contains { $0.hasPrefix("history") })
    }

    /// Rules of another version with unknown members are refused as a whole.
    @Test func rejectUnknownMembers() {
        for text in [##"{"access":{"rules":[{"everyone":true,"teleport":["#"]}]}}"##, ##"{"history":"##, "\u{0}"] {
            #expect(throws: ConfigurationErrors.self) { try SharedRules(Array(text.utf8)) }
        }
    }
}
