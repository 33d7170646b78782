/// `audit`: the last lines of the audit log, and those that come.
package struct ReadAuditRequest: LineRequest {
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

    package typealias Answer = LogLines
}
