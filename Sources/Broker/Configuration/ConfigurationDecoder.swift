/// One section of a configuration: the members of a mapping, by key.
struct ConfigurationSection {
    /// The section's path, such as `listen[0]`; empty for the whole file.
    let path: String
    /// Where it begins.
    let mark: YAMLMark
    fileprivate let members: [String: ConfigurationNode]

    /// The value of `key`, unless it is left out.
    func value(of key: String) -> ConfigurationNode? { members[key] }
}

/// Takes values out of nodes and gathers what is wrong with them.
struct ConfigurationDecoder {
    private(set) var errors: [(mark: YAMLMark, key: String, message: String)] = []

    /// Reports `message`, which is not even put together when there are too many errors to be shown.
    mutating func fail(_ mark: YAMLMark, _ key: String, _ message: @autoclosure () -> String) {
        guard errors.count <= ConfigurationErrors.maximumCount else { return }
        errors.append((mark, key, message()))
    }

    /// Reports that `node` is not what was expected, unless it has been reported already.
    mutating func fail(_ node: ConfigurationNode, _ key: String, expected: String) {
        if case .refused = node.content { return }
        fail(node.mark, key, "expected \(expected), found \(node.summary)")
    }

    /// The members of `node`, a mapping; `kind` is its name in ``ConfigurationKeys``.
    ///
    /// Unknown keys are reported. A section of which nothing is set (`log:`) is an empty one; a missing one is none.
    mutating func section(_ node: ConfigurationNode?, path: String, kind: String) -> ConfigurationSection? {
        guard let node else { return nil }
        switch node.content {
        case .mapping(let members):
            let known = ConfigurationKeys.sections[kind] ?? []
            var byKey: [String: ConfigurationNode] = [:]
            for member in members {
                if known.contains(member.key) {
                    byKey[member.key] = member.value
                } else {
                    let key = path.appendingKey(member.key)
                    fail(member.mark, key, ConfigurationKeys.advice(on: member.key, in: kind))
                }
            }
            return ConfigurationSection(path: path, mark: node.mark, members: byKey)
        case .nothing:
            return ConfigurationSection(path: path, mark: node.mark, members: [:])
        default:
            fail(node, path, expected: "a mapping")
            return nil
        }
    }

    /// The section `key` of `section`.
    mutating func section(_ key: String, of section: ConfigurationSection) -> ConfigurationSection? {
        let path = section.path.appendingKey(key)
        return self.section(section.value(of: key), path: path, kind: path)
    }

    /// Sets `target` to the value of `key`, if it is there; whether `target` can be relied on.
    @discardableResult
    mutating func decode<Value>(
        _ section: ConfigurationSection, _ key: String, _ value: ConfigurationValue<Value>, into target: inout Value
    ) -> Bool {
        guard let node = section.value(of: key) else { return true }
        if case .scalar(let text, let isPlain) = node.content {
            if let value = value.read(text, isPlain) {
                target = value
                return true
            }
            if value.read(text, true) != nil {
                let message = "expected \(value.expected), found \(node.summary) in quotes, which make it a text"
                fail(node.mark, section.path.appendingKey(key), message)
                return false
            }
        }
        fail(node, section.path.appendingKey(key), expected: value.expected)
        return false
    }

    /// The items of the list `key`, each with its path; `nil` when the key is left out or no list.
    mutating func items(
        of section: ConfigurationSection, _ key: String, expected: String
    ) -> [(node: ConfigurationNode, path: String)]? {
        guard let node = section.value(of: key) else { return nil }
        let path = section.path.appendingKey(key)
        guard case .list(let nodes) = node.content else {
            fail(node, path, expected: expected)
            return nil
        }
        return nodes.enumerated().map { ($0.element, "\(path)[\($0.offset)]") }
    }

    /// Checks a setting that this version lacks: it may be written down, but only at its default.
    mutating func decodeUnavailable<Value: Equatable>(
        _ section: ConfigurationSection, _ key: String, _ value: ConfigurationValue<Value>, default standard: Value
    ) {
        var found = standard
        decode(section, key, value, into: &found)
        guard let node = section.value(of: key), found != standard else { return }
        failUnavailable(node, section.path.appendingKey(key))
    }

    /// Checks a setting that this version lacks and whose default is nothing, or an empty list.
    mutating func refuse(_ section: ConfigurationSection, _ key: String) {
        guard let node = section.value(of: key) else { return }
        switch node.content {
        case .nothing, .refused: return
        case .list(let items) where items.isEmpty: return
        default: failUnavailable(node, section.path.appendingKey(key))
        }
    }

    mutating func failUnavailable(_ node: ConfigurationNode, _ key: String) {
        fail(node.mark, key, "not available in this version")
    }
}
