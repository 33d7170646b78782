internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl record FILTER`.
struct RecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Writes messages with their times, for `replay`.",
        discussion: """
            Each line is a message as one JSON object; binary data is base64. Retained values come first, unless \
            --no-snapshot leaves them out. A line of its own reports missed messages. If the connection breaks, it \
            reconnects and continues after the last message. Ctrl-C ends it.

            Examples:
              brokerctl record 'sensors/#' > day.jsonl
              brokerctl record 'chat/#' --count 1000 --no-snapshot | gzip > chat.jsonl.gz
              brokerctl record 'chat/#' --since 812 > rest.jsonl
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @OptionGroup var feed: FeedOptions

    func run() async throws {
        // Lines are written at once, so that the program can end between any two.
        _ = signal(SIGINT) { _ in _exit(0) }
        Output.endWithReader()
        var messages = try await feed.feed(connection)
        var left = feed.count ?? .max
        while left > 0 {
            switch try await messages.next() {
            case .message(let message):
                Output.printJSON(message.json)
                left -= 1
            case .gap(let filter, let missed):
                Output.complain("\(missed.map { "\($0) messages" } ?? "messages") of \(filter) are missing")
                Output.print(Self.gap(missed))
            }
        }
        await messages.close()
    }

    /// The line for messages that are missing.
    private static func gap(_ missed: Int?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("gap", true)
        if let missed { writer.member("missed", missed) }
        writer.endObject()
        return writer.bytes
    }
}

/// A line of a record: a message as `record` has written it.
struct RecordedMessage {
    let topic: String
    /// When the broker accepted it, in Unix milliseconds.
    let time: Int64
    /// Whether it is a retained value from before the record began.
    let isRetained: Bool
    /// The members of a publish except the topic.
    private let members: [UInt8]

    /// The content of a line.
    enum Line {
        case message(RecordedMessage)
        /// Messages are missing here; `missed` says how many, if known.
        case gap(missed: Int?)
    }

    /// Parses a line; throws a phrase that describes the error.
    static func line(_ bytes: [UInt8]) throws(Failure) -> Line {
        var refusal = ""
        do throws(JSONError) {
            let object = try JSONObject.parse(bytes.span, maximumDepth: JSONScanner.maximumDepth + 1)
            if try object.bool("gap") == true { return .gap(missed: try object.integer("missed", as: Int.self)) }
            if object.kind(of: "topic") != .string {
                refusal = "topic: expected a string"
            } else if let time: Int64 = try object.integer("time") {
                return .message(try RecordedMessage(object, time))
            } else {
                refusal = "time: expected Unix milliseconds"
            }
        } catch {
            refusal = "\(error)"
        }
        throw .failed("\(refusal) (bad-request)")
    }

    private init(_ object: borrowing JSONObject, _ time: Int64) throws(JSONError) {
        topic = try object.string("topic") ?? ""
        self.time = time
        let isSnapshot = try object.bool("retained") ?? false
        isRetained = isSnapshot
        let isRemoval = try object.bool("removed") ?? false
        var writer = JSONWriter()
        writer.beginObject()
        if let data = object.value("data"), !isRemoval {
            if Self.isJSONString(data, type: try object.string("type")) {
                writer.name("data")
                writer.string(utf8: data.rawBytes)
            } else {
                writer.member("data", raw: data.rawBytes)
            }
        } else {
            writer.member("data", "")
        }
        for name in ["encoding", "type", "headers", "replyTo", "correlation"] {
            guard let value = object.value(JSONName(name)) else { continue }
            writer.name(escaping: name)
            writer.raw(value.rawBytes)
        }
        let isKept = try object.bool("retain") ?? false
        if isSnapshot || isRemoval || isKept { writer.member("retain", true) }
        writer.endObject()
        members = writer.bytes
    }

    /// Whether the payload was a JSON string, whose quotes are part of it.
    ///
    /// Text with a JSON type looks the same, except for its content.
    private static func isJSONString(_ data: borrowing JSONValue, type: String?) -> Bool {
        guard data.kind == .string, ContentType.kind(of: Array("0".utf8), type: type) == .json,
            let text = data.stringBytes
        else { return false }
        return !text.isEmpty && !JSONScanner.validate(text.span)
    }

    /// The request that publishes it.
    func request(id: Int, prefix: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "publish")
        writer.member("id", id)
        writer.member("topic", prefix + topic)
        writer.endObject()
        // Both are objects; join them into one.
        return writer.bytes.dropLast() + [UInt8(ascii: ",")] + members.dropFirst()
    }
}
