internal import FoundationEssentials

/// JSON by Foundation, in the form that messages use.
enum JSONText {
    /// The same value gives the same bytes.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(Date.ISO8601FormatStyle(includingFractionalSeconds: true).format(date))
        }
        return Array(try encoder.encode(value))
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from text: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            for hasFraction in [true, false] {
                let style = Date.ISO8601FormatStyle(includingFractionalSeconds: hasFraction)
                if let date = try? style.parse(text) { return date }
            }
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "Expected a date such as 2026-01-31T12:00:00Z, found \"\(text)\".")
        }
        do {
            return try decoder.decode(type, from: Data(text))
        } catch DecodingError.dataCorrupted(let context) {
            throw DecodingError.dataCorrupted(explained(context, text))
        }
    }

    /// Foundation reports "not valid JSON" wherever the mistake is, and also for a number that does not fit its type.
    private static func explained(_ context: DecodingError.Context, _ text: [UInt8]) -> DecodingError.Context {
        var explanation = context.debugDescription
        if let fault = JSONSyntax.fault(in: text) {
            explanation = fault.text
        } else if explanation.contains("not valid JSON") {
            explanation = "It is JSON, but has a number that does not fit in the type that is expected."
        }
        return DecodingError.Context(
            codingPath: context.codingPath, debugDescription: explanation, underlyingError: context.underlyingError)
    }
}
