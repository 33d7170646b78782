public import WSTransport

extension HTTPRequest {
    /// Reads the body, whole, as JSON.
    ///
    /// - Parameter maximum: in bytes; a longer one is answered with 413.
    ///
    /// Throws ``HTTPRefusal`` with status 400, which becomes the answer where the handler lets it pass, where the body is
    /// not the JSON that `type` wants; else what ``HTTPRequest/readBody(maximum:)`` throws.
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
    /// Makes `value`, as JSON, the body, and `application/json` its type.
    ///
    /// The JSON is written as in a ``WebSocketMessage``. Throws `EncodingError` where JSON has no such value; the answer
    /// stays as it is then.
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
