internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl pub TOPIC [DATA|-]`.
struct PublishCommand: AsyncParsableCommand {
    /// What the acknowledgement means.
    enum Acknowledgement: String, ExpressibleByArgument, CaseIterable { case routed, stored }

    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Publishes messages, and returns when the broker has accepted them.",
        discussion: """
            Without DATA the message is empty; an empty retained message removes the retained value.

            --lines publishes each line of standard input. With --json-lines each line is a JSON object as in the \
            protocol, with topic, data, and options such as retain; a line without a topic goes to TOPIC. With --count, \
            {n} in the topic and in DATA is the number of the message, from 1.

            Examples:
              brokerctl pub sensors/1/temp 21.5
              brokerctl pub sensors/1/temp 21.5 --retain --ack stored
              brokerctl pub jobs '{"n":1}' --type application/json -H 'trace: 7f3a' -H 'origin: plant 2'
              brokerctl pub camera/1 - --binary --type image/png < picture.png
              tail -f app.log | brokerctl pub logs/app --lines
              brokerctl pub --json-lines < messages.jsonl
              brokerctl pub 'test/{n}' 'message {n}' --count 100 --interval 10ms
              brokerctl pub --url https://broker.example.com --ca-file ca.pem chat hello
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var options: PayloadOptions

    @Argument(help: "The topic.", completion: CompleteCommand.words(.topics))
    var topic: String?

    @Argument(help: "The message; - reads it from standard input.")
    var data: String?

    @Flag(name: .shortAndLong, help: "Store it as the topic's retained value.")
    var retain = false

    @Option(
        help: ArgumentHelp(
            "Wait until it is routed, or stored on disk; the default for retained messages is stored.",
            valueName: "routed|stored"))
    var ack: Acknowledgement?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp("A header of the message; may be repeated.", valueName: "name: value"))
    var headers: [String] = []

    @Flag(help: "Publish each line of standard input.")
    var lines = false

    @Flag(help: "Publish each line of standard input, a JSON object with topic and data.")
    var jsonLines = false

    @Option(help: "Publish this many messages, with {n} replaced by the number.")
    var count: Int?

    @Option(help: ArgumentHelp("The time between messages, such as 10ms or 1s. (default: none)", valueName: "time"))
    var interval: String?

    private func properties() throws -> MessageProperties? {
        if headers.isEmpty { return nil }
        let parts = try headers.map { header in
            guard let colon = header.firstIndex(of: ":"), colon > header.startIndex else {
                throw ValidationError("-H: expected NAME: VALUE, found \"\(header)\"")
            }
            let value = header[header.index(after: colon)...].drop { $0 == " " }
            return MessageProperties.Header(name: String(header[..<colon]), value: String(value))
        }
        do throws(Refusal) {
            return try MessageProperties(headers: parts)
        } catch {
            throw ValidationError("-H: \(error.message)")
        }
    }

    func validate() throws {
        _ = try properties()
        guard !(lines && jsonLines), count == nil || !(lines || jsonLines) else {
            throw ValidationError("--lines, --json-lines and --count cannot be combined")
        }
        if lines || jsonLines, let data, data != "-" {
            throw ValidationError("\(lines ? "--lines" : "--json-lines"): DATA comes from standard input")
        }
        guard topic != nil || jsonLines else { throw ValidationError("Missing expected argument '<topic>'") }
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
        guard interval == nil || count != nil else { throw ValidationError("--interval requires --count") }
        if let interval, Quantity.milliseconds(interval) == nil {
            throw ValidationError("--interval: expected a time such as 10ms or 1s")
        }
        if jsonLines,
            options.binary || options.base64 || options.type != nil || options.ttl != nil || retain || !headers.isEmpty
        {
            throw ValidationError("--json-lines: each line has its own options")
        }
    }

    func run() async throws {
        var queue = PublicationQueue(client: try await MessageClient(connection))
        let isSingle = !lines && !jsonLines && count == nil
        if lines || jsonLines {
            try await publishLines(&queue)
        } else if let count {
            try await publish(count, &queue)
        } else {
            let payload = try options.read(data, maximum: queue.client.maximumMessage)
            try await queue.publish(request(topic ?? "", payload, try properties(), id: 1), as: "")
        }
        try await queue.settleAll()
        await queue.client.close()
        guard connection.json else { return }
        if isSingle { Output.printJSON(queue.lastAnswer) } else { Output.print("{\"published\":\(queue.count)}") }
    }

    private func publish(_ count: Int, _ queue: inout PublicationQueue) async throws {
        let payload = try options.bytes(data, maximum: queue.client.maximumMessage)
        let text = String(decoding: payload, as: UTF8.self)
        let isNumbered = text.contains("{n}") && !options.binary
        let properties = try properties()
        let pause = interval.flatMap(Quantity.milliseconds) ?? 0
        let start = MonotonicTime.now
        for number in 1...count {
            let name = (topic ?? "").replacing("{n}", with: String(number))
            let bytes = isNumbered ? Array(text.replacing("{n}", with: String(number)).utf8) : payload
            try await queue.publish(
                request(name, try options.payload(of: bytes), properties, id: number), as: "message \(number)")
            guard pause > 0, number < count else { continue }
            // At a slow rate, each failure shows at once.
            try await queue.settleAll()
            let due = pause * Double(number) * 1_000_000 - Double(MonotonicTime.now.nanoseconds(since: start))
            if due > 0 { try await Task.sleep(for: .nanoseconds(Int64(min(due, 1e18)))) }
        }
    }

    private func publishLines(_ queue: inout PublicationQueue) async throws {
        let properties = try properties()
        var reader = try LineReader(path: "-")
        reader.maximumLength = queue.longest
        while true {
            // Check the answers to the lines so far before waiting for more.
            if !reader.hasLine { try await queue.settleAll() }
            guard let line = try reader.next() else { return }
            guard case .line(let bytes) = line else {
                throw Failure.failed("line \(reader.number): longer than the broker accepts (too-large)")
            }
            let id = queue.count + 1
            if lines {
                let payload = try named(reader.number) { () throws(Failure) -> Payload in try options.payload(of: bytes)
                }
                try await queue.publish(request(topic ?? "", payload, properties, id: id), as: "line \(reader.number)")
            } else if !bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
                let request = try named(reader.number) { () throws(Failure) -> [UInt8] in
                    try self.request(ofLine: bytes, id: id)
                }
                try await queue.publish(request, as: "line \(reader.number)")
            }
        }
    }

    private func named<Value>(_ line: Int, _ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        do throws(Failure) { return try body() } catch { throw .failed("line \(line): \(error.message)") }
    }

    /// The request for a line of `--json-lines`.
    private func request(ofLine line: [UInt8], id: Int) throws(Failure) -> [UInt8] {
        do throws(JSONError) {
            let object = try JSONObject.parse(line.span, maximumDepth: JSONScanner.maximumDepth + 1)
            let hasTopic = object.value("topic") != nil
            guard hasTopic || topic != nil else {
                throw JSONError(.wrongKind(member: "topic", expected: "a string", found: .null), at: 0)
            }
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("op", "publish")
            writer.member("id", id)
            if !hasTopic, let topic { writer.member("topic", topic) }
            if let ack, object.value("ack") == nil { writer.member("ack", ack.rawValue) }
            writer.endObject()
            let rest = TopicMessage.members(of: object, without: ["op", "id", "seq", "time", "retained"])
            // Both are objects; join them into one.
            return rest.count > 2 ? writer.bytes.dropLast() + [UInt8(ascii: ",")] + rest.dropFirst() : writer.bytes
        } catch {
            throw .failed("\(error) (bad-request)")
        }
    }

    private func request(
        _ topic: String, _ payload: Payload, _ properties: MessageProperties?, id: Int
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "publish")
        writer.member("id", id)
        writer.member("topic", topic)
        payload.write(to: &writer)
        options.write(to: &writer)
        if retain { writer.member("retain", true) }
        if let properties { MessageObject.write(properties, to: &writer) }
        if let ack { writer.member("ack", ack.rawValue) }
        writer.endObject()
        return writer.bytes
    }
}

/// The publications that the broker has not answered yet.
struct PublicationQueue {
    /// The maximum number of unanswered publications.
    private static let window = 256

    var client: MessageClient
    /// The number of sent publications.
    private(set) var count = 0
    /// The last answer, as received.
    private(set) var lastAnswer: [UInt8] = []
    /// The names of unanswered publications, for errors.
    private var open: [Int: String] = [:]

    init(client: MessageClient) { self.client = client }

    /// The longest request that the broker accepts, in bytes: the limit applies to the payload; its JSON form may be
    /// twice as long.
    var longest: Int { 2 * client.maximumMessage + 65_536 }

    /// Publishes the next message, whose request has the next number as its id.
    ///
    /// - Parameter name: its name in errors; may be empty.
    mutating func publish(_ request: [UInt8], as name: String) async throws {
        guard request.count <= longest else {
            throw Failure.failed(
                Self.named(
                    name, "the message takes \(request.count) bytes as JSON, the broker accepts \(longest) (too-large)")
            )
        }
        if open.count >= Self.window { try await settle() }
        count += 1
        open[count] = name
        try await client.send(request)
    }

    /// Waits until all are answered; throws if one is refused.
    mutating func settleAll() async throws { while !open.isEmpty { try await settle() } }

    private mutating func settle() async throws {
        let before = open.count
        while open.count == before {
            switch try await client.next() {
            case .ok(let id, let answer):
                open[id ?? 0] = nil
                lastAnswer = answer
            case .error(let id, let reason):
                throw Failure.failed(Self.named(id.flatMap { open[$0] } ?? "", reason))
            default: continue
            }
        }
    }

    private static func named(_ name: String, _ reason: String) -> String {
        name.isEmpty ? reason : "\(name): \(reason)"
    }
}
