internal import WSTransport

/// A message's headers as HTTP fields: `Message-NAME`.
enum HeaderFields {
    private static let prefix = "message-"

    /// The headers in a request; `nil` if there are none.
    static func read(_ fields: HTTPFields) throws(Refusal) -> MessageProperties? {
        guard fields.hasName(beginningWith: "message-") else { return nil }
        var headers: [MessageProperties.Header] = []
        for field in fields where field.name.lowercased().hasPrefix(prefix) {
            let name = String(field.name.dropFirst(prefix.count))
            headers.append(MessageProperties.Header(name: name, value: field.value))
        }
        try JSONCommand.check(headers)
        return try MessageProperties(headers: headers)
    }

    /// Adds a value's headers to a response, except those that a field cannot carry unchanged.
    static func add(_ properties: MessageProperties?, to fields: inout HTTPFields) {
        guard let properties else { return }
        var names: [String] = []
        for header in properties.headers where isField(header) {
            let name = "Message-\(header.name)"
            fields.append(name, header.value)
            if !names.contains(name) { names.append(name) }
        }
        // Without this, a page's script cannot read them.
        if !names.isEmpty { fields.append("Access-Control-Expose-Headers", names.joined(separator: ", ")) }
    }

    private static func isField(_ header: MessageProperties.Header) -> Bool {
        guard HTTPFields.isName(header.name), HTTPFields.isValue(header.value) else { return false }
        return header.value.first != " " && header.value.last != " "
    }
}
