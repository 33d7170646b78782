extension JSONObject {
    /// The longest `id` as written, in bytes, without a string's quotation marks: the broker holds it until the command
    /// is answered.
    static let maximumIdentifier = 1024

    /// Whether a number or a string, written as JSON, is short enough for an `id`.
    static func isIdentifier(_ written: Span<UInt8>) -> Bool {
        let quotes = written.count > 0 && written[0] == UInt8(ascii: "\"") ? 2 : 0
        return written.count <= maximumIdentifier + quotes
    }

    /// The client's `id` as it was written; `nil` if there is none.
    func identifier() throws(Refusal) -> [UInt8]? {
        guard let value = value("id") else { return nil }
        switch value.kind {
        case .null: return nil
        case .number, .string:
            guard value.extent.isIdentifier else {
                throw Refusal(.badRequest, "id: expected at most \(Self.maximumIdentifier) bytes.")
            }
            return value.copyRawBytes()
        default: throw Refusal(.badRequest, "id: expected a number or a string, found \(value.kind.rawValue).")
        }
    }
}

extension JSONValue.Extent {
    /// Whether the value may be an `id`.
    var isIdentifier: Bool {
        switch kind {
        case .string: inside.count <= JSONObject.maximumIdentifier
        case .number: range.count <= JSONObject.maximumIdentifier
        default: false
        }
    }
}

/// The id and the end of an object that was refused although its syntax may be valid: it is nested too deeply, has too
/// many members or a duplicate, or contains half a surrogate pair.
struct RefusedObject {
    /// The client's `id` as it was written; `nil` if none was found.
    private(set) var identifier: [UInt8]?
    /// The offset after its closing brace; `nil` if that was not found.
    private(set) var end: Int?

    /// How far after the error the end is searched, in bytes: a frame may contain many such objects.
    private static let reach = 64 << 10

    /// Scans the object at `start` again, which was refused with `error`; finds nothing in an object with a syntax
    /// error.
    init(_ bytes: Span<UInt8>, from start: Int, _ error: JSONError) {
        switch error.reason {
        case .tooDeep, .tooManyMembers, .duplicateMember, .loneSurrogate: break
        default: return
        }
        let limit = min(bytes.count, error.offset + Self.reach)
        var offset = start
        var depth = 0
        var isAtName = false
        while offset < limit {
            switch bytes[offset] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                isAtName = depth == 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth <= 0 {
                    end = offset + 1
                    return
                }
            case UInt8(ascii: ","): isAtName = depth == 1
            case UInt8(ascii: "\""):
                let first = offset + 1
                offset = Self.endOfString(bytes, from: first)
                if isAtName, offset < limit, bytes.extracting(first..<offset).hasSameBytes(as: "id".utf8Span.span) {
                    identifier = Self.value(bytes, after: offset + 1) ?? identifier
                }
                isAtName = false
            default: break
            }
            offset += 1
        }
    }

    /// The offset of the string's closing quotation mark, or of the end of the bytes.
    private static func endOfString(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var offset = start
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
            offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(offset, bytes.count)
    }

    private static func value(_ bytes: Span<UInt8>, after name: Int) -> [UInt8]? {
        var offset = name
        while offset < bytes.count, bytes[offset] <= 0x20 || bytes[offset] == UInt8(ascii: ":") { offset += 1 }
        var scanner = JSONScanner(bytes, from: offset)
        guard let extent = try? scanner.scanValue(depth: 1), extent.isIdentifier else { return nil }
        return JSONValue(bytes: bytes, extent: extent).copyRawBytes()
    }
}

extension Shard {
    /// The refusal of a payload that is longer than the limit; tells the witness and the traces.
    func tooLarge(_ topic: Topic, by client: Client) -> Refusal {
        let most = settings.limits.message
        let refusal = Refusal(.tooLarge, "data: the payload is longer than the limit of \(most) bytes.")
        witness?.limited(client, by: "limits.message")
        recorder.refused(refusal, topic.name, client.id, topic: topic)
        return refusal
    }
}

extension FlightRecorder {
    /// A client's command was refused before its topic or filter was known to be one.
    func refused(_ refusal: Refusal, in object: borrowing JSONObject, _ client: UInt64) {
        let names = (try? object.string("topic")).flatMap { [$0] } ?? (try? object.strings("filter")) ?? []
        refused(refusal, names.first ?? (try? object.string("filter")) ?? "", client)
    }
}
