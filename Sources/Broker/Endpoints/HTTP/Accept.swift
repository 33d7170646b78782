/// What a client says it takes (RFC 9110 §12.5).
enum Accept {
    /// Whether `text/event-stream` is asked for by name, no less than lines of JSON.
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

    /// Whether the coding `gzip` is asked for by name.
    static func allowsGzip(_ field: String) -> Bool {
        elements(field).contains { $0.name == "gzip" && $0.quality > 0 }
    }

    /// The elements of such a list in small letters, with their weights: 1 where none is stated.
    private static func elements(_ field: String) -> [(name: String, quality: Double)] {
        field.split(separator: ",").compactMap { part in
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let name = pieces.first else { return nil }
            let quality = pieces.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) }
            return (name, quality ?? 1)
        }
    }
}
