/// An answer of the broker, as received and decoded.
package struct AdminReply<Answer: AdminAnswer>: Sendable {
    /// The id of the answered request; 0 if the request had none.
    package let id: Int
    /// The answer, or the refusal.
    package let outcome: Result<Answer, AdminRefusal>
    /// The member `result` as received, including members that this version does not know; empty for a refusal.
    package let json: [UInt8]

    /// Parses a whole answer.
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

/// Why the broker refuses a request.
package struct AdminRefusal: Error, Sendable, Equatable {
    /// An error code of the protocol (docs/protocol.md).
    package let code: String
    /// A sentence.
    package let message: String
}

/// The wire format of requests and answers on the WebSocket `/admin`.
package enum AdminWire {
    /// The subprotocol.
    package static let subprotocol = "broker.admin.v1.json"
    /// The maximum nesting of an answer: that of a message's data plus the answer's own.
    package static let maximumDepth = 128

    /// The maximum size of a request, in bytes: an exported value with the longest topic and payload.
    package static func maximumQuestion(message: Int, topic: Int) -> Int { 2 * message + 2 * topic + 4096 }

    /// The error for an answer without `result`.
    static func missingResult(_ answer: borrowing JSONObject) -> JSONError {
        JSONError(.wrongKind(member: "result", expected: "a value", found: .null), at: answer.offset)
    }

    /// An answer to the request with `id`, which is written as received.
    static func answer(_ id: [UInt8]?, _ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        if let id { writer.member("id", raw: id.span) }
        write(&writer)
        writer.endObject()
        return writer.bytes
    }
}
