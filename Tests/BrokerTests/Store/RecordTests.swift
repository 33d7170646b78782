import Testing

@testable import Broker

/// Every later version must read the data on users' disks, so the bytes are written out here.
@Suite("Records of the store: the bytes on disk")
struct RecordTests {
    private let message = Message(
        topic: Topic(unchecked: "a/b"), payload: [7, 8], kind: .binary, contentType: "x/y", isRetained: true,
        seq: 0x0102_0304_0506_0708, time: 0x1112_1314_1516_1718, expiry: 0x2122_2324_2526_2728,
        origin: 0x3132_3334_3536_3738)

    /// Format, kind, 0, flag; three lengths; seq, time, expiry.
    private func header(flag: UInt8, properties: UInt8, topicLength: UInt8, first: [UInt8] = [2, 2, 0]) -> [UInt8] {
        first + [flag, properties, 0, 0, 0, topicLength, 0, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]
            + [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21]
    }

    /// Content type, in a block of properties.
    private let type: [UInt8] = [3, 3, 0, 0, 0] + Array("x/y".utf8)
    private let origin: [UInt8] = [0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31]

    private func check(_ found: Message?, origin: UInt64, isRetained: Bool) {
        #expect(found?.payload == message.payload && found?.kind == message.kind && found?.seq == message.seq)
        #expect(found?.time == message.time && found?.expiry == message.expiry)
        #expect(found?.contentType == message.contentType && found?.topic == message.topic)
        #expect(found?.origin == origin && found?.isRetained == isRetained && found?.properties == nil)
    }

    @Test func aRetainedValueWithItsTopicInTheKey() {
        let bytes = header(flag: 0, properties: 8, topicLength: 0) + type + [7, 8]
        #expect(RetainedRecord.bytes(of: message, isKeyHashed: false) == bytes)
        let record = RetainedRecord(bytes.span)
        check(record?.message(topic: message.topic, record: bytes.span), origin: 0, isRetained: true)
        let topic = record?.topic(key: RetainedKey(message.topic).bytes.span, record: bytes.span)
        #expect(topic == message.topic)
    }

    @Test func aRetainedValueWithAHashedKey() {
        let bytes = header(flag: 0, properties: 8, topicLength: 3) + type + Array("a/b".utf8) + [7, 8]
        #expect(RetainedRecord.bytes(of: message, isKeyHashed: true) == bytes)
        let record = RetainedRecord(bytes.span)
        check(record?.message(topic: message.topic, record: bytes.span), origin: 0, isRetained: true)
    }

    @Test func aMessageOfTheHistory() {
        let bytes = header(flag: 1, properties: 8, topicLength: 3) + origin + type + Array("a/b".utf8) + [7, 8]
        #expect(HistoryRecord.bytes(of: message) == bytes)
        let record = HistoryRecord(bytes.span)
        let topic = record?.topic(record: bytes.span)
        #expect(topic == message.topic)
        check(record?.message(topic: message.topic, record: bytes.span), origin: message.origin, isRetained: true)
    }

    /// A version that does not know the mark skips it, and reads a removal.
    @Test func anExpiryInTheHistory() {
        let expiry = Message(
            topic: message.topic, payload: [], kind: .binary, isRetained: true, seq: 1, time: 2, nature: .expiry)
        let bytes = HistoryRecord.bytes(of: expiry) ?? []
        #expect(Array(bytes[48..<53]) == [0xF0, 0, 0, 0, 0])
        let found = HistoryRecord(bytes.span)?.message(topic: message.topic, record: bytes.span)
        #expect(found?.isExpiry == true && found?.isRemoval == true)
    }

    // MARK: Format 1

    @Test func readsRecordsOfFormat1() {
        let first: [UInt8] = [1, 2, 1]
        let plain = header(flag: 0, properties: 3, topicLength: 0, first: first) + Array("x/y".utf8) + [7, 8]
        let value = RetainedRecord(plain.span)
        check(value?.message(topic: message.topic, record: plain.span), origin: 0, isRetained: true)
        let long =
            header(flag: 1, properties: 3, topicLength: 3, first: first) + origin + Array("x/ya/b".utf8) + [7, 8]
        let record = HistoryRecord(long.span)
        let topic = record?.topic(record: long.span)
        #expect(topic == message.topic)
        check(record?.message(topic: message.topic, record: long.span), origin: message.origin, isRetained: true)
        let bare = header(flag: 0, properties: 0, topicLength: 0, first: [1, 2, 0]) + [7, 8]
        let found = RetainedRecord(bare.span)?.message(topic: message.topic, record: bare.span)
        #expect(found?.payload.array == [7, 8] && found?.contentType == nil)
    }

    @Test func rejectsInvalidRecordsOfFormat1() {
        let bytes = header(flag: 0, properties: 3, topicLength: 0, first: [1, 2, 1]) + Array("x/y".utf8) + [7, 8]
        for (offset, value) in [(1, 9), (2, 2), (2, 0), (3, 1), (7, 0xFF)] {
            var changed = bytes
            changed[offset] = UInt8(value)
            #expect(!isRetained(changed), "byte \(offset)")
        }
        var changed = bytes
        changed[40] = 0xFF
        let record = RetainedRecord(changed.span)
        let found = record?.message(topic: message.topic, record: changed.span)
        #expect(record != nil && found == nil, "a content type that is no text")
    }

