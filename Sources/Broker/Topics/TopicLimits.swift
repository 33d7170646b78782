/// Limits of topics and filters.
package struct TopicLimits: Sendable, Equatable {
    /// The maximum length of a name, in bytes of UTF-8.
    package var maximumBytes = 1024
    /// The maximum number of levels, one more than the number of slashes.
    package var maximumLevels = 32
    /// The maximum number of `+` in a filter.
    package var maximumWildcards = 8

    /// Whether a filter may have `$share` as its first level, which is reserved for shared subscriptions (MQTT 5.0 §4.8.2).
    var allowsShared = false

    /// No limits, for names that have been accepted before.
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
