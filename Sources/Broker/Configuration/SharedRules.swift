/// The settings that are the same at all brokers of a cluster, whatever each broker's file says.
///
/// These are the rights of clients, and the rules that the order uses: what the history keeps, and how long keys are
/// remembered.
package struct SharedRules: Sendable, Equatable {
    /// The settings; all others have their defaults.
    private var settings = Settings()

    /// Takes the rules from a broker's settings.
    package init(_ settings: Settings) { Self.copy(from: settings, to: &self.settings) }

    private static func copy(from source: Settings, to target: inout Settings) {
        target.access.anonymous = source.access.anonymous
        target.access.anonymousAnywhere = source.access.anonymousAnywhere
        target.access.rules = source.access.rules
        target.history = source.history
        target.publish = source.publish
    }

    /// The settings with these rules in place of their own.
    package func inForce(in settings: Settings) -> Settings {
        var settings = settings
        Self.copy(from: self.settings, to: &settings)
        return settings
    }

    /// The paths at which other rules differ from these.
    package func differences(from other: SharedRules) -> [String] { settings.changes(to: other.settings).map(\.path) }

    // MARK: As text

    private static let sections: [String: Set<String>?] = [
        "access": ["anonymous", "anonymous_anywhere", "rules"], "history": nil, "publish": nil,
    ]

    /// A configuration that contains only these rules.
    package var bytes: [UInt8] { SettingsWriter.json(settings, only: Self.sections) }

    /// Reads the rules of a configuration, and ignores everything else.
    package init(_ bytes: [UInt8]) throws(ConfigurationErrors) {
        self.init(try ConfigurationReader.parse(bytes, file: "the rules of the cluster"))
    }
}
