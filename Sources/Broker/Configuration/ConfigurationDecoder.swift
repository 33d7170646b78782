/// One section of a configuration: the members of a mapping, by key.
struct ConfigurationSection {
    /// The section's path, such as `listen[0]`; empty for the whole file.
    let path: String
    /// The position where it begins.
    let mark: YAMLMark
    fileprivate let members: [String: ConfigurationNode]

    /// The value of `key`; `nil` if the section does not have it.
    func value(of key: String) -> ConfigurationNode? { members[key] }
}

/// Reads values from nodes and collects errors.
struct ConfigurationDecoder {
    private(set) var errors: [(mark: YAMLMark, key: String, message: String)] = []
    /// The limits for topics and filters that are read from now on.
    var topicLimits = TopicLimits.none

    /// Reports `message`, which is not evaluated after too many errors.
    mutating func fail(_ mark: YAMLMark, _ key: String, _ message: @autoclosure () -> String) {
        guard errors.count <= ConfigurationErrors.maximumCount else { return }
        errors.append((mark, key, message()))
    }

    /// Reports that `node` is not what was expected, unless it was reported already.
    mutating func fail(_ node: ConfigurationNode, _ key: String, expected: String) {
        if case .refused = node.content { return }
        fail(node.mark, key, "expected \(expected), found \(node.summary)")
    }

    /// Reports a setting that this version does not support.
    mutating func failUnavailable(_ node: ConfigurationNode, _ key: String) {
        fail(node.mark, key, "not available in this version")
    }

    /// Whether an error was reported for the value of that path.
    func hasFailed(_ path: String) -> Bool { errors.contains { $0.key == path } }

    /// Sets the members of `owner` that `node`, a mapping, contains.
    ///
    /// Unknown keys are reported. A section without members (`log:`) is empty.
    ///
    /// - Returns: the section; `nil` if it is not a mapping.
    @discardableResult
    mutating func decode<Owner>(
        _ record: ConfigurationRecord<Owner>, _ node: ConfigurationNode, _ path: String, into owner: inout Owner
    ) -> ConfigurationSection? {
        guard let section = section(node, path, keys: record.members.map(\.outline.key)) else { return nil }
        for member in record.members {
            let outline = member.outline
            if let value = section.value(of: outline.key) {
                member.decode(value, path.appendingKey(outline.key), &owner, &self)
            } else if let expected = outline.traits.required {
                fail(section.mark, path.appendingKey(outline.key), "expected \(expected), found nothing")
            }
        }
        record.check(&owner, section, &self)
        return section
    }

    private mutating func section(
        _ node: ConfigurationNode, _ path: String, keys: [String]
    ) -> ConfigurationSection? {
        switch node.content {
        case .mapping(let members):
            var byKey: [String: ConfigurationNode] = [:]
            for member in members {
                if keys.contains(member.key) {
                    byKey[member.key] = member.value
                } else {
                    let advice = { ConfigurationKeys.advice(on: member.key, among: keys) }
                    fail(member.mark, path.appendingKey(member.key), advice())
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

    /// The value of `node`; `nil` if it is not what was expected, which is reported.
    mutating func read<Value>(_ node: ConfigurationNode, _ key: String, _ value: ConfigurationValue<Value>) -> Value? {
        if node.isNull, let null = value.null { return null }
        guard case .scalar(let text, let isPlain) = node.content else {
            fail(node, key, expected: value.expected)
            return nil
        }
        let scalar = ConfigurationScalar(text: text, isPlain: isPlain, topicLimits: topicLimits)
        if let found = value.read(scalar) { return found }
        let expectation = "expected \(value.expected), found \(node.summary)"
        if value.read(ConfigurationScalar(text: text, isPlain: true, topicLimits: topicLimits)) != nil {
            fail(node.mark, key, "\(expectation) in quotes, which make it text")
        } else {
            fail(node.mark, key, expectation + (value.explain(scalar).map { ": \($0)" } ?? ""))
        }
        return nil
    }

    /// The items of `node`, a list, each with its path; `nil` if it is not a list, which is reported.
    mutating func items(
        of node: ConfigurationNode, _ path: String, expected: String
    ) -> [(node: ConfigurationNode, path: String)]? {
        guard case .list(let nodes) = node.content else {
            fail(node, path, expected: expected)
            return nil
        }
        return nodes.enumerated().map { ($0.element, "\(path)[\($0.offset)]") }
    }
}
