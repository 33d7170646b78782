public import WSTransport

/// The body as JSON.
extension WebSocketMessage {
    /// Makes `value`, as JSON, the body; the cursor is at its start.
    ///
    /// The type stays: a message that is JSON is a `TEXT` one as a rule. Members are sorted by name, a `Date` is the text
    /// that JavaScript makes of one (`"2026-01-31T12:00:00.000Z"`), `Data` is Base64.
    ///
    /// Throws `EncodingError` where JSON has no such value; the body stays then.
    public func json(_ value: some Encodable) throws { body = try JSONText.encode(value) }

    /// The body's JSON, whatever has been read of it; `nil`: there is no body yet.
    ///
    /// Throws `DecodingError`, where the body is empty, too: that is no JSON.
    public func json<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value? {
        try bodyIfAny.map { try JSONText.decode(type, from: $0) }
    }
}
