// One record for each topic with messages in the history, in the database `history-topics`, numbers little-endian:
// format (4 bytes, 1), messages (8), their payload in bytes (8), id (8), trimmed up to (8), trimmed messages (8), the
// time of the next check of its age (8; 0: never), the name.

/// The record of a topic that has messages in the history.
struct HistoryTopic: Equatable {
    private static let format: UInt32 = 1
    private static let headerLength = 52

    /// The number of its first message.
    let id: UInt64
    let topic: Topic
    var messages = 0
    /// The size of their payloads, in bytes.
    var payloadBytes = 0
    /// The number of the newest message that a limit has removed; 0 if none was removed.
    var trimmedUpTo: UInt64 = 0
    /// How many messages limits have removed.
    var trimmed = 0
    /// When the oldest message may become too old, in Unix milliseconds; 0 if it does not.
    var scheduled: Int64 = 0

    init(id: UInt64, topic: Topic) {
        self.id = id
        self.topic = topic
    }

    /// Reads a record; `nil` if these bytes are not one.
    init?(_ bytes: Span<UInt8>) {
        guard bytes.count > Self.headerLength, bytes.littleEndian(UInt32.self, at: 0) == Self.format,
            let messages = Int(exactly: bytes.littleEndian(UInt64.self, at: 4)),
            let payloadBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 12)),
            let trimmed = Int(exactly: bytes.littleEndian(UInt64.self, at: 36)),
            let topic = storedTopic(bytes.array(Self.headerLength..<bytes.count))
        else { return nil }
        self.topic = topic
        self.messages = messages
        self.payloadBytes = payloadBytes
        id = bytes.littleEndian(UInt64.self, at: 20)
        trimmedUpTo = bytes.littleEndian(UInt64.self, at: 28)
        self.trimmed = trimmed
        scheduled = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 44))
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(Self.format)
        for number in [
            UInt64(max(messages, 0)), UInt64(max(payloadBytes, 0)), id, trimmedUpTo, UInt64(max(trimmed, 0)),
            UInt64(bitPattern: scheduled),
        ] { bytes.appendLittleEndian(number) }
        return bytes + Array(topic.name.utf8)
    }

    var trim: HistoryTrim { HistoryTrim(first: id, upTo: trimmedUpTo, count: trimmed) }

    /// The topic's key in the schedule.
    var scheduleKey: [UInt8] { [UInt8](key: UInt64(bitPattern: scheduled)) + [UInt8](key: id) }

    /// The key of one of the topic's messages in the index.
    func indexKey(_ seq: UInt64) -> [UInt8] { [UInt8](key: id) + [UInt8](key: seq) }
}
