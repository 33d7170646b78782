public import WSTransport

/// The body as MessagePack.
extension WebSocketMessage {
    /// Sets the body to `value` as MessagePack, with the cursor at its start.
    ///
    /// The type stays as it is: a message with MessagePack must be a `BINARY` one.
    ///
    /// Throws `EncodingError` if MessagePack has no such value; the body then stays as it is.
    public func pack(_ value: some Encodable, with encoder: MessagePackEncoder = MessagePackEncoder()) throws {
        body = try encoder.encode(value)
    }

    /// Decodes the body as MessagePack, regardless of the cursor; `nil`: there is no body yet.
    ///
    /// Throws `DecodingError`, also if the body is empty: that is not MessagePack.
    public func pack<Value: Decodable>(
        as type: Value.Type = Value.self, with decoder: MessagePackDecoder = MessagePackDecoder()
    ) throws -> Value? {
        try bodyIfAny.map { try decoder.decode(type, from: $0) }
    }
}
