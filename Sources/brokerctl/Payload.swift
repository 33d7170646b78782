internal import ArgumentParser
internal import Broker
internal import WSTransport

/// The data to publish, and the kind of message.
enum Payload {
    case text([UInt8])
    /// One JSON value.
    case json([UInt8])
    case binary([UInt8])

    private var bytes: [UInt8] {
        switch self {
        case .text(let bytes), .json(let bytes), .binary(let bytes): bytes
        }
    }

    /// Writes the members of a `publish` for the payload.
    func write(to writer: inout JSONWriter) {
        switch self {
        case .json(let bytes): writer.member("data", raw: bytes.span)
        case .text(let bytes):
            writer.name("data")
            writer.string(utf8: bytes.span)
        case .binary(let bytes):
            writer.name("data")
            writer.base64(bytes.span)
            writer.member("encoding", "base64")
        }
    }

    /// An administrator's request to store it, in which text cannot become longer than its base64 form.
    ///
    /// - Parameter type: the content type, which decides what is text, as over HTTP; `nil` for text.
    func request(topic: String, type: String?) -> RetainedSetRequest {
        let kind: Message.Kind =
            if case .binary = self { .binary } else if type == nil { .text } else {
                ContentType.kind(of: bytes, type: type)
            }
        var request = RetainedSetRequest(topic: topic, data: .text(Array(Base64.encode(bytes).utf8)))
        request.encoding = "base64"
        request.type = type
        request.kind =
            switch kind {
            case .text: "text"
            case .json: "json"
            case .binary: "binary"
            }
        return request
    }
}

/// How to interpret DATA.
struct PayloadOptions: ParsableArguments {
    @Flag(help: "Publish DATA as a binary message.")
    var binary = false

    @Flag(help: "DATA is base64; publish its bytes as a binary message.")
    var base64 = false

    @Option(
        help: ArgumentHelp(
            "The content type; application/json publishes DATA as a JSON value.", valueName: "type"))
    var type: String?

    @Option(
        name: .customLong("ttl"),
        help: ArgumentHelp(
            "How long to keep the message: a number of seconds, or a time such as 90s, 10m or 7d.", valueName: "time"))
    var timeToLive: TimeSpan?

    /// In seconds.
    var ttl: Double? { timeToLive?.seconds }

    func validate() throws {
        if binary, base64 { throw ValidationError("--binary and --base64 cannot be combined") }
        if let ttl, !(ttl > 0 && ttl.isFinite) { throw ValidationError("--ttl: expected seconds above 0") }
    }

    /// Makes a payload from `argument`, from standard input if that is `-`, or an empty one if there is none.
    func read(_ argument: String?, maximum: Int) throws(Failure) -> Payload {
        try payload(of: try bytes(argument, maximum: maximum))
    }

    /// The bytes of `argument`, likewise.
    func bytes(_ argument: String?, maximum: Int) throws(Failure) -> [UInt8] {
        argument == "-" ? try Input.read(maximum: maximum) : Array((argument ?? "").utf8)
    }

    /// Makes a payload from the given bytes.
    func payload(of bytes: [UInt8]) throws(Failure) -> Payload {
        if binary { return .binary(bytes) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .failed("standard input is not UTF-8; use --binary to send bytes")
        }
        if base64 {
            let digits = text.filter { !$0.isWhitespace }
            guard let decoded = Base64.decode(digits) else { throw .failed("DATA is not base64") }
            return .binary(decoded)
        }
        return try isJSON(bytes) ? .json(bytes) : .text(bytes)
    }

    /// Whether the type says JSON, and `bytes` are a JSON value that a request can carry unchanged; throws if they are
    /// not JSON, except for no bytes at all, which remove a retained value.
    private func isJSON(_ bytes: [UInt8]) throws(Failure) -> Bool {
        let essence = (type ?? "").prefix { $0 != ";" }.lowercased().filter { $0 != " " }
        guard essence.hasSuffix("/json") || essence.hasSuffix("+json"), !bytes.isEmpty else { return false }
        do throws(JSONError) {
            // A string would lose its quotes.
            guard try JSONValue(parsing: bytes.span).kind != .string else { return false }
        } catch {
            throw .failed("DATA is not JSON, which --type \(type ?? "") requires: \(error)")
        }
        // The request adds one level.
        return JSONScanner.validate(bytes.span, maximumDepth: JSONScanner.maximumDepth - 1)
    }

    /// Writes the members of a request that come from these options.
    func write(to writer: inout JSONWriter) {
        if let type { writer.member("type", type) }
        if let ttl { writer.member("ttl", ttl) }
    }
}
