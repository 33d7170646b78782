/// `client.policy`: gives all subscriptions of a client another policy for slow readers.
package struct ClientPolicyRequest: AdminRequest {
    package static let verb = "client.policy"
    package static let right = AdminRight.write

    /// The client's id.
    package var client: String
    /// `close`, `drop-oldest` or `latest`.
    package var slow: String

    package init(client: String, slow: String) {
        self.client = client
        self.slow = slow
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client") ?? ""
        slow = try object.string("slow") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("client", client)
        writer.member("slow", slow)
    }

    /// The result.
    package struct Answer: AdminObject {
        /// How many subscriptions had another policy before.
        package var changed: Int

        package init(changed: Int) { self.changed = changed }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            changed = try object.integer("changed") ?? 0
        }

        package func write(to writer: inout JSONWriter) { writer.member("changed", changed) }
    }
}
