// How a stored message begins, numbers little-endian:
//
//     0   format, 2                      4   length of the properties        16  seq
//     1   kind, as `Message.Kind`        8   length of the topic             24  time
//     2   0                              12  length of the payload           32  expiry
//     3   1: flagged
//
// The rest, and the meaning of the flag, depend on the record (RetainedRecord.swift, HistoryRecord.swift); properties
// (PropertyBlock.swift), topic and payload end it. A record is exactly as long as its lengths say.
//
// Format 1, which is still read but no longer written, has the content type itself in place of the properties, and 1 in
// byte 2 if there is one.

/// The common part of the records of retained values and of messages of the history.
struct RecordHeader {
    /// The format that is written, and the newest that is read.
    static let format: UInt8 = 2
    private static let firstFormat: UInt8 = 1
    /// The size of the header, in bytes.
    static let length = 40

    let kind: Message.Kind
    let isFlagged: Bool
    let seq: UInt64
    let time: Int64
    /// Unix milliseconds; 0 if the message does not expire.
    let expiry: Int64
    let payloadLength: Int
    let topicLength: Int
    private let propertiesLength: Int
    /// Whether the properties are only a content type (`true`) or none (`false`), in format 1; `nil` if they are a
    /// block.
    private let isContentType: Bool?

    /// The record of `message`; `nil` if a part of it exceeds 4 GiB.
    ///
    /// - Parameters:
    ///   - topic: the topic's bytes, empty if the record has none.
    ///   - own: the record's specific part, after the header.
    static func record(
        of message: Message, topic: [UInt8], isFlagged: Bool, own: [UInt8] = []
    ) -> [UInt8]? {
        let properties = PropertyBlock.bytes(of: message)
        guard let propertiesLength = UInt32(exactly: properties.count),
            let topicLength = UInt32(exactly: topic.count),
            let payloadLength = UInt32(exactly: message.payload.count)
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length + own.count + properties.count + topic.count + message.payload.count)
        bytes.append(contentsOf: [format, message.kind.rawValue, 0, isFlagged ? 1 : 0])
        for length in [propertiesLength, topicLength, payloadLength] { bytes.appendLittleEndian(length) }
        bytes.appendLittleEndian(message.seq)
        bytes.appendLittleEndian(UInt64(bitPattern: message.time))
        bytes.appendLittleEndian(UInt64(bitPattern: message.expiry))
        bytes.append(contentsOf: own)
        bytes.append(contentsOf: properties)
        bytes.append(contentsOf: topic)
        unsafe message.payload.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Reads the header of a record; `nil` if these bytes are not a record.
    ///
    /// - Parameter ownLength: the length of the record's specific part, in bytes.
    init?(_ bytes: Span<UInt8>, ownLength: Int = 0) {
        let begin = Self.length + ownLength
        guard bytes.count >= begin, bytes[3] <= 1, let kind = Message.Kind(rawValue: bytes[1]) else { return nil }
        propertiesLength = Int(bytes.littleEndian(UInt32.self, at: 4))
        topicLength = Int(bytes.littleEndian(UInt32.self, at: 8))
        payloadLength = Int(bytes.littleEndian(UInt32.self, at: 12))
        guard begin + propertiesLength + topicLength + payloadLength == bytes.count else { return nil }
        switch (bytes[0], bytes[2]) {
        case (Self.format, 0): isContentType = nil
        case (Self.firstFormat, 1): isContentType = true
        case (Self.firstFormat, 0) where propertiesLength == 0: isContentType = false
        default: return nil
        }
        self.kind = kind
        isFlagged = bytes[3] == 1
        seq = bytes.littleEndian(UInt64.self, at: 16)
        time = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 24))
        expiry = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 32))
    }

    /// Whether the message had expired at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { Message.isExpired(expiry, at: now) }

    /// The bytes of the topic in the record from which this was read.
    func topic(in record: Span<UInt8>) -> [UInt8] {
        let end = record.count - payloadLength
        return record.array(end - topicLength..<end)
    }

    /// The message in the record from which this was read; `nil` if its properties cannot be read.
    func message(topic: Topic, record: Span<UInt8>, isRetained: Bool, origin: UInt64 = 0) -> Message? {
        let payload = record.count - payloadLength
        guard let values = properties(in: record, upTo: payload - topicLength) else { return nil }
        return Message(
            topic: topic, payload: record.extracting(payload..<record.count), kind: kind,
            contentType: values.contentType, properties: values.properties, isRetained: isRetained, seq: seq,
            number: values.number, time: time, expiry: expiry, origin: origin,
            nature: values.isExpiry ? .expiry : .plain)
    }

    /// The number by which the message is known outside this broker.
    func number(in record: Span<UInt8>) -> UInt64 {
        properties(in: record, upTo: record.count - payloadLength - topicLength)?.number ?? seq
    }

    private func properties(in record: Span<UInt8>, upTo end: Int) -> PropertyBlock.Values? {
        let range = end - propertiesLength..<end
        guard let isContentType else { return PropertyBlock.read(record, range) }
        guard isContentType else { return PropertyBlock.Values() }
        guard let text = String(validating: record.array(range), as: UTF8.self) else { return nil }
        return PropertyBlock.Values(contentType: text)
    }
}
