/// `retained.delete`: removes retained values, and answers when the removal is on disk.
package struct RetainedDeleteRequest: AdminRequest {
    package static let verb = "retained.delete"
    package static let right = AdminRight.write

    /// A topic, or a filter with wildcards; a request without it is refused.
    package var filter: String?
    /// Whether the values are only counted.
    package var isTrial: Bool

    package init(filter: String, isTrial: Bool) {
        self.filter = filter
        self.isTrial = isTrial
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        filter = try object.string("filter")
        isTrial = try object.bool("dryRun") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        if let filter { writer.member("filter", filter) }
        if isTrial { writer.member("dryRun", true) }
    }

    /// How many values were deleted.
    package struct Answer: AdminObject {
        package var deleted: Int
        /// How many would be deleted; `nil` if they were deleted.
        package var matching: Int?

        package init(deleted: Int, matching: Int? = nil) {
            self.deleted = deleted
            self.matching = matching
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            deleted = try object.integer("deleted") ?? 0
            matching = try object.integer("matching")
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("deleted", deleted)
            if let matching { writer.member("matching", matching) }
        }
    }
}