    // MARK: Properties

    private func message(with properties: MessageProperties?) -> Message {
        Message(
            topic: Topic(unchecked: "a"), payload: [7], kind: .text, contentType: "t", properties: properties, seq: 1,
            time: 2)
    }

    /// The properties in a record with this block; `nil` if it is not valid.
    private func read(_ block: [UInt8]) -> PropertyBlock.Values? {
        PropertyBlock.read(([0xEE] + block + [0xEE]).span, 1..<1 + block.count)
    }

    @Test func writesPropertiesInSequence() throws {
        let properties = try MessageProperties(
            headers: [.init(name: "n", value: "vw"), .init(name: "", value: ""), .init(name: "n", value: "ü")],
            replyTo: topic("r/s"), correlation: [0, 255])
        let block: [UInt8] =
            [3, 1, 0, 0, 0, 0x74] + [8, 3, 0, 0, 0, 0x72, 0x2F, 0x73] + [9, 2, 0, 0, 0, 0, 255]
            + [0x26, 5, 0, 0, 0, 1, 0, 0x6E, 0x76, 0x77] + [0x26, 2, 0, 0, 0, 0, 0]
            + [0x26, 5, 0, 0, 0, 1, 0, 0x6E, 0xC3, 0xBC]
        #expect(PropertyBlock.bytes(of: message(with: properties)) == block)
        #expect(read(block) == PropertyBlock.Values(contentType: "t", properties: properties))
        #expect(read([]) == PropertyBlock.Values())
        // One that a later version adds.
        #expect(
            read([0x7F, 2, 0, 0, 0, 1, 2] + block) == PropertyBlock.Values(contentType: "t", properties: properties))
        for count in 1..<block.count where ![6, 14, 21, 31, 38].contains(count) {
            #expect(read(Array(block[..<count])) == nil, "\(count) bytes")
        }
    }

    @Test(
        arguments: [
            [3, 1, 0, 0, 0, 0xFF], [3, 0xFF, 0xFF, 0xFF, 0xFF, 1], [3, 0, 0, 0, 0, 3, 0, 0, 0, 0],
            [8, 1, 0, 0, 0, 0x23],
            [9, 0, 0, 0, 0, 9, 0, 0, 0, 0], [0x26, 1, 0, 0, 0, 0], [0x26, 2, 0, 0, 0, 1, 0],
            [0x26, 3, 0, 0, 0, 1, 0, 0xFF],
        ] as [[UInt8]])
    func rejectsMalformedProperties(block: [UInt8]) {
        #expect(read(block) == nil)
    }

    @Test func limitsProperties() throws {
        let name = String(repeating: "n", count: 100)
        let value = String(repeating: "v", count: MessageProperties.maximumHeaders - 100)
        let correlation = [UInt8](repeating: 1, count: MessageProperties.maximumCorrelation)
        let largest = try MessageProperties(headers: [.init(name: name, value: value)], correlation: correlation)
        #expect(read(PropertyBlock.bytes(of: message(with: largest)))?.properties == largest)
        #expect(throws: Refusal(.tooLarge, "headers: expected up to 8192 bytes, found 8193.")) {
            try MessageProperties(headers: [.init(name: name, value: value), .init(name: "", value: "v")])
        }
        #expect(throws: Refusal(.tooLarge, "correlation: expected up to 8192 bytes, found 8193.")) {
            try MessageProperties(correlation: correlation + [1])
        }
    }

    @Test func rejectsDamagedRecords() throws {
        let retained = header(flag: 0, properties: 8, topicLength: 0) + type + [7, 8]
        let kept = try #require(HistoryRecord.bytes(of: message))
        for count in retained.indices { #expect(!isRetained(Array(retained[..<count])), "\(count) bytes") }
        for count in kept.indices { #expect(!isKept(Array(kept[..<count])), "\(count) bytes") }
        #expect(!isRetained(retained + [0]))
        for (offset, value) in [(0, 3), (1, 9), (2, 1), (3, 1), (7, 0xFF), (11, 0xFF), (15, 0xFF)] {
            var changed = retained
            changed[offset] = UInt8(value)
            #expect(!isRetained(changed), "byte \(offset)")
        }
        var changed = kept
        changed[3] = 2
        #expect(!isKept(changed))
    }

    private func isRetained(_ bytes: [UInt8]) -> Bool { RetainedRecord(bytes.span) != nil }
    private func isKept(_ bytes: [UInt8]) -> Bool { HistoryRecord(bytes.span) != nil }

    @Test func rejectsAContentTypeThatIsNotUTF8() throws {
        var bytes = try #require(HistoryRecord.bytes(of: message))
        bytes[53] = 0xFF
        let record = HistoryRecord(bytes.span)
        #expect(record != nil)
        let found = record?.message(topic: message.topic, record: bytes.span)
        #expect(found == nil)
    }
}
