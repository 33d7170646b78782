import Testing

@testable import Broker

@Suite("Setting: declarations")
struct SettingTests {
    @Test func listsTheChangesThatNeedARestart() throws {
        var old = Settings()
        let new = try ConfigurationReaderTests.parse(ConfigurationReaderTests.changed)
        let changes = old.changes(to: new)
        #expect(
            changes.filter { $0.reload == .restart }.map(\.path) == [
                "listen", "data_dir", "reactors.count", "reactors.backend", "store.maximum_size", "store.views",
                "retained.maximum_messages", "retained.maximum_bytes", "admin.socket",
                "admin.socket_group", "metrics.enabled",
            ])
        let message = try #require(changes.first { $0.path == "limits.message" })
        #expect(message.reload == .live && message.old == "1MiB")
        #expect(changes.contains { $0.path == "history" && $0.reload == .live })
        #expect(new.changes(to: new).isEmpty)
        old.listen[0].tls = Settings.Listener.TLS(certificate: "a", key: "b")
        var renewed = old
        renewed.listen[0].tls?.certificate = "c"
        let renewal = try #require(old.changes(to: renewed).first)
        #expect(old.changes(to: renewed).count == 1)
        #expect(renewal.path == "listen[0].tls.certificate" && renewal.reload == .live)
        #expect(renewal.old == "a" && renewal.new == "c")
        renewed.listen[0].tls = nil
        let removal = try #require(old.changes(to: renewed).first)
        #expect(removal.path == "listen[0].tls" && removal.reload == .restart)
        #expect(removal.old == "{ certificate: a, key: b }" && removal.new == nil)
    }

    @Test func theCommentedFormReadsBack() throws {
        let settings = try ConfigurationReaderTests.parse(ConfigurationReaderTests.changed)
        #expect(try ConfigurationReaderTests.parse(SettingsWriter.explained(settings)) == settings)
    }

    // MARK: What declarations can hold that no setting needs yet

    private struct Issuer: Equatable {
        var name = ""
        var secret: String?
        var algorithms: [String] = []
        var limits = Limits()

        struct Limits: Equatable { var rate: Int? }

        static var record: ConfigurationRecord<Issuer> {
            let word = ConfigurationValue<String>.text("a word", where: { !$0.contains(" ") })
            let limits = ConfigurationRecord(
                initial: Limits(),
                members: [Setting("rate", \.rate, ConfigurationValue.count(1...9).liftable, "A rate.")])
            return ConfigurationRecord(
                initial: Issuer(),
                members: [
                    Setting("issuer", \.name, word, "Whose tokens.", traits: .init(required: "an issuer")),
                    Setting(optional: "secret", \.secret, .path, "Shared.", traits: .init(isSecret: true)),
                    Setting(values: "algorithms", \.algorithms, of: word, expected: "a list of names", "Allowed."),
                    Setting(section: "limits", \.limits, limits),
                ])
        }
    }

    private struct Root: Equatable {
        var issuers: [Issuer] = []
        static var record: ConfigurationRecord<Root> {
            ConfigurationRecord(
                initial: Root(),
                members: [Setting(list: "jwt", \.issuers, of: Issuer.record, expected: "a list of issuers", "Tokens.")])
        }
    }

    private func decode(_ yaml: String) throws -> (Root, [String]) {
        var (root, decoder) = (Root(), ConfigurationDecoder())
        decoder.decode(Root.record, try ConfigurationFileTests.tree(yaml), "", into: &root)
        return (root, decoder.errors.map { "\($0.mark.line):\($0.mark.column): \($0.key): \($0.message)" })
    }

    @Test func sectionsInListsNestAndKeepSecrets() throws {
        let (root, errors) = try decode(
            "jwt:\n  - { issuer: a, secret: hush, algorithms: [x, y], limits: { rate: 3 } }\n"
                + "  - { issuer: b, secret: \"env:KEY\" }")
        #expect(errors.isEmpty && root.issuers.map(\.limits.rate) == [3, nil] && root.issuers[0].secret == "hush")
        let written = WrittenValue.section(Root.record.written(root)).yaml(isQuoted: false)
        #expect(
            written
                == "{ jwt: [{ issuer: a, secret: \"***\", algorithms: [x, y], limits: { rate: 3 } }, "
                + "{ issuer: b, secret: env:KEY, algorithms: [], limits: { rate: unlimited } }] }")
        var changed = root
        changed.issuers[1].limits.rate = 4
        #expect(Root.record.changes(root, changed, "").map(\.path) == ["jwt[1].limits.rate"])
    }

    private struct Menu: Equatable {
        struct Dish: Equatable {
            var sauce: String?
            var side: String?
        }
        var dishes: [Dish] = []

        static var record: ConfigurationRecord<Menu> {
            let dish = ConfigurationRecord(
                initial: Dish(),
                members: [
                    Setting(optional: "sauce", \.sauce, .path, "On it.", traits: .init(example: "mint")),
                    Setting(optional: "side", \.side, .path, "Beside it.", traits: .init(example: "rice")),
                ])
            return ConfigurationRecord(
                initial: Menu(),
                members: [Setting(list: "dishes", \.dishes, of: dish, expected: "a list of dishes", "Today.")])
        }
    }

    @Test("The first key of a list's item may have no value", arguments: [false, true])
    func itemsBeginWithAnyKey(isExplained: Bool) throws {
        let menu = Menu(dishes: [.init(sauce: nil, side: "peas"), .init(), .init(sauce: "curry", side: nil)])
        let yaml = SettingsWriter.yaml(Menu.record.written(menu), isExplained: isExplained)
        var (again, decoder) = (Menu(), ConfigurationDecoder())
        decoder.decode(Menu.record, try ConfigurationFileTests.tree(yaml), "", into: &again)
        #expect(again == menu && decoder.errors.isEmpty, "\(yaml)")
    }

    @Test func reportsThePlacesOfErrorsInLists() throws {
        let (_, errors) = try decode("jwt:\n  - { secret: s, algorithms: [\"a b\"], limits: { rte: 3 } }\n  - 5")
        #expect(
            errors == [
                "2:5: jwt[0].issuer: expected an issuer, found nothing",
                "2:31: jwt[0].algorithms[0]: expected a word, found \"a b\"",
                "2:49: jwt[0].limits.rte: unknown key, did you mean \"rate\"?",
                "3:5: jwt[1]: expected a mapping, found \"5\"",
            ])
    }
}
