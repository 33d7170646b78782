/// The settings that hold at all brokers of a cluster, whatever the file of each has.
///
/// These are the rights of clients, and what the order decides by: what the history keeps, and how long keys are known.
package struct SharedRules: Sendable, Equatable {
    /// All others are at their defaults.
    private var settings = Settings()

    /// Those of a broker's settings.
    package init(_ settings: Settings) { Self.copy(from: settings, to: &self.settings) }

    private static func copy(from source: Settings, to target: inout Settings) {
        target.access.anonymous = source.access.anonymous
        target.access.anonymousAnywhere = source.access.anonymousAnywhere
        target.access.rules = source.access.rules
        target.history = source.history
        target.publish = source.publish
    }

    /// The settings with these in the place of their own.
    package func inForce(in settings: Settings) -> Settings {
        var settings = settings
        Self.copy(from: self.settings, to: &settings)
        return settings
    }

    /// The paths at which others differ.
    package func differences(from other: SharedRules) -> [String] { settings.changes(to: other.settings).map(\.path) }

    // MARK: As text

    private static let sections: [String: Set<String>?] = [
        "access": ["anonymous", "anonymous_anywhere", "rules"], "history": nil, "publish": nil,
    ]

    /// A configuration that has nothing else.
    package var bytes: [UInt8] { SettingsWriter.json(settings, only: Self.sections) }

    /// Reads a configuration, of which nothing else is taken.
    package init(_ bytes: [UInt8]) throws(ConfigurationErrors) {
        self.init(try ConfigurationReader.parse(bytes, file: "the rules of the cluster"))
    }
}
