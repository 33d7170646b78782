/// An answer of the broker as it came, and what it says.
package struct AdminReply<Answer: AdminAnswer>: Sendable {
    /// Which request it answers; 0: none that has a number.
    package let id: Int
    /// The answer, or why there is none, for people.
    package let outcome: Result<Answer, AdminRefusal>
    /// The member `result` as it came, with what this version does not know of; empty for a refusal.
    package let json: [UInt8]

    /// Reads a whole answer.
    package init(_ bytes: [UInt8]) throws(JSONError) {
        let object = try JSONObject.parse(bytes.span, maximumDepth: AdminWire.maximumDepth)
        id = try object.integer("id", as: Int.self) ?? 0
        if let error = try object.object("error") {
            outcome = .failure(
                AdminRefusal(
                    code: try error.string("code") ?? "error", message: try error.string("message") ?? "refused"))
            json = []
        } else {
            outcome = .success(try Answer(answer: object))
            json = object.value("result")?.copyRawBytes() ?? []
        }
    }
}

/// Why the broker does not do what it was asked.
package struct AdminRefusal: Error, Sendable, Equatable {
    /// One of the contract's §3.5.
    package let code: String
    /// A sentence.
    package let message: String
}

/// How requests and answers go over the WebSocket `/admin`.
package enum AdminWire {
    /// The subprotocol.
    package static let subprotocol = "broker.admin.v1.json"
    /// How deep an answer may be nested: what is nested in a message's data comes on top of the answer.
    package static let maximumDepth = 128

    /// The error for an answer that has no `result`.
    static func missingResult(_ answer: borrowing JSONObject) -> JSONError {
        JSONError(.wrongKind(member: "result", expected: "a value", found: .null), at: answer.offset)
    }

    /// An answer to the request with `id`, which is written as it came.
    static func answer(_ id: [UInt8]?, _ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        if let id { writer.member("id", raw: id.span) }
        write(&writer)
        writer.endObject()
        return writer.bytes
    }
}
