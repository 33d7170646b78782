/// Writes settings as a configuration with every key.
package enum SettingsWriter {
    /// The configuration in YAML; ``ConfigurationReader`` reads the same settings from it.
    package static func yaml(_ settings: Settings) -> String {
        yaml(Settings.record.written(settings))
    }

    /// Keys and their values in YAML; the item of a list begins with a key that has a value.
    ///
    /// - Parameter isExplained: whether keys have explanations, and keys without a value are shown as comments.
    static func yaml(_ members: [WrittenSetting], isExplained: Bool = false) -> String {
        var page = YAMLPage(isExplained: isExplained)
        page.write(members, at: 0)
        return page.text
    }

    /// The configuration in YAML with explanations, and with unset keys as comments.
    ///
    /// For the default settings this is `Config/broker.yaml`.
    package static func explained(_ settings: Settings) -> String {
        var page = YAMLPage(isExplained: true)
        page.comment((settings == Settings() ? defaults : "") + introduction, at: 0)
        page.write(Settings.record.written(settings), at: 0)
        return page.text
    }

    /// The configuration as a JSON object: numbers and booleans as such, all other values as text.
    package static func json(_ settings: Settings) -> [UInt8] {
        var writer = JSONWriter(capacity: 2048)
        writer.write(.section(Settings.record.written(settings)))
        return writer.bytes
    }

    /// Some of the configuration as a JSON object.
    ///
    /// - Parameter sections: the keys at the top, and which members each has; `nil`: all.
    static func json(_ settings: Settings, only sections: [String: Set<String>?]) -> [UInt8] {
        let chosen = Settings.record.written(settings).compactMap { setting -> WrittenSetting? in
            guard let members = sections[setting.outline.key] else { return nil }
            guard let members, case .section(let all)? = setting.value else { return setting }
            return WrittenSetting(
                outline: setting.outline, value: .section(all.filter { members.contains($0.outline.key) }))
        }
        var writer = JSONWriter(capacity: 1024)
        writer.write(.section(chosen))
        return writer.bytes
    }

    private static let defaults = """
        Every setting of brokerd at its default: a broker without a configuration file runs exactly like this.
        Copy the file, keep what you change, and start `brokerd --config FILE`; `brokerd --check --config FILE` only reads it.
        This file is made from the settings themselves, by `make settings`.


        """
    private static let introduction = """
        Durations: 250ms, 25s, 10m, 24h, 7d. Sizes: plain bytes, or 64KiB, 1MiB, 16GiB, 1TiB.
        `unlimited` (or 0) removes a limit where the comment says so. Keys after a `#` are optional.
        A reload (SIGHUP) applies every change, for connected clients, too; only changes of keys marked [restart] need a restart.
        Settings marked "not yet" are known but not available in this version: only their default is accepted.
        """

    /// A number of bytes in the largest unit that divides it, such as `16MiB`.
    static func size(_ bytes: Int) -> String {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        where bytes != 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return String(bytes)
    }

    /// A time span in the largest unit that divides it, such as `25s`.
    static func duration(_ duration: Duration) -> String {
        let milliseconds = duration / .milliseconds(1)
        for (unit, length) in [("d", 86_400_000.0), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
        where milliseconds != 0 && milliseconds.truncatingRemainder(dividingBy: length) == 0 {
            return "\(Int(milliseconds / length))\(unit)"
        }
        return "\(Int(milliseconds))ms"
    }
}

/// A page of YAML, line by line.
private struct YAMLPage {
    /// Whether keys have explanations, and optional keys that are not set are shown.
    let isExplained: Bool
    private(set) var text = ""

    /// The column at which notes beside values begin.
    private static let noteColumn = 35
    private static let width = 120

    init(isExplained: Bool) { self.isExplained = isExplained }

    /// Writes keys at a column; the first key of a list item comes after its dash.
    ///
    /// - Parameter hash: the column from which all lines are commented out; `nil` if they are not.
    mutating func write(_ members: [WrittenSetting], at column: Int, isItem: Bool = false, hash: Int? = nil) {
        var members = members.filter { $0.value != nil || isExplained }
        if isItem {
            // A comment cannot follow the dash.
            guard let first = members.firstIndex(where: { $0.value != nil }) else {
                return line("- {}", "", at: column - 2, hash)
            }
            members.insert(members.remove(at: first), at: 0)
        }
        var isFirst = isItem
        for member in members {
            let hash = member.value == nil ? hash ?? column : hash
            write(member.outline, member.value ?? .example(of: member.outline), at: column, isFirst, hash)
            isFirst = false
        }
    }

    private mutating func write(
        _ outline: SettingOutline, _ value: WrittenValue, at column: Int, _ isFirst: Bool, _ hash: Int?
    ) {
        let isAbove = column == 0 || hash == nil && outline.isSection
        if isExplained, isAbove {
            if column == 0 { text += "\n" }
            comment(outline.note, at: column)
        }
        let note = isExplained && !isAbove ? outline.note : ""
        let key = (isFirst ? "- " : "") + outline.key + ":"
        let start = isFirst ? column - 2 : column
        switch value {
        case .section(let members):
            line(key, note, at: start, hash)
            write(members, at: column + 2, hash: hash)
        case .list(let items) where items.isEmpty && !isExplained: line(key + " []", note, at: start, hash)
        case .list(let items):
            line(key, note, at: start, hash)
            // An empty list is shown with an example of an item.
            let shown = items.isEmpty ? [outline.members.map { WrittenSetting(outline: $0, value: nil).shown }] : items
            let hash = items.isEmpty ? hash ?? column + 2 : hash
            for item in shown {
                if case .list(_, isFlow: true) = outline.form {
                    line("- " + WrittenValue.section(item).yaml(isQuoted: !isExplained), "", at: column + 2, hash)
                } else {
                    write(item, at: column + 4, isItem: true, hash: hash)
                }
            }
        default: line("\(key) \(value.yaml(isQuoted: !isExplained))", note, at: start, hash)
        }
    }

    /// Writes a line, with a wrapped note beside it.
    private mutating func line(_ content: String, _ note: String, at column: Int, _ hash: Int?) {
        let content =
            if let hash { Self.space(hash) + "#" + Self.space(column - hash) + content } else {
                Self.space(column) + content
            }
        guard !note.isEmpty else { return text += content + "\n" }
        let notes = Self.wrapped(note, width: Self.width - Self.noteColumn - 2)
        text += content + Self.space(max(2, Self.noteColumn - content.count)) + "# \(notes[0])\n"
        for note in notes.dropFirst() { text += Self.space(Self.noteColumn) + "# \(note)\n" }
    }

    /// Writes the lines of a comment.
    mutating func comment(_ note: String, at column: Int) {
        guard !note.isEmpty else { return }
        for paragraph in note.split(separator: "\n", omittingEmptySubsequences: false) {
            for line in Self.wrapped(String(paragraph), width: Self.width - column - 2) {
                text += Self.space(column) + (line.isEmpty ? "#" : "# \(line)") + "\n"
            }
        }
    }

    private static func space(_ count: Int) -> String { String(repeating: " ", count: count) }

    /// Wraps a text into lines of at most `width` characters; returns at least one line.
    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            let last = lines.count - 1
            if lines[last].isEmpty {
                lines[last] = String(word)
            } else if lines[last].count + 1 + word.count <= width {
                lines[last] += " \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}

extension WrittenSetting {
    /// The setting, with an example if it has no value.
    fileprivate var shown: WrittenSetting {
        WrittenSetting(outline: outline, value: value ?? .example(of: outline))
    }
}

extension WrittenValue {
    /// How a key that is not set is shown.
    fileprivate static func example(of outline: SettingOutline) -> WrittenValue {
        let members = outline.members.map { WrittenSetting(outline: $0, value: nil).shown }
        return switch outline.form {
        case .value: .plain(outline.traits.example)
        case .section: .section(members)
        case .list: .list([members])
        }
    }
}

extension SettingOutline {
    fileprivate var isSection: Bool { if case .section = form { true } else { false } }
}

extension JSONWriter {
    fileprivate mutating func write(_ value: WrittenValue) {
        switch value {
        case .plain("true"): bool(true)
        case .plain("false"): bool(false)
        case .plain(let text): if let number = Int(text) { integer(number) } else { string(text) }
        case .text(let text): string(text)
        case .values(let values):
            beginArray()
            for value in values { write(value) }
            endArray()
        case .section(let members):
            beginObject()
            for member in members {
                guard let value = member.value else { continue }
                name(escaping: member.outline.key)
                write(value)
            }
            endObject()
        case .list(let items):
            beginArray()
            for item in items { write(.section(item)) }
            endArray()
        }
    }
}
