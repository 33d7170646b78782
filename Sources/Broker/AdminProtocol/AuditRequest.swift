/// `audit`: the last lines of the audit log, and those that come.
package struct ReadAuditRequest: AdminRequest {
    package static let verb = "audit"
    package static let right = AdminRight.operate

    /// Lines after this one, by its number; `nil`: from the first that is remembered.
    package var after: UInt64?
    /// Only lines of this time or later, in Unix milliseconds; `nil`: all.
    package var since: Int64?
    /// Only lines about this user; `nil`: all.
    package var user: String?
    /// Whether the answer waits until there is a line, for some seconds at most.
    package var isWaiting = false

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        after = try object.integer("after")
        since = try object.integer("since")
        user = try object.string("user")
        isWaiting = try object.bool("wait") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        if let after { writer.member("after", after) }
        if let since { writer.member("since", since) }
        if let user { writer.member("user", user) }
        if isWaiting { writer.member("wait", true) }
    }

    /// Lines of the log.
    package struct Answer: AdminObject {
        /// As the log has them: an object of JSON each.
        package var lines: [[UInt8]] = []
        /// Where the next request goes on.
        package var next: UInt64 = 0
        /// Whether there are more already.
        package var hasMore = false
        /// Lines that are forgotten: they came after ``ReadAuditRequest/after``.
        package var missed = 0

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            var lines: [[UInt8]] = []
            try object.value("lines")?.forEachElement { (element) throws(JSONError) in
                lines.append(element.copyRawBytes())
            }
            self.lines = lines
            next = try object.integer("next") ?? 0
            hasMore = try object.bool("more") ?? false
            missed = try object.integer("missed") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            writer.name("lines")
            writer.beginArray()
            for line in lines { writer.raw(line.span) }
            writer.endArray()
            writer.member("next", next)
            if hasMore { writer.member("more", true) }
            if missed > 0 { writer.member("missed", missed) }
        }
    }
}
