public import WSTransport

/// The body as JSON.
extension WebSocketMessage {
    /// Sets the body to `value` as JSON, with the cursor at its start.
    ///
    /// The type stays as it is: a message with JSON is usually a `TEXT` one. Members are sorted by name, a `Date` is
    /// the text that JavaScript makes of it (`"2026-01-31T12:00:00.000Z"`), `Data` is Base64.
    ///
    /// Throws `EncodingError` if JSON has no such value; the body then stays as it is.
    public func json(_ value: some Encodable) throws { body = try JSONText.encode(value) }

    /// Decodes the body as JSON, regardless of the cursor; `nil`: there is no body yet.
    ///
    /// Throws `DecodingError`, also if the body is empty: that is not JSON.
    public func json<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value? {
        try bodyIfAny.map { try JSONText.decode(type, from: $0) }
    }
}
