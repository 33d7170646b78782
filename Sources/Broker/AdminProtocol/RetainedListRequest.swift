/// `retained.list`: retained values without their data.
package struct RetainedListRequest: RetainedPageRequest {
    package typealias Answer = AdminList<RetainedSummary>
    package static let verb = "retained.list"
    package static let right = AdminRight.read

    /// Only topics that match this filter; `nil` for all.
    package var filter: String?
    /// Only topics after this one; `nil` from the first.
    package var after: String?

    package init(filter: String?, after: String? = nil) {
        self.filter = filter
        self.after = after
    }
}

/// A request for the next page of retained values.
package protocol RetainedPageRequest: AdminRequest {
    /// Only topics that match this filter; `nil` for all.
    var filter: String? { get }
    /// Only topics after this one; `nil` from the first.
    var after: String? { get }
    /// Creates a request for the values after a topic.
    init(filter: String?, after: String?)
}

extension RetainedPageRequest {
    package init(_ object: borrowing JSONObject) throws(JSONError) {
        self.init(filter: try object.string("filter"), after: try object.string("after"))
    }

    package func write(to writer: inout JSONWriter) {
        if let filter { writer.member("filter", filter) }
        if let after { writer.member("after", after) }
    }
}

/// What the broker knows about one retained value.
package struct RetainedSummary: AdminObject {
    package var topic = ""
    package var seq: UInt64 = 0
    /// When it was published, in Unix milliseconds.
    package var time: Int64?
    /// The size of the payload, in bytes.
    package var bytes = 0
    /// `text`, `json` or `binary`.
    package var kind = ""
    /// The content type; `nil` if there is none.
    package var type: String?
    /// When it expires, in Unix milliseconds; `nil` if it does not.
    package var expires: Int64?
    /// Whether the value is in memory only, and disappears with its publisher's connection.
    package var isEphemeral = false

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        topic = try object.string("topic") ?? ""
        seq = try object.integer("seq") ?? 0
        time = try object.integer("time")
        bytes = try object.integer("bytes") ?? 0
        kind = try object.string("kind") ?? ""
        type = try object.string("type")
        expires = try object.integer("expires")
        isEphemeral = try object.bool("ephemeral") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("topic", topic)
        writer.member("seq", seq)
        if let time { writer.member("time", time) }
        writer.member("bytes", bytes)
        writer.member("kind", kind)
        if let type { writer.member("type", type) }
        if let expires { writer.member("expires", expires) }
        if isEphemeral { writer.member("ephemeral", true) }
    }
}
