internal import WSTransport

/// Content types, and the kind of message that each implies.
package enum ContentType {
    /// The maximum length of a content type, in bytes.
    static let maximumLength = 256

    /// Refuses a content type that cannot be a header field.
    static func check(_ type: String?) throws(Refusal) {
        guard let type else { return }
        guard (1...maximumLength).contains(type.utf8.count) else {
            throw Refusal(.badRequest, "type: expected 1 to \(maximumLength) bytes, found \(type.utf8.count).")
        }
        let bytes = type.utf8Span.span
        for index in bytes.indices where bytes[index] < 0x20 || bytes[index] > 0x7E {
            throw Refusal(.badRequest, "type: expected printable ASCII.")
        }
    }

    private static let form = "application/x-www-form-urlencoded"

    /// A content type without its parameters, in lower case.
    private static func essence(_ type: String) -> String {
        var essence: [UInt8] = []
        essence.reserveCapacity(type.utf8.count)
        for byte in type.utf8 {
            if byte == UInt8(ascii: ";") { break }
            let isCapital = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            if byte != UInt8(ascii: " ") { essence.append(isCapital ? byte | 0x20 : byte) }
        }
        return String(decoding: essence, as: UTF8.self)
    }

    /// The content type of a request's body; `nil` if it has none.
    ///
    /// `application/x-www-form-urlencoded` counts as none: `curl -d` and HTML forms send it with any body.
    static func stated(_ type: String?) -> String? {
        // Most content types are shorter and need no parsing.
        guard let type, type.utf8.count >= form.utf8.count, essence(type) == form else { return type }
        return nil
    }

    /// The kind of a body received over HTTP.
    ///
    /// Text if the type says so or is absent, and the bytes are UTF-8; a JSON type with one JSON value is JSON.
    package static func kind(of body: Span<UInt8>, type: String?) -> Message.Kind {
        guard let type, type != "text/plain" else { return textOrBinary(body) }
        let essence = essence(type)
        let isJSON = essence.hasSuffix("/json") || essence.hasSuffix("+json")
        if isJSON, !body.isEmpty, JSONScanner.validate(body) { return .json }
        let isText =
            isJSON || essence.isEmpty || essence.hasPrefix("text/") || essence.hasSuffix("/xml")
            || essence.hasSuffix("+xml")
        return isText ? textOrBinary(body) : .binary
    }

    package static func kind(of body: [UInt8], type: String?) -> Message.Kind { kind(of: body.span, type: type) }

    private static func textOrBinary(_ body: Span<UInt8>) -> Message.Kind {
        unsafe body.withUnsafeBytes { unsafe UTF8Validator.isValid($0) } ? .text : .binary
    }

    /// The content type of a retained value that was published without one.
    static func type(of kind: Message.Kind) -> String {
        switch kind {
        case .text: "text/plain; charset=utf-8"
        case .json: "application/json"
        case .binary: "application/octet-stream"
        }
    }
}
