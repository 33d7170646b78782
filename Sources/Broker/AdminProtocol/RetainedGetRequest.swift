/// `retained.get`: one retained value.
package struct RetainedGetRequest: AdminRequest {
    package typealias Answer = RetainedValue
    package static let verb = "retained.get"
    package static let right = AdminRight.read

    package var topic: String
    /// Whether the answer holds the exact bytes of the data, in base64 where JSON would change them.
    package var isExact: Bool

    package init(topic: String, isExact: Bool) {
        self.topic = topic
        self.isExact = isExact
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        topic = try object.string("topic") ?? ""
        isExact = try object.bool("exact") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("topic", topic)
        if isExact { writer.member("exact", true) }
    }
}
