/// The description of a key: its name, its meaning, and when a change takes effect.
struct SettingOutline: Sendable {
    /// The structure of a key's value.
    indirect enum Form: Sendable {
        /// A scalar, or a list of scalars.
        case value
        case section([SettingOutline])
        /// A list of sections; `isFlow` if each item is written in one line.
        case list([SettingOutline], isFlow: Bool)
    }

    /// The last part of the path.
    let key: String
    let form: Form
    /// The text of an error after "expected"; empty for a section.
    var expected = ""
    /// The accepted values, in few words; empty if they are obvious.
    var range = ""
    /// The meaning, in one sentence or more, with the unit of a number.
    let doc: String
    var traits = SettingTraits()

    /// The keys below it.
    var members: [SettingOutline] {
        switch form {
        case .value: []
        case .section(let members), .list(let members, _): members
        }
    }

    /// The meaning, and what else the reader of a configuration file needs to know.
    var note: String {
        var note = traits.isAvailable ? doc : "Not yet: " + doc.prefix(1).lowercased() + doc.dropFirst()
        if !range.isEmpty { note = "\(note.dropLast()) (\(range))." }
        if case .value = form, traits.reload == .restart { note += " [restart]" }
        return note
    }

    /// The path of this key's members in the section whose path is `section`, such as `listen[]`.
    func path(in section: String) -> String {
        let path = section.appendingKey(key)
        return if case .list = form { path + "[]" } else { path }
    }
}

/// When a changed setting takes effect.
package enum Reload: Sendable {
    /// With the reload, also for connected clients.
    case live
    /// At the next start.
    case restart
}

/// What distinguishes a setting from others.
struct SettingTraits: Sendable {
    var reload = Reload.live
    /// What is expected if the key is missing; `nil` if it may be omitted.
    var required: String?
    /// How an optional key without a value is shown, in YAML.
    var example = ""
    /// Whether the value is secret; only its place, `file:PATH` or `env:NAME`, may be shown.
    var isSecret = false
    /// Whether this version supports the setting.
    var isAvailable = true
    /// The required platform, such as "Linux 6.1"; `nil` if the setting works wherever the broker runs.
    var platform: String?
}

/// A setting whose value has changed.
package struct SettingChange: Sendable, Equatable {
    /// The setting's path, such as `limits.message` or `listen[0].address`.
    package let path: String
    /// When the new value takes effect.
    package let reload: Reload
    /// The values in YAML, without secrets; `nil` if not set, and for a list that has gained or lost items.
    package var old: String?
    package var new: String?

    init(path: String, reload: Reload) {
        self.path = path
        self.reload = reload
    }
}

/// A setting to be written.
struct WrittenSetting {
    let outline: SettingOutline
    /// The value; `nil` if the setting is omitted.
    let value: WrittenValue?
}

/// A value to be written.
indirect enum WrittenValue {
    /// A scalar that needs no quotes.
    case plain(String)
    case text(String)
    case values([WrittenValue])
    case section([WrittenSetting])
    case list([[WrittenSetting]])

    /// The value in one line of YAML.
    ///
    /// - Parameter isQuoted: whether texts are quoted that need no quotes.
    func yaml(isQuoted: Bool) -> String {
        switch self {
        case .plain(let text): text
        case .text(let text): isQuoted || !text.needsNoQuotes ? text.quotedForYAML : text
        case .values(let values): "[\(values.map { $0.yaml(isQuoted: isQuoted) }.joined(separator: ", "))]"
        case .section(let members):
            "{ "
                + members.compactMap { member in
                    member.value.map { "\(member.outline.key): \($0.yaml(isQuoted: isQuoted))" }
                }.joined(separator: ", ") + " }"
        case .list(let items):
            "[\(items.map { WrittenValue.section($0).yaml(isQuoted: isQuoted) }.joined(separator: ", "))]"
        }
    }

    /// The value, with a secret replaced by `***`.
    var masked: WrittenValue {
        guard case .text(let text) = self else { return self }
        return text.hasPrefix("file:") || text.hasPrefix("env:") ? self : .text("***")
    }
}

extension String {
    /// Whether the text reads the same without quotes, and looks like plain text.
    fileprivate var needsNoQuotes: Bool {
        wholeMatch(of: /[A-Za-z.\/0-9][A-Za-z0-9._\/:@+-]*/) != nil && last != ":"
            && !["null", "true", "false"].contains(self)
    }

    /// A double-quoted scalar, in which only `\` and `"` are special (YAML 1.2 §7.3.1).
    fileprivate var quotedForYAML: String {
        var result = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\\", "\"": result += "\\\(scalar)"
            case "\0"..."\u{1F}", "\u{7F}"..."\u{9F}":
                result += "\\u\(String(scalar.value + 0x10000, radix: 16).dropFirst())"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
