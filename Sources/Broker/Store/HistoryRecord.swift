// The history lies in five databases; numbers in keys are big-endian, so that keys are in their order, those in values
// little-endian:
//
//     history            seq                   the message, as below
//     history-index      topic's id, seq       when it was kept (`Lifetime`), length of the payload
//     history-topics     the topic's key       what is known of the topic (HistoryTopic.swift)
//     history-trims      seq                   the topic's name: one entry for each topic that a limit has cut, under
//                                              the newest message that it has lost
//     history-schedule   time, topic's id      the topic's key: one entry for each topic whose messages become too old
//
// `history` is the one log of all topics: who resumes a filter with wildcards reads it from its position on. One
// topic's messages are one range of `history-index`. A topic's id is the number of its first message, so no id comes
// twice. The state as a whole is in `meta` (HistoryState.swift).
//
// A message:
//
//     0   format, 1                      4   length of the content type      16  seq
//     1   kind, as `Message.Kind`        8   length of the topic             24  time
//     2   1: has a content type          12  length of the payload           32  expiry
//     3   1: retained                    40  origin                          48  content type, topic, payload

/// A message of the history as it is stored.
struct HistoryRecord {
    private static let format: UInt8 = 1
    private static let headerLength = 48

    let kind: Message.Kind
    let seq: UInt64
    let time: Int64
    /// Unix milliseconds; 0: never.
    let expiry: Int64
    private let origin: UInt64
    private let isRetained: Bool
    private let contentTypeLength: Int?
    private let topicLength: Int
    private let payloadLength: Int

    /// The record of `message`, or `nil` when a part of it is over 4 GiB.
    static func bytes(of message: Message) -> [UInt8]? {
        let contentType = message.contentType.map { Array($0.utf8) } ?? []
        guard let contentTypeLength = UInt32(exactly: contentType.count),
            let topicLength = UInt32(exactly: message.topic.name.utf8.count),
            let payloadLength = UInt32(exactly: message.payload.count)
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            headerLength + contentType.count + message.topic.name.utf8.count + message.payload.count)
        bytes.append(contentsOf: [
            format, message.kind.rawValue, message.contentType == nil ? 0 : 1, message.isRetained ? 1 : 0,
        ])
        for length in [contentTypeLength, topicLength, payloadLength] { bytes.appendLittleEndian(length) }
        bytes.appendLittleEndian(message.seq)
        bytes.appendLittleEndian(UInt64(bitPattern: message.time))
        bytes.appendLittleEndian(UInt64(bitPattern: message.expiry))
        bytes.appendLittleEndian(message.origin)
        bytes.append(contentsOf: contentType)
        bytes.append(contentsOf: message.topic.name.utf8)
        bytes.append(contentsOf: message.payload)
        return bytes
    }

    /// Reads a record's fixed part; `nil` when these bytes are no record.
    init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= Self.headerLength, bytes[0] == Self.format, bytes[2] <= 1, bytes[3] <= 1,
            let kind = Message.Kind(rawValue: bytes[1])
        else { return nil }
        let contentTypeLength = Int(bytes.littleEndian(UInt32.self, at: 4))
        topicLength = Int(bytes.littleEndian(UInt32.self, at: 8))
        payloadLength = Int(bytes.littleEndian(UInt32.self, at: 12))
        guard Self.headerLength + contentTypeLength + topicLength + payloadLength == bytes.count else { return nil }
        guard bytes[2] == 1 || contentTypeLength == 0 else { return nil }
        self.contentTypeLength = bytes[2] == 1 ? contentTypeLength : nil
        self.kind = kind
        isRetained = bytes[3] == 1
        seq = bytes.littleEndian(UInt64.self, at: 16)
        time = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 24))
        expiry = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 32))
        origin = bytes.littleEndian(UInt64.self, at: 40)
    }

    /// Whether the message had ceased to be at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { expiry != 0 && expiry <= now }

    /// The topic of the record that this was read from, or `nil` when it is none.
    func topic(record: Span<UInt8>) -> Topic? {
        let begin = Self.headerLength + (contentTypeLength ?? 0)
        return storedTopic(record.array(begin..<begin + topicLength))
    }

    /// The message in the record that this was read from, or `nil` when its content type is not UTF-8.
    func message(topic: Topic, record: Span<UInt8>) -> Message? {
        var offset = Self.headerLength
        var contentType: String?
        if let contentTypeLength {
            let bytes = record.array(offset..<offset + contentTypeLength)
            guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
            contentType = text
            offset += contentTypeLength
        }
        offset += topicLength
        return Message(
            topic: topic, payload: record.array(offset..<offset + payloadLength), kind: kind, contentType: contentType,
            isRetained: isRetained, seq: seq, time: time, expiry: expiry, origin: origin)
    }
}

extension Array<UInt8> {
    /// The key of a number: big-endian, so that keys are in the numbers' order.
    init(key number: UInt64) {
        self = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}

extension Span<UInt8> {
    /// The number whose highest byte is at `offset`.
    func bigEndian(at offset: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in offset..<offset + 8 { value = value << 8 | UInt64(self[index]) }
        return value
    }
}
