/// JSON as it is written to logs, which people read at terminals.
package enum VisibleText {
    /// The same JSON, with escapes for characters in its strings that would control a terminal or change the direction of
    /// text.
    package static func json(_ json: [UInt8]) -> [UInt8] {
        // The writer has escaped those below.
        guard json.contains(where: { $0 >= 0x7F }) else { return json }
        var result: [UInt8] = []
        result.reserveCapacity(json.count + 16)
        for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
            guard scalar.isTreacherous else {
                if let encoded = UTF8.encode(scalar) { result.append(contentsOf: encoded) }
                continue
            }
            let digits = String(scalar.value, radix: 16)
            let zeros = String(repeating: "0", count: max(0, 4 - digits.utf8.count))
            result.append(contentsOf: "\\u\(zeros)\(digits)".utf8)
        }
        return result
    }
}

extension Unicode.Scalar {
    /// Whether it is a control character, a line end, or a mark, an override or an isolate of Unicode's bidirectional
    /// algorithm; none is beyond U+FFFF.
    package var isTreacherous: Bool {
        switch value {
        case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
