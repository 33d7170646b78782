/// `log.level`: shows or changes the level of the broker's log, for a time.
///
/// The next reload or start restores the configuration's level.
package struct LogLevelRequest: AdminRequest {
    package static let verb = "log.level"
    package static let right = AdminRight.operate
    /// The maximum duration, in seconds.
    package static let longest: Int64 = 7 * 86_400

    /// `error`, `warning`, `info` or `debug`; `nil` if the level is only shown.
    package var level: String?
    /// The duration in seconds, from 1 to ``longest``; `nil` if the level stays until the next reload.
    package var seconds: Int64?

    package init(level: String?, seconds: Int64?) {
        self.level = level
        self.seconds = seconds
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        level = try object.string("level")
        seconds = try object.integer("seconds")
    }

    package func write(to writer: inout JSONWriter) {
        if let level { writer.member("level", level) }
        if let seconds { writer.member("seconds", seconds) }
    }

    /// The levels after the request.
    package struct Answer: AdminObject {
        /// The level in force.
        package var level: String
        /// The level of the configuration.
        package var configured: String
        /// When the configuration's level is restored, in Unix milliseconds; `nil` if no time is set.
        package var until: Int64?

        package init(level: String, configured: String, until: Int64?) {
            self.level = level
            self.configured = configured
            self.until = until
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            level = try object.string("level") ?? ""
            configured = try object.string("configured") ?? ""
            until = try object.integer("until")
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("level", level)
            writer.member("configured", configured)
            if let until { writer.member("until", until) }
        }
    }
}
