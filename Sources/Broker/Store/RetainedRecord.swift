// The layout of a record in the database `retained`, numbers little-endian:
//
//     0   format, 1                      4   length of the content type      16  seq
//     1   kind, as `Message.Kind`        8   length of the topic             24  time
//     2   1: has a content type          12  length of the payload           32  expiry
//     3   0                              40  content type, topic, payload
//
// The topic is empty where the key holds all of it. A record is exactly as long as its lengths say.

/// A retained value as it is stored.
struct RetainedRecord {
    private static let format: UInt8 = 1
    private static let headerLength = 40

    let kind: Message.Kind
    let seq: UInt64
    let time: Int64
    /// Unix milliseconds; 0: never.
    let expiry: Int64
    let payloadLength: Int
    private let contentTypeLength: Int?
    private let topicLength: Int

    /// The record of `message`, or `nil` when a part of it is over 4 GiB.
    static func bytes(of message: Message, isKeyHashed: Bool) -> [UInt8]? {
        let contentType = message.contentType.map { Array($0.utf8) } ?? []
        let topic = isKeyHashed ? Array(message.topic.name.utf8) : []
        guard let contentTypeLength = UInt32(exactly: contentType.count),
            let topicLength = UInt32(exactly: topic.count),
            let payloadLength = UInt32(exactly: message.payload.count)
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerLength + contentType.count + topic.count + message.payload.count)
        bytes.append(contentsOf: [format, message.kind.rawValue, message.contentType == nil ? 0 : 1, 0])
        for length in [contentTypeLength, topicLength, payloadLength] { bytes.appendLittleEndian(length) }
        bytes.appendLittleEndian(message.seq)
        bytes.appendLittleEndian(UInt64(bitPattern: message.time))
        bytes.appendLittleEndian(UInt64(bitPattern: message.expiry))
        bytes.append(contentsOf: contentType)
        bytes.append(contentsOf: topic)
        bytes.append(contentsOf: message.payload)
        return bytes
    }

    /// Reads a record's fixed part; `nil` when these bytes are no record.
    init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= Self.headerLength, bytes[0] == Self.format, bytes[2] <= 1, bytes[3] == 0,
            let kind = Message.Kind(rawValue: bytes[1])
        else { return nil }
        let contentTypeLength = Int(bytes.littleEndian(UInt32.self, at: 4))
        topicLength = Int(bytes.littleEndian(UInt32.self, at: 8))
        payloadLength = Int(bytes.littleEndian(UInt32.self, at: 12))
        guard Self.headerLength + contentTypeLength + topicLength + payloadLength == bytes.count else { return nil }
        guard bytes[2] == 1 || contentTypeLength == 0 else { return nil }
        self.contentTypeLength = bytes[2] == 1 ? contentTypeLength : nil
        self.kind = kind
        seq = bytes.littleEndian(UInt64.self, at: 16)
        time = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 24))
        expiry = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 32))
    }

    /// Whether the value had ceased to be at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { expiry != 0 && expiry <= now }

    /// The topic of the record that this was read from, or `nil` when key and record name none.
    func topic(key: Span<UInt8>, record: Span<UInt8>) -> Topic? {
        guard RetainedKey.isHashed(key) else { return topicLength == 0 ? RetainedKey.plainTopic(key) : nil }
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
            isRetained: true, seq: seq, time: time, expiry: expiry)
    }
}

extension Array<UInt8> {
    mutating func appendLittleEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}

extension Span<UInt8> {
    /// The number whose lowest byte is at `offset`.
    func littleEndian<Number: FixedWidthInteger & UnsignedInteger>(_ type: Number.Type, at offset: Int) -> Number {
        var value: Number = 0
        for index in 0..<Number.bitWidth / 8 {
            value |= Number(truncatingIfNeeded: self[offset + index]) << (8 * index)
        }
        return value
    }

    /// A copy of the bytes in `range`.
    func array(_ range: Range<Int>) -> [UInt8] {
        let part = extracting(range)
        return unsafe [UInt8](unsafeUninitializedCapacity: part.count) { target, count in
            unsafe part.withUnsafeBufferPointer { source in
                _ = unsafe target.initialize(fromContentsOf: source)
            }
            count = part.count
        }
    }
}
