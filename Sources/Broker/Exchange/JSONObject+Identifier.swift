extension JSONObject {
    /// The client's `id` as it was written; `nil` where there is none.
    func identifier() throws(Refusal) -> [UInt8]? {
        guard let value = value("id") else { return nil }
        switch value.kind {
        case .null: return nil
        case .number, .string: return value.copyRawBytes()
        default: throw Refusal(.badRequest, "id: expected a number or a string, found \(value.kind.rawValue).")
        }
    }
}
