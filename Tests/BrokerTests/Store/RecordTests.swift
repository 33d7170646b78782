import Testing

@testable import Broker

/// What is on users' disks is read by every later version, so the bytes are written out here.
@Suite("Records of the store: the bytes on disk")
struct RecordTests {
    private let message = Message(
        topic: Topic(unchecked: "a/b"), payload: [7, 8], kind: .binary, contentType: "x/y", isRetained: true,
        seq: 0x0102_0304_0506_0708, time: 0x1112_1314_1516_1718, expiry: 0x2122_2324_2526_2728,
        origin: 0x3132_3334_3536_3738)

    /// Format, kind, content type, flag; three lengths; seq, time, expiry.
    private func header(flag: UInt8, topicLength: UInt8) -> [UInt8] {
        [1, 2, 1, flag, 3, 0, 0, 0, topicLength, 0, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]
            + [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21]
    }

    private func check(_ found: Message?, origin: UInt64, isRetained: Bool) {
        #expect(found?.payload == message.payload && found?.kind == message.kind && found?.seq == message.seq)
        #expect(found?.time == message.time && found?.expiry == message.expiry)
        #expect(found?.contentType == message.contentType && found?.topic == message.topic)
        #expect(found?.origin == origin && found?.isRetained == isRetained)
    }

    @Test func aRetainedValueWhoseKeyHoldsItsTopic() {
        let bytes = header(flag: 0, topicLength: 0) + Array("x/y".utf8) + [7, 8]
        #expect(RetainedRecord.bytes(of: message, isKeyHashed: false) == bytes)
        let record = RetainedRecord(bytes.span)
        check(record?.message(topic: message.topic, record: bytes.span), origin: 0, isRetained: true)
        let topic = record?.topic(key: RetainedKey(message.topic).bytes.span, record: bytes.span)
        #expect(topic == message.topic)
    }

    @Test func aRetainedValueWhoseKeyIsHashed() {
        let bytes = header(flag: 0, topicLength: 3) + Array("x/ya/b".utf8) + [7, 8]
        #expect(RetainedRecord.bytes(of: message, isKeyHashed: true) == bytes)
        let record = RetainedRecord(bytes.span)
        check(record?.message(topic: message.topic, record: bytes.span), origin: 0, isRetained: true)
    }

    @Test func aMessageOfTheHistory() {
        let own: [UInt8] = [0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31]
        let bytes = header(flag: 1, topicLength: 3) + own + Array("x/ya/b".utf8) + [7, 8]
        #expect(HistoryRecord.bytes(of: message) == bytes)
        let record = HistoryRecord(bytes.span)
        let topic = record?.topic(record: bytes.span)
        #expect(topic == message.topic)
        check(record?.message(topic: message.topic, record: bytes.span), origin: message.origin, isRetained: true)
    }

    @Test func bytesThatAreNoRecord() throws {
        let retained = header(flag: 0, topicLength: 0) + Array("x/y".utf8) + [7, 8]
        let kept = try #require(HistoryRecord.bytes(of: message))
        for count in retained.indices { #expect(!isRetained(Array(retained[..<count])), "\(count) bytes") }
        for count in kept.indices { #expect(!isKept(Array(kept[..<count])), "\(count) bytes") }
        #expect(!isRetained(retained + [0]))
        for (offset, value) in [(0, 2), (1, 9), (2, 2), (2, 0), (3, 1), (7, 0xFF), (11, 0xFF), (15, 0xFF)] {
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

    @Test func aContentTypeThatIsNoText() throws {
        var bytes = try #require(HistoryRecord.bytes(of: message))
        bytes[48] = 0xFF
        let record = HistoryRecord(bytes.span)
        #expect(record != nil)
        let found = record?.message(topic: message.topic, record: bytes.span)
        #expect(found == nil)
    }
}
