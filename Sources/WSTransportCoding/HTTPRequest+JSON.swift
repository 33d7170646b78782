public import WSTransport

extension HTTPRequest {
    /// Reads the body, whole, as JSON.
    ///
    /// - Parameter maximum: in bytes; a longer body is answered with 413.
    ///
    /// Throws ``HTTPRefusal`` with status 400 if the body is not the JSON that `type` expects. It becomes the answer
    /// unless the handler catches it. Also throws what ``HTTPRequest/readBody(maximum:)`` throws.
    public func json<Value: Decodable>(as type: Value.Type = Value.self, maximum: Int = 64 << 20) async throws -> Value
    {
        let body = try await readBody(maximum: maximum)
        do {
            return try JSONText.decode(type, from: body)
        } catch let error as DecodingError {
            throw HTTPRefusal(status: 400, message: error.sentence)
        }
    }
}

extension HTTPResponse {
    /// Sets the body to `value` as JSON, and the type to `application/json`.
    ///
    /// The JSON is written as in a ``WebSocketMessage``. Throws `EncodingError` if JSON has no such value, and then
    /// leaves the answer as it is.
    public func json(_ value: some Encodable) throws {
        let text = try JSONText.encode(value)
        var others = HTTPFields()
        for field in fields where field.name.lowercased() != "content-type" { others.append(field.name, field.value) }
        others.append("Content-Type", "application/json")
        fields = others
        body = text
    }
}

extension DecodingError {
    /// What is wrong, and where in the value: `Of "a.0.b": …`.
    fileprivate var sentence: String {
        let context: Context
        switch self {
        case .typeMismatch(_, let where_), .valueNotFound(_, let where_), .keyNotFound(_, let where_),
            .dataCorrupted(let where_):
            context = where_
        @unknown default: return "The body is not the JSON that is expected."
        }
        let path = context.codingPath.map { $0.intValue.map { String($0) } ?? $0.stringValue }.joined(separator: ".")
        let place = path.isEmpty ? "The body" : "In the body, \"\(path)\""
        return "\(place) is not the JSON that is expected: \(context.debugDescription)"
    }
}
