// How a stored message begins, numbers little-endian:
//
//     0   format, 1                      4   length of the content type      16  seq
//     1   kind, as `Message.Kind`        8   length of the topic             24  time
//     2   1: has a content type          12  length of the payload           32  expiry
//     3   1: flagged
//
// What comes next, and what the flag says, is the record's own (RetainedRecord.swift, HistoryRecord.swift); content type,
// topic and payload end it. A record is exactly as long as its lengths say.

/// What the records of a retained value and of a message of the history have in common.
struct RecordHeader {
    private static let format: UInt8 = 1
    /// How many bytes it takes.
    static let length = 40

    let kind: Message.Kind
    let isFlagged: Bool
    let seq: UInt64
    let time: Int64
    /// Unix milliseconds; 0: never.
    let expiry: Int64
    let payloadLength: Int
    let topicLength: Int
    private let contentTypeLength: Int?

    /// The record of `message`, or `nil` when a part of it is over 4 GiB.
    ///
    /// - Parameters:
    ///   - topic: the topic's bytes, empty where the record has none.
    ///   - own: what the record has of its own, after the header.
    static func record(
        of message: Message, topic: [UInt8], isFlagged: Bool, own: [UInt8] = []
    ) -> [UInt8]? {
        let contentType = message.contentType.map { Array($0.utf8) } ?? []
        guard let contentTypeLength = UInt32(exactly: contentType.count),
            let topicLength = UInt32(exactly: topic.count),
            let payloadLength = UInt32(exactly: message.payload.count)
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length + own.count + contentType.count + topic.count + message.payload.count)
        bytes.append(contentsOf: [
            format, message.kind.rawValue, message.contentType == nil ? 0 : 1, isFlagged ? 1 : 0,
        ])
        for length in [contentTypeLength, topicLength, payloadLength] { bytes.appendLittleEndian(length) }
        bytes.appendLittleEndian(message.seq)
        bytes.appendLittleEndian(UInt64(bitPattern: message.time))
        bytes.appendLittleEndian(UInt64(bitPattern: message.expiry))
        bytes.append(contentsOf: own)
        bytes.append(contentsOf: contentType)
        bytes.append(contentsOf: topic)
        bytes.append(contentsOf: message.payload)
        return bytes
    }

    /// Reads the header of a record; `nil` when these bytes are no record.
    ///
    /// - Parameter ownLength: how many bytes the record has of its own.
    init?(_ bytes: Span<UInt8>, ownLength: Int = 0) {
        let begin = Self.length + ownLength
        guard bytes.count >= begin, bytes[0] == Self.format, bytes[2] <= 1, bytes[3] <= 1,
            let kind = Message.Kind(rawValue: bytes[1])
        else { return nil }
        let contentTypeLength = Int(bytes.littleEndian(UInt32.self, at: 4))
        topicLength = Int(bytes.littleEndian(UInt32.self, at: 8))
        payloadLength = Int(bytes.littleEndian(UInt32.self, at: 12))
        guard begin + contentTypeLength + topicLength + payloadLength == bytes.count else { return nil }
        guard bytes[2] == 1 || contentTypeLength == 0 else { return nil }
        self.contentTypeLength = bytes[2] == 1 ? contentTypeLength : nil
        self.kind = kind
        isFlagged = bytes[3] == 1
        seq = bytes.littleEndian(UInt64.self, at: 16)
        time = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 24))
        expiry = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 32))
    }

    /// Whether the message had ceased to be at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { expiry != 0 && expiry <= now }

    /// The bytes of the topic in the record that this was read from.
    func topic(in record: Span<UInt8>) -> [UInt8] {
        let end = record.count - payloadLength
        return record.array(end - topicLength..<end)
    }

    /// The message in the record that this was read from, or `nil` when its content type is not UTF-8.
    func message(topic: Topic, record: Span<UInt8>, isRetained: Bool, origin: UInt64 = 0) -> Message? {
        let payload = record.count - payloadLength
        var contentType: String?
        if let contentTypeLength {
            let end = payload - topicLength
            let bytes = record.array(end - contentTypeLength..<end)
            guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
            contentType = text
        }
        return Message(
            topic: topic, payload: record.array(payload..<record.count), kind: kind, contentType: contentType,
            isRetained: isRetained, seq: seq, time: time, expiry: expiry, origin: origin)
    }
}
