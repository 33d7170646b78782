/// The manual's page of all settings, `docs/settings.md`.
package enum SettingsManual {
    /// The page in Markdown.
    package static func markdown() -> String {
        var page = introduction
        for setting in Settings.record.written(Settings()) {
            let outline = setting.outline
            page += "\n## \(outline.key)\n\n"
            if !outline.members.isEmpty, !outline.doc.isEmpty { page += "\(outline.doc)\n\n" }
            page += "| setting | default | takes | meaning | a change |\n|---|---|---|---|---|\n"
            page += rows(setting, in: "").map { "| \($0.joined(separator: " | ")) |\n" }.joined()
        }
        return page
    }

    private static let introduction = """
        # Settings

        Every key of the file that `brokerd --config FILE` reads. The same keys with their defaults stand in
        [Config/broker.yaml](../Config/broker.yaml), which `brokerctl config show --comments` prints, too. `brokerctl config check FILE`
        says everything that is wrong in a file, each with line and column.

        A variable of `brokerd`'s environment sets a key, too, and goes before the file: `BROKER_LIMITS_MESSAGE=4MiB` is
        `limits.message: 4MiB`. A list is written as in YAML: `BROKER_ORIGINS='[same-host, null]'`.

        A reload (SIGHUP) takes over what is marked *live*, for connected clients, too. What is marked *restart* waits for
        the next start; the log names what has changed and waits.

        This page is made from the settings themselves, by `make settings`.

        """

    /// The rows of a setting's table, each cell in Markdown.
    private static func rows(_ setting: WrittenSetting, in section: String) -> [[String]] {
        let outline = setting.outline
        let path = outline.path(in: section)
        switch (outline.form, setting.value) {
        case (.section, .section(let members)): return members.flatMap { rows($0, in: path) }
        case (.list, .list(let items)) where !items.isEmpty:
            return (items.first ?? []).flatMap { rows($0, in: path) }
        case (.value, let value):
            let required = outline.traits.required == nil ? "" : "required"
            return [row(outline, path, value.map { "`\($0.yaml(isQuoted: false))`" } ?? required)]
        default:
            let isKnown = outline.traits.isAvailable
            let members = outline.members.flatMap { rows(WrittenSetting(outline: $0, value: nil), in: path) }
            return (section.isEmpty ? [] : [row(outline, path, "")]) + (isKnown ? members : [])
        }
    }

    private static func row(_ outline: SettingOutline, _ path: String, _ standard: String) -> [String] {
        let traits = outline.traits
        let change = !traits.isAvailable ? "not yet" : traits.reload == .live ? "live" : "restart"
        var meaning = outline.doc.replacing("\n", with: " ")
        if let platform = traits.platform { meaning += " (\(platform))" }
        if traits.isSecret { meaning += " Secret: `file:PATH` or `env:NAME` says where it is kept." }
        var takes = outline.expected
        if case .section = outline.form { takes = "a section" }
        return ["`\(path)`", standard, takes, meaning, change].map { $0.replacing("|", with: "\\|") }
    }
}
