public import WSTransport

/// The body as MessagePack.
extension WebSocketMessage {
    /// Makes `value`, as MessagePack, the body; the cursor is at its start.
    ///
    /// The type stays: a message that is MessagePack must be a `BINARY` one.
    ///
    /// Throws `EncodingError` where MessagePack has no such value; the body stays then.
    public func pack(_ value: some Encodable, with encoder: MessagePackEncoder = MessagePackEncoder()) throws {
        body = try encoder.encode(value)
    }

    /// The body's MessagePack, whatever has been read of it; `nil`: there is no body yet.
    ///
    /// Throws `DecodingError`, where the body is empty, too: that is no MessagePack.
    public func pack<Value: Decodable>(
        as type: Value.Type = Value.self, with decoder: MessagePackDecoder = MessagePackDecoder()
    ) throws -> Value? {
        try bodyIfAny.map { try decoder.decode(type, from: $0) }
    }
}
