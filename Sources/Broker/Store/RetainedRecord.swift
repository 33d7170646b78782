// A record in the database `retained` is a header (RecordHeader.swift) without the flag, properties, topic and payload.
// The topic is empty if the key holds all of it.

/// A retained value as it is stored.
struct RetainedRecord {
    private let header: RecordHeader

    var kind: Message.Kind { header.kind }
    var seq: UInt64 { header.seq }
    var time: Int64 { header.time }
    /// Unix milliseconds; 0 if the value does not expire.
    var expiry: Int64 { header.expiry }
    var payloadLength: Int { header.payloadLength }

    /// The record of `message`; `nil` if a part of it exceeds 4 GiB.
    static func bytes(of message: Message, isKeyHashed: Bool) -> [UInt8]? {
        RecordHeader.record(
            of: message, topic: isKeyHashed ? Array(message.topic.name.utf8) : [], isFlagged: false)
    }

    /// Reads a record's fixed part; `nil` if these bytes are not a record.
    init?(_ bytes: Span<UInt8>) {
        guard let header = RecordHeader(bytes), !header.isFlagged else { return nil }
        self.header = header
    }

    /// Whether the value had expired at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { header.isExpired(at: now) }

    /// The topic of the record from which this was read; `nil` if neither key nor record has a valid one.
    func topic(key: Span<UInt8>, record: Span<UInt8>) -> Topic? {
        guard RetainedKey.isHashed(key) else { return header.topicLength == 0 ? RetainedKey.plainTopic(key) : nil }
        return storedTopic(header.topic(in: record))
    }

    /// The number by which the message is known outside this broker.
    func number(record: Span<UInt8>) -> UInt64 { header.number(in: record) }

    /// The message in the record from which this was read; `nil` if its properties cannot be read.
    func message(topic: Topic, record: Span<UInt8>) -> Message? {
        header.message(topic: topic, record: record, isRetained: true)
    }
}

extension Array<UInt8> {
    mutating func appendLittleEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}

// What is to become of an ephemeral value at the end of its publisher: its grace (8 bytes, little-endian, in milliseconds), the
// kind of its farewell (1 byte; 0: it has none), the length of that content type (2 bytes; 0xFFFF: it has none), the content
// type, and the payload.

/// A lease as it is stored, by the brokers of a cluster.
enum LeaseRecord {
    private static let headLength = 11
    private static let noType = UInt16.max

    /// The record of `lease`; `nil` if there is nothing in it.
    static func bytes(of lease: Lease) -> [UInt8]? {
        guard !lease.isUsual else { return nil }
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt64(bitPattern: lease.grace))
        bytes.append(lease.farewell?.kind.rawValue ?? 0)
        // Longer ones cannot be sent.
        let type = lease.farewell?.contentType.map { Array($0.utf8.prefix(Int(noType) - 1)) }
        bytes.appendLittleEndian(type.map { UInt16($0.count) } ?? noType)
        return bytes + (type ?? []) + (lease.farewell?.payload ?? [])
    }

    /// Reads a record; `nil` if it is malformed.
    static func lease(_ bytes: Span<UInt8>) -> Lease? {
        guard bytes.count >= headLength else { return nil }
        let grace = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 0))
        guard (0...Lease.maximumGrace).contains(grace) else { return nil }
        guard bytes[8] != 0 else { return Lease(grace: grace) }
        let length = bytes.littleEndian(UInt16.self, at: 9)
        let end = headLength + (length == noType ? 0 : Int(length))
        guard let kind = Message.Kind(rawValue: bytes[8]), end < bytes.count else { return nil }
        var type: String?
        if length != noType {
            guard let text = String(validating: bytes.array(headLength..<end), as: UTF8.self) else { return nil }
            type = text
        }
        return Lease(
            grace: grace,
            farewell: Lease.Farewell(payload: bytes.array(end..<bytes.count), kind: kind, contentType: type))
    }
}
