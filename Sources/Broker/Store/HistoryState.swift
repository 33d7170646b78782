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

// One record under one key in the database `meta`, numbers little-endian, eight bytes each: format (1), messages, payload
// bytes, complete up to, trimmed up to, trims, holes, rules; then low and high of each hole; then of each rule since,
// forgotten up to, and the length of the filter before the filter.

extension HistorySummary {
    static let key = Array("history".utf8)
    static let format: UInt64 = 1

    /// Reads a record; `nil` if these bytes are not one.
    init?(_ bytes: Span<UInt8>) {
        self.init()
        var offset = 0
        func number() -> UInt64? {
            guard bytes.count - offset >= 8 else { return nil }
            defer { offset += 8 }
            return bytes.littleEndian(UInt64.self, at: offset)
        }
        guard number() == Self.format, let messages = number().flatMap({ Int(exactly: $0) }),
            let payloadBytes = number().flatMap({ Int(exactly: $0) }), let completeUpTo = number(),
            let trimmedUpTo = number(), let trims = number(), let holes = number(), let rules = number()
        else { return nil }
        self.messages = messages
        self.payloadBytes = payloadBytes
        self.completeUpTo = completeUpTo
        self.trimmedUpTo = trimmedUpTo
        self.trims = trims
        for _ in 0..<holes {
            guard let low = number(), let high = number(), low < high else { return nil }
            add(HistoryHole(low: low, high: high))
        }
        for _ in 0..<rules {
            guard let since = number(), let forgotten = number(), let length = number().flatMap({ Int(exactly: $0) }),
                bytes.count - offset >= length,
                let name = String(validating: bytes.array(offset..<offset + length), as: UTF8.self),
                let filter = try? TopicFilter(name, limits: .none)
            else { return nil }
            offset += length
            coverages.append(HistoryCoverage(filter: filter, since: since, forgottenUpTo: forgotten))
        }
        guard offset == bytes.count else { return nil }
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for number in [
            Self.format, UInt64(max(messages, 0)), UInt64(max(payloadBytes, 0)), completeUpTo, trimmedUpTo, trims,
            UInt64(holes.count), UInt64(coverages.count),
        ] { bytes.appendLittleEndian(number) }
        for hole in holes {
            bytes.appendLittleEndian(hole.low)
            bytes.appendLittleEndian(hole.high)
        }
        for coverage in coverages {
            bytes.appendLittleEndian(coverage.since)
            bytes.appendLittleEndian(coverage.forgottenUpTo)
            bytes.appendLittleEndian(UInt64(coverage.filter.name.utf8.count))
            bytes.append(contentsOf: coverage.filter.name.utf8)
        }
        return bytes
    }
}
