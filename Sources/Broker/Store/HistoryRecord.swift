// The history is stored in five databases; numbers are big-endian in keys, so that keys are in numeric order, and
// little-endian in values:
//
//     history            seq                   the message, as below
//     history-index      topic's id, seq       when it was kept (`Lifetime`), length of the payload
//     history-topics     the topic's key       what is known of the topic (HistoryTopic.swift)
//     history-trims      seq                   the topic's name: one entry for each topic that a limit has cut, under
//                                              the newest message that it has lost
//     history-schedule   time, topic's id      the topic's key: one entry for each topic whose messages become too old
//
// `history` is the one log of all topics: a client that resumes a filter with wildcards reads it from its position on.
// One topic's messages are one range of `history-index`. A topic's id is the number of its first message, so no id is
// used twice. The state of the whole history is in `meta` (HistoryState.swift).
//
// A message is a header (RecordHeader.swift), flagged where it is retained, its origin in 8 bytes, and properties, topic
// and payload.

/// A message of the history as it is stored.
struct HistoryRecord {
    private static let ownLength = 8

    private let header: RecordHeader
    private let origin: UInt64

    var kind: Message.Kind { header.kind }
    var seq: UInt64 { header.seq }
    var time: Int64 { header.time }
    /// Unix milliseconds; 0 if the message does not expire.
    var expiry: Int64 { header.expiry }

    /// The record of `message`; `nil` if a part of it exceeds 4 GiB.
    static func bytes(of message: Message) -> [UInt8]? {
        var own: [UInt8] = []
        own.appendLittleEndian(message.origin)
        return RecordHeader.record(
            of: message, topic: Array(message.topic.name.utf8), isFlagged: message.isRetained, own: own)
    }

    /// Reads a record's fixed part; `nil` if these bytes are not a record.
    init?(_ bytes: Span<UInt8>) {
        guard let header = RecordHeader(bytes, ownLength: Self.ownLength) else { return nil }
        self.header = header
        origin = bytes.littleEndian(UInt64.self, at: RecordHeader.length)
    }

    /// Whether the message had expired at `now`, in Unix milliseconds.
    func isExpired(at now: Int64) -> Bool { header.isExpired(at: now) }

    /// The topic in the record from which this was read; `nil` if it is not valid.
    func topic(record: Span<UInt8>) -> Topic? { storedTopic(header.topic(in: record)) }

    /// The message in the record from which this was read; `nil` if its properties cannot be read.
    func message(topic: Topic, record: Span<UInt8>) -> Message? {
        header.message(topic: topic, record: record, isRetained: header.isFlagged, origin: origin)
    }
}

extension Array<UInt8> {
    /// The key of a number: big-endian, so that keys are in the numbers' order.
    init(key number: UInt64) {
        self = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}
