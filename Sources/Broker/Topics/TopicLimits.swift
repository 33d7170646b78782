/// How large a topic or filter may be.
package struct TopicLimits: Sendable, Equatable {
    /// The longest name, in bytes of UTF-8.
    package var maximumBytes = 1024
    /// The most levels; a name has one more than it has slashes.
    package var maximumLevels = 32
    /// How many `+` a filter may have.
    package var maximumWildcards = 8

    /// Whether a filter may begin with `$share/`, which is to mean a shared subscription (MQTT 5.0 §4.8.2) once there are any.
    var allowsShared = false

    /// For names that were taken once, and are only named again.
    package static let none: TopicLimits = {
        var limits = TopicLimits(maximumBytes: .max, maximumLevels: .max, maximumWildcards: .max)
        limits.allowsShared = true
        return limits
    }()

    /// Makes limits; without arguments, the defaults of the configuration.
    package init(maximumBytes: Int = 1024, maximumLevels: Int = 32, maximumWildcards: Int = 8) {
        self.maximumWildcards = maximumWildcards
        self.maximumBytes = maximumBytes
        self.maximumLevels = maximumLevels
    }
}
