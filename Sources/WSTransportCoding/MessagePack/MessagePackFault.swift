/// What is wrong with an item or a value, before its place in the whole value is known.
struct MessagePackFault: Error {
    enum Kind {
        /// An item of another kind than the type expects.
        case mismatch
        /// `nil` where a value is required.
        case absent
        /// Not MessagePack, or a value that the type does not have.
        case corrupted
    }

    let kind: Kind
    /// A sentence, which begins with the place in the input if there is one.
    let text: String
    /// The text in place of a value that cannot be shown; `nil` for the value itself.
    var shown: (any Sendable)?

    init(_ text: String, _ kind: Kind = .corrupted) {
        self.kind = kind
        self.text = text
    }

    /// For the item that begins at that byte.
    init(at offset: Int, _ text: String, _ kind: Kind = .corrupted) {
        self.init("At byte \(offset): \(text).", kind)
    }

    func decodingError(for type: any Any.Type, _ path: [any CodingKey]) -> DecodingError {
        let context = DecodingError.Context(codingPath: path, debugDescription: text)
        switch kind {
        case .mismatch: return .typeMismatch(type, context)
        case .absent: return .valueNotFound(type, context)
        case .corrupted: return .dataCorrupted(context)
        }
    }

    func encodingError(for value: Any, _ path: [any CodingKey]) -> EncodingError {
        .invalidValue((shown as Any?) ?? value, EncodingError.Context(codingPath: path, debugDescription: text))
    }
}
