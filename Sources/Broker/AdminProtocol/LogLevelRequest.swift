/// `log.level`: which lines the broker writes to its log from now on, for a time.
///
/// The next reload, and the next start, have it be the level of the configuration.
package struct LogLevelRequest: AdminRequest {
    package static let verb = "log.level"
    package static let right = AdminRight.operate
    /// The longest time, in seconds.
    package static let longest: Int64 = 7 * 86_400

    /// `error`, `warning`, `info` or `debug`; `nil`: nothing changes.
    package var level: String?
    /// After so many seconds it is again the configuration's, from 1 to ``longest``; `nil`: it stays.
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

    /// What holds now.
    package struct Answer: AdminObject {
        /// The level that holds.
        package var level: String
        /// The level of the configuration.
        package var configured: String
        /// When that holds again, in Unix milliseconds; `nil`: not by itself.
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
