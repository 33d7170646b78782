/// A value of a configuration file, with the position where it begins.
struct ConfigurationNode {
    indirect enum Content {
        /// Nothing, `~` or `null`.
        case nothing
        /// Text; `isPlain` if it is not quoted.
        case scalar(String, isPlain: Bool)
        case list([ConfigurationNode])
        case mapping([Member])
        /// A value that was reported when the tree was built and must not be reported again.
        case refused
    }

    /// A key and its value.
    struct Member {
        let key: String
        let mark: YAMLMark
        let value: ConfigurationNode
    }

    let content: Content
    let mark: YAMLMark
    /// Whether it is empty because of the word `null`, which is a name in some lists.
    var isNull = false

    /// The value of `key`, if this is a mapping that has it.
    subscript(key: String) -> ConfigurationNode? {
        guard case .mapping(let members) = content else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// A description of the value for an error message.
    var summary: String {
        switch content {
        case .nothing, .refused: "nothing"
        case .scalar(let text, _): text.quotedForMessage
        case .list: "a list"
        case .mapping: "a mapping"
        }
    }
}

extension String {
    /// The text in quotes, cut where it gets long.
    fileprivate var quotedForMessage: String { "\"\(withoutCredentials.cutForMessage)\"" }

    /// The text with the user and the password of a URL removed, because errors are logged.
    private var withoutCredentials: String {
        guard let scheme = firstRange(of: "://"), let at = self[scheme.upperBound...].lastIndex(of: "@") else {
            return self
        }
        return self[..<scheme.upperBound] + "***" + self[at...]
    }

    fileprivate var cutForMessage: String {
        let head = unicodeScalars.prefix(40)
        return head.endIndex == unicodeScalars.endIndex ? self : "\(String(head))…"
    }
}

/// Builds the tree of a configuration's nodes, and refuses what no configuration needs.
///
/// Anchors, aliases, tags, further documents, deep nesting and huge files are refused: they make a small file expensive
/// to read, or hide settings in unexpected places.
struct ConfigurationTree {
    static let maximumDepth = 16
    static let maximumNodes = 100_000

    /// The errors so far, each with its place and the path of its key.
    private(set) var errors: [(mark: YAMLMark, key: String, message: String)] = []
    private var nodes = 0

    /// The only document's root; `nil` for an empty file.
    mutating func read(_ parser: inout YAMLEventParser) throws(YAMLSyntaxError) -> ConfigurationNode? {
        var root: ConfigurationNode?
        while true {
            let event = try parser.next()
            switch event.kind {
            case .streamEnd: return root
            case .streamStart, .documentEnd: continue
            case .documentStart:
                guard root == nil else {
                    throw YAMLSyntaxError(mark: event.mark, message: "expected one document, found a second one")
                }
            default: root = try node(event, from: &parser, path: "", depth: 0)
            }
        }
    }

    private mutating func node(
        _ event: YAMLEvent, from parser: inout YAMLEventParser, path: String, depth: Int
    ) throws(YAMLSyntaxError) -> ConfigurationNode {
        nodes += 1
        guard nodes <= Self.maximumNodes else {
            throw YAMLSyntaxError(mark: event.mark, message: "expected at most \(Self.maximumNodes) values, found more")
        }
        guard depth <= Self.maximumDepth else {
            throw YAMLSyntaxError(
                mark: event.mark, message: "expected at most \(Self.maximumDepth) levels, found a deeper one")
        }
        let content = try content(of: event, from: &parser, path: path, depth: depth)
        guard !event.isDecorated else {
            refuse(event.mark, path, "expected a plain value, found an anchor or a tag")
            return ConfigurationNode(content: .refused, mark: event.mark)
        }
        let isNull = if case .scalar("null", isPlain: true) = event.kind { true } else { false }
        return ConfigurationNode(content: content, mark: event.mark, isNull: isNull)
    }

    private mutating func content(
        of event: YAMLEvent, from parser: inout YAMLEventParser, path: String, depth: Int
    ) throws(YAMLSyntaxError) -> ConfigurationNode.Content {
        switch event.kind {
        case .scalar(let text, let isPlain):
            guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                refuse(event.mark, path, "expected text on one line, found a control character")
                return .refused
            }
            return isPlain && ["", "~", "null"].contains(text) ? .nothing : .scalar(text, isPlain: isPlain)
        case .listStart:
            var items: [ConfigurationNode] = []
            while true {
                let next = try parser.next()
                if next.kind == .listEnd { return .list(items) }
                items.append(try node(next, from: &parser, path: "\(path)[\(items.count)]", depth: depth + 1))
            }
        case .mappingStart:
            return .mapping(try members(from: &parser, path: path, depth: depth))
        default:
            refuse(event.mark, path, "expected a plain value, found an alias")
            return .refused
        }
    }

    private mutating func members(
        from parser: inout YAMLEventParser, path: String, depth: Int
    ) throws(YAMLSyntaxError) -> [ConfigurationNode.Member] {
        var members: [ConfigurationNode.Member] = []
        var seen: [String: YAMLMark] = [:]
        while true {
            let event = try parser.next()
            if event.kind == .mappingEnd { return members }
            let keyNode = try node(event, from: &parser, path: path, depth: depth + 1)
            let key: String? =
                switch keyNode.content {
                case .scalar(let text, _): text
                default: nil
                }
            let value = try node(
                try parser.next(), from: &parser, path: key.map { path.appendingKey($0) } ?? path, depth: depth + 1)
            guard let key else {
                if case .refused = keyNode.content { continue }
                refuse(keyNode.mark, path, "expected a key, found \(keyNode.summary)")
                continue
            }
            if let first = seen[key] {
                let message = "expected each key once, found it a second time (first in line \(first.line))"
                refuse(keyNode.mark, path.appendingKey(key), message)
                continue
            }
            seen[key] = keyNode.mark
            members.append(ConfigurationNode.Member(key: key, mark: keyNode.mark, value: value))
        }
    }

    private mutating func refuse(_ mark: YAMLMark, _ key: String, _ message: String) {
        errors.append((mark, key, message))
    }
}

extension String {
    /// The path of `key` in the section whose path this is.
    func appendingKey(_ key: String) -> String {
        isEmpty ? key.cutForMessage : "\(self).\(key.cutForMessage)"
    }
}
