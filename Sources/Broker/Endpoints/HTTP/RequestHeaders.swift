internal import WSTransport

/// Content negotiation (RFC 9110 §12.5).
enum Accept {
    /// Whether `text/event-stream` is named, with at least the weight of lines of JSON.
    static func prefersEvents(_ field: String) -> Bool {
        var events = 0.0
        var lines = 0.0
        for (type, quality) in elements(field) {
            switch type {
            case "text/event-stream": events = max(events, quality)
            case "application/json", "application/x-ndjson", "application/ndjson": lines = max(lines, quality)
            default: break
            }
        }
        return events > 0 && events >= lines
    }

    /// Whether the content coding `gzip` is named.
    static func allowsGzip(_ field: String) -> Bool {
        elements(field).contains { $0.name == "gzip" && $0.quality > 0 }
    }

    /// The elements of a list in lower case, with their weights; 1 if none is stated.
    private static func elements(_ field: String) -> [(name: String, quality: Double)] {
        // Bytes, because searching for characters would cost twenty times as much.
        field.utf8.split(separator: UInt8(ascii: ",")).compactMap { part in
            let pieces = part.split(separator: UInt8(ascii: ";")).map { piece in
                String(decoding: piece.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self).lowercased()
            }
            guard let name = pieces.first else { return nil }
            let quality = pieces.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double(decimal: $0.dropFirst(2)) }
            return (name, quality ?? 1)
        }
    }
}

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
