import Foundation
import Testing

@testable import Broker

@Suite("Config/broker.yaml shows every key at its default")
struct ConfigurationFileTests {
    static let path =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Config/broker.yaml").path(percentEncoded: false)

    static func text() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// The file with its optional keys uncommented: their `#` is followed by a key, an item, or an indentation.
    static func completeText() throws -> String {
        try text().split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.replacing(/^(\s*)#(- |  |[a-z0-9_]+:)/) { "\($0.output.1)\($0.output.2)" }
        }.joined(separator: "\n")
    }

    /// The paths of all keys of a tree, list items as `[]`.
    static func keys(of node: ConfigurationNode, path: String = "") -> Set<String> {
        switch node.content {
        case .mapping(let members):
            members.reduce(into: []) { keys, member in
                let key = path.appendingKey(member.key)
                keys.insert(key)
                keys.formUnion(Self.keys(of: member.value, path: key))
            }
        case .list(let items): items.reduce(into: []) { $0.formUnion(keys(of: $1, path: "\(path)[]")) }
        default: []
        }
    }

    static func tree(_ text: String) throws -> ConfigurationNode {
        var tree = ConfigurationTree()
        var root: ConfigurationNode?
        if var parser = YAMLEventParser(Array(text.utf8)) { root = try tree.read(&parser) }
        #expect(tree.errors.isEmpty)
        return try #require(root)
    }

    static let known = Set(
        ConfigurationKeys.sections.flatMap { section, keys in keys.map { section.appendingKey($0) } })

    @Test func decodesToTheDefaults() throws {
        #expect(try ConfigurationReader.read(path: Self.path) == Settings())
    }

    /// A pipe that may never have a writer, for which a reload would wait.
    @Test func refusesAPipeWithoutWaiting() throws {
        let path = NSTemporaryDirectory() + "broker-pipe-" + UUID().uuidString
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        #expect {
            try ConfigurationReader.read(path: path)
        } throws: { error in
            (error as? ConfigurationErrors)?.errors.map(\.message) == [
                "expected a readable file, found: no regular file"
            ]
        }
    }

    @Test func showsEveryKey() throws {
        let shown = Self.keys(of: try Self.tree(try Self.completeText()))
        #expect(Self.known.subtracting(shown) == [], "run make settings")
        #expect(shown.subtracting(Self.known) == [], "run make settings")
    }

    @Test func commentsOutOnlyUnavailableKeys() throws {
        let errors = ConfigurationErrorTests.errors(in: try Self.completeText())
        // Settings for `unix:` paths are commented out, too, and do not fit the shown address.
        let misplaced = errors.filter { $0.hasSuffix(": expected with an address such as unix:/path only") }
        #expect(misplaced.count == 2)
        // An issuer has one or the other, and a cluster has one engine or several, but the file shows both.
        let others = errors.filter { !misplaced.contains($0) }
        #expect(others.count == 2)
        #expect(others[0].hasSuffix(": access.jwt[0]: expected keys or secret, found both of them"))
        #expect(others[1].hasSuffix(": cluster.engine: expected engine or engines, found both of them"))
    }

    /// `make settings` makes both.
    @Test func matchesTheDeclarations() throws {
        // Separate values, so that a failure does not print both files.
        let isFileNew = try Self.text() == SettingsWriter.explained(Settings())
        #expect(isFileNew, "run make settings")
        let manual = Self.path.replacing("Config/broker.yaml", with: "docs/settings.md")
        let isManualNew = try String(contentsOfFile: manual, encoding: .utf8) == SettingsManual.markdown()
        #expect(isManualNew, "run make settings")
    }

    /// A property of the settings without a declaration could not be set.
    @Test func hasAKeyForEverySetting() {
        var names: Set<String> = []
        Self.collectNames(of: Settings(), path: "", into: &names)
        let missing = names.subtracting(Self.known)
        #expect(missing.isEmpty)
        #expect(names.count > 30)
    }

    private static func collectNames(of value: Any, path: String, into names: inout Set<String>) {
        for child in Mirror(reflecting: value).children {
            guard let label = child.label else { continue }
            let snake = label.replacing(/[A-Z]/) { "_\($0.output.lowercased())" }
            let key = path.appendingKey(snake == "data_directory" ? "data_dir" : snake)
            names.insert(key)
            if let listeners = child.value as? [Settings.Listener], let first = listeners.first {
                collectNames(of: first, path: "\(key)[]", into: &names)
            } else if Mirror(reflecting: child.value).displayStyle == .struct, !(child.value is Duration),
                !(child.value is String), !(child.value is Int), !(child.value is Bool)
            {
                collectNames(of: child.value, path: key, into: &names)
            }
        }
    }
}

@Suite("deploy/broker.yaml is read, and safe as it is")
struct DeployConfigurationTests {
    static let path = ConfigurationFileTests.path.replacing("Config/broker.yaml", with: "deploy/broker.yaml")

    @Test func allowsNothingUntilOpened() throws {
        let settings = try ConfigurationReader.read(path: Self.path)
        #expect(settings.access.anonymous.publish == [] && settings.access.anonymous.subscribe == [])
        #expect(settings.listen.contains { !$0.address.isLoopback } && settings.refusalToListen() == nil)
        #expect(settings.adminSocketPath == "/var/lib/broker/admin.sock")
    }

    /// The file's own instructions for opening the broker work.
    @Test func opensByItsOwnInstructions() throws {
        var text = try String(contentsOfFile: Self.path, encoding: .utf8)
        let publish = try #require(text.firstMatch(of: /#   (publish: \["#"\])/)?.output.1)
        let subscribe = try #require(text.firstMatch(of: /#   (subscribe: \["#"\])/)?.output.1)
        let anywhere = try #require(text.firstMatch(of: /#   (anonymous_anywhere: true)/)?.output.1)
        text = text.replacing("    publish: []", with: "    \(publish)") + "  \(anywhere)\n"
        text = text.replacing("    subscribe: []", with: "    \(subscribe)")
        let settings = try ConfigurationReader.parse(Array(text.utf8), file: "x.yaml")
        #expect(settings.access.anonymous.subscribe == ["#"])
        #expect(settings.access.anonymous.publish == ["#"] && settings.refusalToListen() == nil)
    }
}
