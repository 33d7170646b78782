internal import ArgumentParser
internal import Broker

/// `brokerctl explain [CODE]`: explains a code of the broker or a setting.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Explains an error, a close code, an event of the audit log or a setting.",
        discussion: """
            It knows error codes, close codes of WebSockets, HTTP statuses, events of the audit log, and settings by \
            their paths. Without CODE it lists all codes. It needs no broker.

            Examples:
              brokerctl explain rate-limited
              brokerctl explain 4410
              brokerctl explain publish.denied
              brokerctl explain limits.pending
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "A code or setting, such as rate-limited, 4410, 421, publish.denied or limits.pending.")
    var code: String?

    func run() throws {
        guard let code else { return listAll() }
        let found = Self.meanings(of: code)
        let settings = SettingsManual.rows.filter { $0.path == Self.plain(code) }
        guard !found.isEmpty || !settings.isEmpty else { throw Self.unknown(code) }
        if connection.json {
            return Output.printJSON(
                Self.json { writer in
                    for meaning in found { meaning.write(to: &writer) }
                    for setting in settings { setting.write(to: &writer) }
                })
        }
        let texts = found.map { $0.text(as: code) } + settings.map(\.text)
        Output.write(Array(texts.joined(separator: "\n").utf8))
    }

    private func listAll() {
        if connection.json {
            return Output.printJSON(
                Self.json { writer in
                    for meaning in CodeMeaning.all { meaning.write(to: &writer) }
                })
        }
        TextTable(
            ["CODE", "KIND", "MEANING"], CodeMeaning.all.map { [$0.code, $0.kindWords, $0.meaning.plain] }
        ).print()
    }

    private static func json(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginArray()
        body(&writer)
        writer.endArray()
        return writer.bytes
    }

    /// The meanings with this code, or with this companion.
    private static func meanings(of code: String) -> [CodeMeaning] {
        let exact = CodeMeaning.all.filter { $0.code == code || $0.kind == .error && $0.companion == code }
        guard exact.isEmpty, let dot = code.firstIndex(of: ".") else { return exact }
        // Each verb of an administrator has an event of its own.
        let family = code[..<dot] + ".VERB"
        return CodeMeaning.all.filter { $0.kind == .audit && $0.code == family && !code.hasSuffix(".") }
    }

    /// The path of a setting as in the manual: `listen[].address` for `listen[0].address`.
    private static func plain(_ path: String) -> String { path.replacing(/\[[0-9]+\]/, with: "[]") }

    private static func unknown(_ code: String) -> Failure {
        let known = CodeMeaning.all.map(\.code) + SettingsManual.rows.map(\.path)
        let advice = ConfigurationKeys.nearest(to: code, among: known).map { "did you mean \"\($0)\"?" }
        return .usage(
            "there is no code or setting \"\(Output.printable(code))\"; \(advice ?? "brokerctl explain lists the codes")"
        )
    }
}

extension CodeMeaning {
    fileprivate var kindWords: String {
        switch kind {
        case .error: "error"
        case .close: "close code"
        case .status: "HTTP status"
        case .audit: "audit event"
        }
    }

    /// A paragraph.
    fileprivate func text(as asked: String) -> String {
        var title = "\(kind == .audit ? asked : code): \(kindWords)"
        if kind == .error { title += ", HTTP status \(companion)" }
        if kind == .status { title += ", with the error \(companion)" }
        var text = "\(Output.printable(title))\n  \(meaning.plain)\n"
        if !again.isEmpty { text += "  \(kind == .close ? "come back" : "try again"): \(again.plain)\n" }
        if !advice.isEmpty { text += "  \(advice.plain)\n" }
        return text
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("kind", kind.rawValue)
        writer.member("code", code)
        if kind == .error { writer.member("status", Int(companion) ?? 0) }
        if kind == .status { writer.member("error", companion) }
        writer.member("meaning", meaning)
        if !again.isEmpty { writer.member("again", again) }
        if !advice.isEmpty { writer.member("advice", advice) }
        writer.endObject()
    }
}

extension SettingsManual.Row {
    /// A paragraph.
    fileprivate var text: String {
        var text = "\(path): setting\n  \(meaning.plain)\n  takes: \(takes)\n"
        if !standard.isEmpty { text += "  default: \(standard)\n" }
        let when =
            switch change {
            case "live": "a reload applies a change"
            case "restart": "a change needs a restart"
            default: "not in this version"
            }
        return text + "  \(when)\n"
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("kind", "setting")
        writer.member("code", path)
        writer.member("meaning", meaning)
        writer.member("takes", takes)
        writer.member("default", standard)
        writer.member("change", change)
        writer.endObject()
    }
}

extension String {
    /// The text without the backticks of Markdown.
    fileprivate var plain: String { replacing("`", with: "") }
}
