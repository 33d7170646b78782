public import WSTransport

extension ServerRequest {
    /// Reads the whole body, and decodes it from JSON.
    ///
    /// - Parameters:
    ///   - type: the type to decode.
    ///   - maximum: the longest accepted body in bytes; a longer one is answered with 413.
    ///
    /// Throws an `HTTPRefusal` with status 400 if the body is not the JSON that `type` expects; unless the handler
    /// catches it, it becomes the response. Also throws what `readBody(maximum:)` throws.
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

extension ServerResponse {
    /// Sets the body to `value` as JSON, and the type to `application/json`.
    ///
    /// The JSON has the form that `WebSocketMessage.json(_:)` describes. Throws `EncodingError` if JSON cannot express
    /// the value; the response then does not change.
    public func json(_ value: some Encodable) throws {
        let text = try JSONText.encode(value)
        fields.set("Content-Type", "application/json")
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

extension WebSocket {
    /// Sends `value` as JSON in a text message; if more than 64 KiB are unsent, waits for room first.
    ///
    /// The JSON has the form that `WebSocketMessage.json(_:)` describes. Throws `EncodingError` if JSON cannot express
    /// the value, and what `send` throws.
    public func send(json value: some Encodable) async throws {
        try await send(String(decoding: JSONText.encode(value), as: UTF8.self))
    }

    /// Sends `value` as MessagePack in a binary message; if more than 64 KiB are unsent, waits for room first.
    public func send(pack value: some Encodable, with encoder: MessagePackEncoder = MessagePackEncoder()) async throws {
        try await send(try encoder.encode(value))
    }
}

/// The body as JSON.
extension WebSocketMessage {
    /// Sets the body to `value` as JSON, with the read position at its start.
    ///
    /// The message's type does not change; use `TEXT` for JSON. Members are sorted by name. A `Date` is written as in
    /// JavaScript (`"2026-01-31T12:00:00.000Z"`), and `Data` as Base64.
    ///
    /// Throws `EncodingError` if JSON cannot express the value; the body then does not change.
    public func json(_ value: some Encodable) throws { body = try JSONText.encode(value) }

    /// Decodes the whole body from JSON, regardless of the read position; `nil` if there is no body yet.
    ///
    /// Throws `DecodingError` if the body is not the JSON that `type` expects; an empty body is not JSON.
    public func json<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value? {
        try bodyIfAny.map { try JSONText.decode(type, from: $0) }
    }
}

/// The body as MessagePack.
extension WebSocketMessage {
    /// Sets the body to `value` as MessagePack, with the read position at its start.
    ///
    /// The message's type does not change; use `BINARY` for MessagePack.
    ///
    /// Throws `EncodingError` if MessagePack cannot express the value; the body then does not change.
    public func pack(_ value: some Encodable, with encoder: MessagePackEncoder = MessagePackEncoder()) throws {
        body = try encoder.encode(value)
    }

    /// Decodes the whole body from MessagePack, regardless of the read position; `nil` if there is no body yet.
    ///
    /// Throws `DecodingError` if the body is not the MessagePack that `type` expects; an empty body is not MessagePack.
    public func pack<Value: Decodable>(
        as type: Value.Type = Value.self, with decoder: MessagePackDecoder = MessagePackDecoder()
    ) throws -> Value? {
        try bodyIfAny.map { try decoder.decode(type, from: $0) }
    }
}
