internal import WSTransport

/// Settings from the environment: `BROKER_LIMITS_MESSAGE=4MiB` means `limits.message: 4MiB`, and overrides the file.
///
/// A list is written as in YAML: `BROKER_ORIGINS=[same-host, null]`. Empty variables are ignored, and so are variables
/// that name no setting, because a container's environment may have others with this prefix.
package struct ConfigurationEnvironment: Sendable {
    /// The variables that are settings, by their names.
    private let variables: [(name: String, value: String)]
    /// Variables that set nothing but look like a setting, each with what is probably meant.
    package let ineffective: [(name: String, advice: String)]

    /// No variables.
    package static let none = ConfigurationEnvironment([:])

    /// Reads the settings from an environment.
    package init(_ environment: [String: String]) {
        let own = environment.filter { $0.key.hasPrefix(Self.prefix) && !$0.value.isEmpty }.sorted { $0.key < $1.key }
        variables = own.filter { Self.paths[$0.key] != nil }.map { ($0.key, $0.value) }
        ineffective = own.compactMap { name, _ in
            guard Self.paths[name] == nil, !Self.others.contains(name) else { return nil }
            return Self.advice(on: name).map { (name, $0) }
        }
    }

    /// What is probably meant by a variable that names no setting; `nil` if it seems to be meant for another program.
    ///
    /// Kubernetes sets variables such as `BROKER_METRICS_PORT` for a service of that name.
    private static func advice(on name: String) -> String? {
        let names = paths.keys.sorted()
        let isMember = { (member: String) in
            prefix + (paths[member] ?? []).dropLast().joined(separator: "_").uppercased() == name
        }
        if let member = names.first(where: isMember) {
            return "set the members of this section, such as \(member)"
        }
        let parts = name.split(separator: "_", omittingEmptySubsequences: false)
        for (place, part) in parts.enumerated() where Int(part) != nil {
            let list = parts[..<place].joined(separator: "_")
            if paths[list] != nil { return "set the whole list, as in YAML: \(list)='[…]'" }
        }
        return ConfigurationKeys.nearest(to: name, among: names.map { $0.lowercased() }).map {
            "did you mean \($0.uppercased())?"
        }
    }

    /// The environment that this process was started with.
    package static func ofProcess() -> ConfigurationEnvironment {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try FileDescriptor.reading("/proc/self/environ").readToEnd(atMost: maximumSize)
        } catch {
            return .none
        }
        var environment: [String: String] = [:]
        for entry in bytes.split(separator: 0) {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let value = entry[entry.index(after: equals)...]
            environment[String(decoding: entry[..<equals], as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return ConfigurationEnvironment(environment)
    }

    /// The maximum size of the environment, in bytes; Linux passes less to a process.
    private static let maximumSize = 1 << 30
    private static let prefix = "BROKER_"
    /// The variables that `brokerctl` uses.
    private static let others = ["BROKER_URL", "BROKER_SOCKET", "BROKER_TOKEN", "BROKER_CONTEXT"]

    /// The path of each setting except sections, by the name of its variable.
    private static let paths: [String: [String]] = {
        var paths: [String: [String]] = [:]
        func gather(_ members: [SettingOutline], _ section: [String]) {
            for member in members {
                let path = section + [member.key]
                if case .section(let below) = member.form {
                    gather(below, path)
                } else {
                    paths[prefix + path.joined(separator: "_").uppercased()] = path
                }
            }
        }
        gather(Settings.record.members.map(\.outline), [])
        return paths
    }()

    /// The variable in whose value a position is; `nil` for a position in a file.
    func name(of mark: YAMLMark) -> String? { mark.line == 0 ? variables[mark.column].name : nil }

    /// A file's tree, overridden by the variables; `nil` if both are empty.
    ///
    /// - Parameter fail: receives the errors of a value, as a tree.
    func applied(
        to root: ConfigurationNode?, _ fail: (_ mark: YAMLMark, _ key: String, _ message: String) -> Void
    ) -> ConfigurationNode? {
        var root = root
        for (index, variable) in variables.enumerated() {
            guard let path = Self.paths[variable.name] else { continue }
            let mark = YAMLMark(line: 0, column: index)
            let value = Self.node(variable.value, mark) { fail(mark, path.joined(separator: "."), $0) }
            root = Self.setting(path[...], to: value, in: root, mark)
        }
        return root
    }

    /// The value of a variable: a scalar, unless it begins like another YAML value.
    private static func node(_ text: String, _ mark: YAMLMark, _ fail: (String) -> Void) -> ConfigurationNode {
        let refused = ConfigurationNode(content: .refused, mark: mark)
        guard let first = text.first, "[{\"'".contains(first) else {
            guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                fail("expected text on one line, found a control character")
                return refused
            }
            return ConfigurationNode(content: .scalar(text, isPlain: true), mark: mark)
        }
        var tree = ConfigurationTree()
        do throws(YAMLSyntaxError) {
            guard var parser = YAMLEventParser(Array(text.utf8)), let node = try tree.read(&parser) else {
                return refused
            }
            for error in tree.errors { fail(error.message) }
            return node.moved(to: mark)
        } catch {
            fail(error.message)
            return refused
        }
    }

    /// The tree with `value` at `path`; the unchanged tree if a section of the path is not a mapping.
    private static func setting(
        _ path: ArraySlice<String>, to value: ConfigurationNode, in node: ConfigurationNode?, _ mark: YAMLMark
    ) -> ConfigurationNode {
        guard let key = path.first else { return value }
        var members: [ConfigurationNode.Member] = []
        switch node?.content {
        case .mapping(let known): members = known
        case .nothing, nil: break
        default: return node ?? value
        }
        let old = members.firstIndex { $0.key == key }
        let member = ConfigurationNode.Member(
            key: key, mark: mark, value: setting(path.dropFirst(), to: value, in: old.map { members[$0].value }, mark))
        if let old { members[old] = member } else { members.append(member) }
        return ConfigurationNode(content: .mapping(members), mark: node?.mark ?? mark)
    }
}

extension ConfigurationNode {
    /// The same tree, with all positions replaced by one.
    fileprivate func moved(to mark: YAMLMark) -> ConfigurationNode {
        let content: ConfigurationNode.Content =
            switch content {
            case .list(let items): .list(items.map { $0.moved(to: mark) })
            case .mapping(let members):
                .mapping(
                    members.map { ConfigurationNode.Member(key: $0.key, mark: mark, value: $0.value.moved(to: mark)) })
            case .nothing, .scalar, .refused: content
            }
        return ConfigurationNode(content: content, mark: mark, isNull: isNull)
    }
}
