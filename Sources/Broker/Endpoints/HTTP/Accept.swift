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
        field.split(separator: ",").compactMap { part in
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let name = pieces.first else { return nil }
            let quality = pieces.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) }
            return (name, quality ?? 1)
        }
    }
}
