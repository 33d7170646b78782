/// Converts JSON to MessagePack in one pass, without building a tree.
///
/// Integers that fit in 64 bits stay integers; other numbers become float64, as in JavaScript.
extension PackedWriter {
    /// Writes the one value that `json` contains.
    ///
    /// Returns `false`, and writes nothing, if it is not JSON, or is nested more deeply than ``maximumDepth``.
    package mutating func value(json: Span<UInt8>) -> Bool {
        let start = bytes.count
        var offset = 0
        if take(json, &offset, depth: 0) {
            Self.skipSpace(json, &offset)
            if offset == json.count { return true }
        }
        goBack(to: start)
        return false
    }

    /// How deeply values may be nested.
    static let maximumDepth = 2 * JSONScanner.maximumDepth

    private static func skipSpace(_ json: Span<UInt8>, _ offset: inout Int) {
        while offset < json.count,
            json[offset] == 0x20 || json[offset] == 0x0A || json[offset] == 0x0D || json[offset] == 9
        {
            offset += 1
        }
    }

    private static func skip(_ byte: UInt8, _ json: Span<UInt8>, _ offset: inout Int) -> Bool {
        skipSpace(json, &offset)
        guard offset < json.count, json[offset] == byte else { return false }
        offset += 1
        return true
    }

    private mutating func take(_ json: Span<UInt8>, _ offset: inout Int, depth: Int) -> Bool {
        Self.skipSpace(json, &offset)
        guard offset < json.count, depth <= Self.maximumDepth else { return false }
        switch json[offset] {
        case UInt8(ascii: "{"): return takeContainer(isMap: true, json, &offset, depth: depth + 1)
        case UInt8(ascii: "["): return takeContainer(isMap: false, json, &offset, depth: depth + 1)
        default: return takeScalar(json, &offset)
        }
    }

    private mutating func takeContainer(
        isMap: Bool, _ json: Span<UInt8>, _ offset: inout Int, depth: Int
    ) -> Bool {
        let end = UInt8(ascii: isMap ? "}" : "]")
        offset += 1
        let place = beginContainer()
        var count = 0
        if !Self.skip(end, json, &offset) {
            repeat {
                count += 1
                if isMap {
                    Self.skipSpace(json, &offset)
                    guard offset < json.count, json[offset] == UInt8(ascii: "\""), takeScalar(json, &offset),
                        Self.skip(UInt8(ascii: ":"), json, &offset)
                    else { return false }
                }
                guard take(json, &offset, depth: depth) else { return false }
            } while Self.skip(UInt8(ascii: ","), json, &offset)
            guard Self.skip(end, json, &offset) else { return false }
        }
        self.end(isMap, at: place, count: count)
        return true
    }

    /// A string, a number or a word, read by the JSON scanner.
    private mutating func takeScalar(_ json: Span<UInt8>, _ offset: inout Int) -> Bool {
        var scanner = JSONScanner(json, from: offset)
        guard let extent = try? scanner.scanValue(depth: 0) else { return false }
        offset = scanner.offset
        let value = JSONValue(bytes: json, extent: extent)
        switch extent.kind {
        case .null: null()
        case .true: bool(true)
        case .false: bool(false)
        case .string:
            if extent.isEscaped {
                string(utf8: json.unescaped(extent.inside).span)
            } else {
                string(utf8: json.extracting(extent.inside))
            }
        case .number:
            if let number = try? value.integer(as: UInt64.self) {
                // A zero with a sign is not an integer.
                if number == 0, json[extent.range.lowerBound] == UInt8(ascii: "-") {
                    double(-0.0)
                } else {
                    integer(number)
                }
            } else if let number = try? value.integer(as: Int64.self) {
                integer(number)
            } else {
                let text = String(decoding: value.copyRawBytes(), as: UTF8.self)
                guard let number = Double(text) else { return false }
                double(number)
            }
        case .object, .array: return false
        }
        return true
    }
}
