/// The manual's page of all settings, `docs/settings.md`, and its rows.
package enum SettingsManual {
    /// One setting, as shown in the manual.
    package struct Row: Sendable {
        /// The setting's path, such as `limits.message` or `listen[].address`.
        package let path: String
        /// The default in YAML; empty if there is none.
        package let standard: String
        package let takes: String
        /// The meaning, in Markdown.
        package let meaning: String
        /// When a change takes effect: `live` or `restart`; `not yet` if this version does not support the setting.
        package let change: String
        /// Whether the setting is required.
        fileprivate let isRequired: Bool

        fileprivate var cells: [String] {
            let standard = isRequired ? "required" : standard.isEmpty ? "" : "`\(standard)`"
            return ["`\(path)`", standard, takes, meaning, change].map { $0.replacing("|", with: "\\|") }
        }
    }

    /// All settings, in the order of the page.
    package static var rows: [Row] { Settings.record.written(Settings()).flatMap { rows($0, in: "") } }

    /// The page in Markdown.
    package static func markdown() -> String {
        var page = introduction
        for setting in Settings.record.written(Settings()) {
            let outline = setting.outline
            page += "\n## \(outline.key)\n\n"
            if !outline.members.isEmpty, !outline.doc.isEmpty { page += "\(outline.doc)\n\n" }
            page += "| setting | default | takes | meaning | a change |\n|---|---|---|---|---|\n"
            page += rows(setting, in: "").map { "| \($0.cells.joined(separator: " | ")) |\n" }.joined()
        }
        return page
    }

    private static let introduction = """
        # Settings

        Every key of the file that `brokerd --config FILE` reads. The same keys with their defaults are in
        [Config/broker.yaml](../Config/broker.yaml), which `brokerctl config show --defaults --comments` prints, too. `brokerctl config check FILE`
        reports every error in a file, with line and column.

        An environment variable of `brokerd` sets a key, too, and overrides the file: `BROKER_LIMITS_MESSAGE=4MiB` is
        `limits.message: 4MiB`. A list is written as in YAML: `BROKER_ORIGINS='[same-host, null]'`.

        A reload (SIGHUP) applies changes of settings that are marked *live*, for connected clients, too. Changes of
        settings that are marked *restart* take effect at the next start, and the log names them.

        This page is made from the settings themselves, by `make settings`.

        """

    /// The rows of a setting's table.
    private static func rows(_ setting: WrittenSetting, in section: String) -> [Row] {
        let outline = setting.outline
        let path = outline.path(in: section)
        switch (outline.form, setting.value) {
        case (.section, .section(let members)): return members.flatMap { rows($0, in: path) }
        case (.list, .list(let items)) where !items.isEmpty:
            return (items.first ?? []).flatMap { rows($0, in: path) }
        case (.value, let value):
            return [row(outline, path, value)]
        default:
            let isKnown = outline.traits.isAvailable
            let members = outline.members.flatMap { rows(WrittenSetting(outline: $0, value: nil), in: path) }
            return (section.isEmpty ? [] : [row(outline, path, nil)]) + (isKnown ? members : [])
        }
    }

    private static func row(_ outline: SettingOutline, _ path: String, _ standard: WrittenValue?) -> Row {
        let traits = outline.traits
        let change = !traits.isAvailable ? "not yet" : traits.reload == .live ? "live" : "restart"
        var meaning = outline.doc.replacing("\n", with: " ")
        if let platform = traits.platform { meaning += " (\(platform))" }
        if traits.isSecret { meaning += " Secret: `file:PATH` or `env:NAME` says where it is kept." }
        var (takes, isRequired) = (outline.expected, false)
        if case .section = outline.form { takes = "a section" }
        if case .value = outline.form { isRequired = standard == nil && traits.required != nil }
        return Row(
            path: path, standard: standard?.yaml(isQuoted: false) ?? "", takes: takes, meaning: meaning,
            change: change, isRequired: isRequired)
    }
}
