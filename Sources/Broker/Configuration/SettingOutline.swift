/// What is known of a key without a value: its name, its meaning, and what a change of it takes.
struct SettingOutline: Sendable {
    /// What stands under a key.
    indirect enum Form: Sendable {
        /// A scalar, or a list of scalars.
        case value
        case section([SettingOutline])
        /// A list of sections; `isFlow`: an item is written in one line.
        case list([SettingOutline], isFlow: Bool)
    }

    /// The last part of the path.
    let key: String
    let form: Form
    /// What a message says after "expected"; empty: a section.
    var expected = ""
    /// What it takes, in the fewest words; empty: that goes without saying.
    var range = ""
    /// What it means: a sentence, or more; with the unit where a number has one.
    let doc: String
    var traits = SettingTraits()

    /// The keys below it.
    var members: [SettingOutline] {
        switch form {
        case .value: []
        case .section(let members), .list(let members, _): members
        }
    }

    /// The meaning, and what else the reader of a configuration file has to know.
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
    /// With the reload, for those who are connected, too.
    case live
    /// At the next start.
    case restart
}

/// What sets a setting apart from others.
struct SettingTraits: Sendable {
    var reload = Reload.live
    /// What is expected where the key is missing; `nil`: it may be left out.
    var required: String?
    /// How an optional key is shown that is not set, in YAML.
    var example = ""
    /// Whether nobody may be shown the value, other than the place where it is kept: `file:PATH` or `env:NAME`.
    var isSecret = false
    /// Whether this version has it.
    var isAvailable = true
    /// What the machine has to be for it, such as "Linux 6.1"; `nil`: any on which the broker runs.
    var platform: String?
}

/// A setting whose value is another one than before.
package struct SettingChange: Sendable, Equatable {
    /// Such as `limits.message` or `listen[0].address`.
    package let path: String
    /// When the new value takes effect.
    package let reload: Reload
    /// The values in YAML, without secrets; `nil`: it is not set, or it is a list with more or fewer items.
    package var old: String?
    package var new: String?

    init(path: String, reload: Reload) {
        self.path = path
        self.reload = reload
    }
}

/// A setting as it is to be written.
struct WrittenSetting {
    let outline: SettingOutline
    /// `nil`: it is left out.
    let value: WrittenValue?
}

/// A value as it is to be written.
indirect enum WrittenValue {
    /// A scalar that needs no quotes.
    case plain(String)
    case text(String)
    case values([WrittenValue])
    case section([WrittenSetting])
    case list([[WrittenSetting]])

    /// The value in one line of YAML.
    ///
    /// - Parameter isQuoted: texts are in quotes that need none.
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

    /// The same without what is secret.
    var masked: WrittenValue {
        guard case .text(let text) = self else { return self }
        return text.hasPrefix("file:") || text.hasPrefix("env:") ? self : .text("***")
    }
}

extension String {
    /// Whether it is read as the same text without quotes, and looks like one.
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
