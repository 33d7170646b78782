/// `audit`: the last lines of the audit log, and new ones.
package struct ReadAuditRequest: LineRequest {
    package static let verb = "audit"
    package static let right = AdminRight.operate

    /// Only lines after the one with this number; `nil` for all lines that are still in memory.
    package var after: UInt64?
    /// Only lines of this time or later, in Unix milliseconds; `nil` for all.
    package var since: Int64?
    /// Only lines about this user; `nil` for all.
    package var user: String?
    /// Whether the answer waits some seconds for a new line if there is none.
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
