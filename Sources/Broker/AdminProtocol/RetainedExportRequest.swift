/// `retained.export`: the next page of retained values with all their members, each as stored when it is read.
package struct RetainedExportRequest: RetainedPageRequest {
    package static let verb = "retained.export"
    package static let right = AdminRight.read

    /// Only topics that match this filter; `nil` for all.
    package var filter: String?
    /// Only topics after this one; `nil` from the first.
    package var after: String?

    package init(filter: String?, after: String? = nil) {
        self.filter = filter
        self.after = after
    }

    /// One page of values.
    package struct Answer: AdminObject {
        package var values: [RetainedValue]
        /// The ``after`` of the next request; `nil` at the end.
        package var next: String?

        package init(values: [RetainedValue], next: String?) {
            self.values = values
            self.next = next
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            var values: [RetainedValue] = []
            try object.value("values")?.forEachElement { (value) throws(JSONError) in
                values.append(try RetainedValue(try value.object()))
            }
            self.values = values
            next = try object.string("next")
        }

        package func write(to writer: inout JSONWriter) {
            writer.name("values")
            writer.beginArray()
            for value in values { writer.raw(value.json.span) }
            writer.endArray()
            if let next { writer.member("next", next) }
        }
    }
}
