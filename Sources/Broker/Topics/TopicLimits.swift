/// How large a topic or filter may be.
package struct TopicLimits: Sendable, Equatable {
    /// The longest name, in bytes of UTF-8.
    package var maximumBytes = 1024
    /// The most levels; a name has one more than it has slashes.
    package var maximumLevels = 32

    /// Makes limits; without arguments, the defaults of the configuration.
    package init(maximumBytes: Int = 1024, maximumLevels: Int = 32) {
        self.maximumBytes = maximumBytes
        self.maximumLevels = maximumLevels
    }
}
