import Testing

@testable import Broker

/// Everything of a draft that a record contains, as text.
func content(_ draft: Draft) -> String {
    var condition = "\(draft.condition)"
    if case .ephemeral(let lease) = draft.condition {
        let farewell = lease.farewell.map { "\($0.payload) \($0.kind) \($0.contentType ?? "-")" }
        condition = "\(lease.wanted) \(lease.grace) \(farewell ?? "-")"
    }
    var properties = "-"
    if let given = draft.properties {
        properties = "\(given.headers) \(given.replyTo?.name ?? "-") \(given.correlation ?? [])"
    }
    let key = draft.key.map { "\($0.name) \($0.owner)" } ?? "-"
    let parts = [
        draft.topic.name, "\(draft.payload.array)", "\(draft.kind)", draft.contentType ?? "-", properties,
        "\(draft.isRetained)",
        "\(draft.timeToLive ?? -1)", condition, "\(draft.origin)", key,
    ]
    return parts.joined(separator: "|")
}

extension Array<UInt8> {
    init(bigEndian number: UInt64) {
        self = []
        appendBigEndian(number)
    }
}

extension SeededGenerator {
    mutating func bytes(upTo count: Int) -> [UInt8] {
        (0..<Int.random(in: 0...count, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    mutating func text() -> String {
        String((0..<Int.random(in: 1...6, using: &self)).compactMap { _ in "aé/漢 x".randomElement(using: &self) })
    }

    mutating func draft() throws -> Draft {
        var draft = Draft(topic: try topic(text()), payload: bytes(upTo: 40), kind: .text)
        draft.kind = [.text, .binary, .json].randomElement(using: &self) ?? .text
        draft.isRetained = Bool.random(using: &self)
        draft.origin = UInt64.random(in: 0 ... .max, using: &self)
        if Bool.random(using: &self) { draft.contentType = text() }
        if Bool.random(using: &self) { draft.timeToLive = Int64.random(in: 1 ... .max, using: &self) }
        if Bool.random(using: &self) { draft.key = PublishKey(stored: bytes(upTo: 9), owner: text()) }
        if Bool.random(using: &self) {
            let headers = (0..<Int.random(in: 0...3, using: &self)).map { _ in
                MessageProperties.Header(name: text(), value: text())
            }
            let replyTo = Bool.random(using: &self) ? Topic(unchecked: text()) : nil
            let correlation = Bool.random(using: &self) ? bytes(upTo: 5) : nil
            draft.properties = try MessageProperties(headers: headers, replyTo: replyTo, correlation: correlation)
        }
        if Bool.random(using: &self) { draft.condition = condition() }
        return draft
    }

    private mutating func condition() -> Draft.Condition {
        let seq = UInt64.random(in: 0 ... .max, using: &self)
        let farewell = Lease.Farewell(
            payload: [1] + bytes(upTo: 3), kind: .json, contentType: Bool.random(using: &self) ? text() : nil)
        let leases: [Draft.Condition] = [.none, .absent, .matches([seq])].map { wanted in
            .ephemeral(Lease(grace: 5, farewell: Bool.random(using: &self) ? farewell : nil, wanted: wanted))
        }
        let plain: [Draft.Condition] = [
            .matches([]), .matches([seq, 1]), .absent, .present, .expired(nil), .expired(seq), .ended(seq),
        ]
        return (plain + leases).randomElement(using: &self) ?? .absent
    }
}

@Suite("LogRecord: what a broker appends to the log, and what the others read")
struct LogRecordTests {
    private static let head = LogRecord.Head(
        node: 0x0102_0304_0506_0708, incarnation: 3, attempt: 4, number: .max,
        folded: LogPosition(term: 7, seq: 1 << 52), digest: 99)

    private static func mistake(of bytes: [UInt8]) -> LogRecord.Mistake? {
        var mistake: LogRecord.Mistake?
        do throws(LogRecord.Mistake) { _ = try LogRecord(bytes.span) } catch { mistake = error }
        return mistake
    }

    /// The same bytes with a matching digest.
    private static func signed(_ bytes: [UInt8]) -> [UInt8] {
        bytes + Array(bigEndian: LogRecord.digest(of: bytes.span))
    }

    /// Drafts of which some have the shape of an earlier one.
    private static func drafts(_ count: Int, _ random: inout SeededGenerator) throws -> [Draft] {
        let some = try (0..<max(1, count / 2)).map { _ in try random.draft() }
        return try (0..<count).map { _ in
            guard Bool.random(using: &random), let model = some.randomElement(using: &random) else {
                return try random.draft()
            }
            var draft = Draft(topic: model.topic, payload: random.bytes(upTo: 40), kind: model.kind)
            (draft.origin, draft.contentType, draft.isRetained) = (model.origin, model.contentType, model.isRetained)
            (draft.timeToLive, draft.key, draft.properties) = (model.timeToLive, model.key, model.properties)
            draft.condition = model.condition
            return draft
        }
    }

    @Test(arguments: [RecordFormat.plain, .brief]) func roundTrips(format: RecordFormat) throws {
        var random = SeededGenerator(seed: 16)
        for round in 0..<500 {
            let drafts = try Self.drafts(round % 41, &random)
            let bytes = LogRecord.bytes(Self.head, drafts.span, in: format)
            let record = try LogRecord(bytes.span)
            #expect(record.format == format && record.head == Self.head)
            #expect(record.kind == (drafts.isEmpty ? .canary : .batch))
            #expect(record.drafts.map { content($0) } == drafts.map { content($0) }, "round \(round)")
            #expect(LogRecord.bytes(record.head, record.drafts.span, in: format) == bytes, "one record for one content")
        }
    }

    @Test(arguments: [RecordFormat.plain, .brief]) func joinsRecords(format: RecordFormat) throws {
        var random = SeededGenerator(seed: 18)
        for round in 0..<100 {
            let turns = try (0..<1 + round % 5).map { _ in try Self.drafts(1 + round % 11, &random) }
            let joined = UnsentRecord(joining: turns.map { UnsentRecord($0.span, in: format) }, in: format)
            let bytes = joined.bytes(Self.head)
            let record = try LogRecord(bytes.span)
            #expect(record.drafts.map { content($0) } == turns.joined().map { content($0) }, "round \(round)")
            #expect(bytes.count == joined.size && joined.count == record.drafts.count)
        }
    }

    /// Another broker may have another version, so the bytes of a record must not change.
    @Test func keepsItsFormat() throws {
        var draft = Draft(topic: try topic("a/b"), payload: [9], kind: .json)
        (draft.isRetained, draft.contentType, draft.timeToLive, draft.origin) = (true, "t", 300, 2)
        draft.condition = .matches([5])
        let drafts = [draft]
        let text = LogRecord.bytes(LogRecord.Head(node: 1, incarnation: 2, number: 3), drafts.span)
            .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let zeros = String(repeating: "0", count: 16)
        #expect(
            text == "0101" + "0000000000000001" + "0000000000000002" + zeros + "0000000000000003" + zeros + zeros
                + zeros
                + "01" + "6f" + "0000000000000002" + "03612f62" + "0174" + "ac02" + "010105" + "0109" + text.suffix(16))
    }

    /// A shape is a byte if one of the last eight new ones was the same, of which one has the place of another.
    @Test func keepsItsBriefFormat() throws {
        var drafts = try "abaacdefgahba".map { try draft(String($0), "x") }
        drafts[2].origin = 7
        let bytes = LogRecord.bytes(LogRecord.Head(node: 1, incarnation: 2, number: 3), drafts.span, in: .brief)
        #expect(bytes[0] == 2)
        func shape(_ topic: Character, origin: UInt8 = 0) -> [UInt8] {
            [0, 1, 0, 0, 0, 0, 0, 0, 0, origin, 1, topic.asciiValue ?? 0]
        }
        let payload: [UInt8] = [1, UInt8(ascii: "x")]
        var text: [UInt8] = [13, 13] + shape("a") + payload + shape("b") + payload + shape("a", origin: 7) + payload
        text += [3] + payload
        for topic in "cdefg" { text += shape(topic) + payload }
        // Now there are eight, of which the first one is the oldest; then the second one is.
        text += [8] + payload + shape("h") + payload + [8] + payload + shape("a") + payload
        #expect(Array(bytes[58..<bytes.count - 8]) == text)
    }

    /// Names that look the same are different topics.
    @Test func tellsShapesApartByTheirBytes() throws {
        let drafts = try ["\u{E9}", "e\u{301}"].map { try draft($0) }
        let bytes = LogRecord.bytes(Self.head, drafts.span, in: .brief)
        #expect(try LogRecord(bytes.span).drafts.map { Array($0.topic.name.utf8).count } == [2, 3])
    }

    @Test(arguments: [RecordFormat.plain, .brief])
    func aResentRecordDiffersOnlyInItsAttempt(format: RecordFormat) throws {
        let drafts = [try draft("a")]
        let unsent = UnsentRecord(drafts.span, in: format)
        #expect(unsent.bytes(Self.head) == LogRecord.bytes(Self.head, drafts.span, in: format) && unsent.numbers == 1)
        var head = Self.head
        head.attempt += 1
        let bytes = unsent.bytes(head)
        let record = try LogRecord(bytes.span)
        #expect(record.head == head && bytes.count == unsent.size)
        #expect(record.drafts.map { content($0) } == drafts.map { content($0) })
    }

    /// Every cut and every changed bit is found, and so is a later format.
    @Test(arguments: [RecordFormat.plain, .brief]) func rejectsTruncatedAndDamagedRecords(format: RecordFormat) throws {
        var random = SeededGenerator(seed: 3)
        let drafts = try Self.drafts(5, &random)
        let bytes = LogRecord.bytes(Self.head, drafts.span, in: format)
        for end in bytes.indices { #expect(Self.mistake(of: Array(bytes[..<end])) != nil, "cut at \(end)") }
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8 + (place == 0 ? 4 : 0))
            #expect(Self.mistake(of: changed) == (place == 0 ? .format(changed[0]) : .damaged), "byte \(place)")
        }
        #expect(Self.mistake(of: []) == .malformed("it is empty", offset: 0))
    }

    /// Bytes with a valid digest, after the head.
    @Test(
        arguments: [
            ([0x00], "the wrong number of messages"), ([0x02, 0x01], "a count that is too large"),
            ([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], "a malformed number"),
            ([0x81, 0x00], "a malformed number"), ([0x01, 0x00], "an unknown kind of message"),
            ([0x01, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x00], "an invalid topic"),
            ([0x01, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0xFF, 0xFF, 0x00], "text that is not UTF-8"),
            ([0x01, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x7F], "a count that is too large"),
            ([0x01, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x08, 0x00], "an unknown condition"),
            ([0x01, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x00, 0x00], "an invalid condition"),
            ([0x01, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x06, 0x06, 0x00], "an unknown condition"),
            ([0x01, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x04, 0x00], "unknown properties"),
            ([0x01, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x00, 0x00], "more than its messages"),
        ] as [([UInt8], String)])
    func reportsTheErrorAndItsOffset(messages: [UInt8], text: String) {
        expect(text, of: messages, in: .plain)
    }

    @Test(
        arguments: [
            ([0x01, 0x00], "a part with the wrong number of messages"),
            ([0x01, 0x02, 0x00, 0x01], "a part with the wrong number of messages"),
            ([0x01, 0x01, 0x01, 0x00], "an unknown shape"), ([0x01, 0x01, 0x09, 0x00], "an unknown shape"),
            ([0x01, 0x01, 0x00, 0x00], "an unknown kind of message"),
            ([0x02, 0x02, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x00, 0x02, 0x00], "an unknown shape"),
            (
                [0x02, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x00, 0x01, 0x01, 0x00],
                "an unknown shape"
            ),
            ([0x01, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x61, 0x00, 0x00], "more than its messages"),
        ] as [([UInt8], String)])
    func reportsTheErrorInABriefRecord(messages: [UInt8], text: String) {
        expect(text, of: messages, in: .brief)
    }

    private func expect(_ text: String, of messages: [UInt8], in format: RecordFormat) {
        let none: [Draft] = []
        let head = LogRecord.bytes(Self.head, none.span, in: format).prefix(58)
        var bytes = Array(head) + messages
        bytes[1] = LogRecord.Kind.batch.rawValue
        var found: (text: String, offset: Int)?
        if case .malformed(let text, let offset)? = Self.mistake(of: Self.signed(bytes)) { found = (text, offset) }
        #expect(found?.text == text && (58...bytes.count).contains(found?.offset ?? 0))
    }

    @Test func parsesPositions() {
        for text in ["7-12", "18446744073709551615-0", "0-18446744073709551615"] {
            #expect(LogPosition(text).map { "\($0)" } == text)
            #expect(LogPosition(Array(text.utf8).span).map { "\($0)" } == text)
        }
        for text in ["", "7", "7-", "-7", "7-1-2", "+7-1", "7-+1", "7- 1", "18446744073709551616-0"] {
            #expect(LogPosition(text) == nil && LogPosition(Array(text.utf8).span) == nil, "\(text)")
        }
        #expect(LogPosition(term: 1, seq: 9) < LogPosition(term: 2, seq: 0))
        #expect("\(LogPosition(term: 1, seq: 9))" == "1-9")
    }
}
