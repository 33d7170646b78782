// A record is what one broker appends to the log in one step. Numbers are big-endian, lengths and small numbers varints
// of seven bits a byte, the lowest first:
//
//     0   format, 1 or 2      10  incarnation     34  the position that the sender has folded, and its digest there
//     1   kind                18  attempt             (term 8, seq 8, digest 8)
//     2   node                26  number
//     58  how many messages (varint)
//
// In format 1 the messages follow, each:
//
//         flags               bits 0 and 1: the kind, as `Message.Kind`; 2: retained; then, one bit each, whether there
//         is a
//                             content type, properties, a time to live, a condition, a key
//         origin              8 bytes topic               length, UTF-8 content type        length, UTF-8 properties
//         bit 0: reply topic, bit 1: correlation; each with its length; the number of headers, and for each
//                             the lengths of name and value and both
//         time to live        in milliseconds
//         condition           its kind (below), then its arguments
//         key                 length and name, length and owner
//         payload             length, bytes
//
// In format 2 they are in parts, each with its number of messages (varint, not 0) and the messages. The flags, the
// origin, the topic and the content type of a message are its shape. Before the rest of a message is a byte: 0, and
// its shape follows, as in format 1; or it is the last shape of the part that followed so (1), the one before (2), and
// so on to 8.
//
//     the digest of all that, 8 bytes: of the messages first, so that a changed head does not cost their length
//
// A reader that does not know the format stops and reports it; it never skips a record.

/// A record that a broker appends to the log: the publications of its shards, in order.
struct LogRecord {
    fileprivate static let headLength = 58

    /// The purpose of a record.
    enum Kind: UInt8, Sendable {
        /// It has messages.
        case batch = 1
        /// It has no messages, and shows that the log works.
        case canary = 2
    }

    /// The sender of a record, and the record's number among the sender's.
    struct Head: Equatable, Sendable {
        /// The sender: random, created with its data directory.
        var node: UInt64
        /// Incremented at each start of the sender, and whenever it abandons records.
        var incarnation: UInt64
        /// Incremented with each connection of the sender: only a hole in the current one must be filled.
        var attempt: UInt64 = 0
        /// The number within the incarnation, from 1 without holes.
        var number: UInt64
        /// How far the sender has folded the log, and its digest there, which the others compare with theirs.
        var folded = LogPosition.start
        var digest: UInt64 = 0
    }

    /// Why bytes are not a record.
    enum Mistake: Error, Equatable, Sendable {
        /// The format of a newer broker.
        case format(UInt8)
        /// The digest does not match.
        case damaged
        /// What is wrong, as a phrase, and where.
        case malformed(String, offset: Int)
    }

    let format: RecordFormat
    let kind: Kind
    let head: Head
    /// The messages, without numbers.
    let drafts: [Draft]

    /// How many numbers a record of this many messages takes.
    static func numbers(of messages: Int) -> Int { max(1, messages) }

    /// The record of `drafts`; without any, a canary.
    static func bytes(_ head: Head, _ drafts: Span<Draft>, in format: RecordFormat = .plain) -> [UInt8] {
        UnsentRecord(drafts, in: format).bytes(head)
    }

    /// The digest of a record without its digest.
    static func digest(of content: Span<UInt8>) -> UInt64 {
        var digest = LogDigest()
        digest.add(content.extracting(headLength..<content.count))
        digest.add(content.extracting(0..<headLength))
        return digest.value
    }

    // MARK: Reading

    /// Reads all of `bytes`.
    init(_ bytes: Span<UInt8>) throws(Mistake) {
        guard let first = bytes.isEmpty ? nil : bytes[0] else { throw .malformed("it is empty", offset: 0) }
        guard let format = RecordFormat(rawValue: first) else { throw .format(first) }
        guard bytes.count >= Self.headLength + 8 else { throw .malformed("it ends too early", offset: bytes.count) }
        let content = bytes.extracting(0..<bytes.count - 8)
        var end = LogReader(bytes.extracting(bytes.count - 8..<bytes.count))
        guard try end.fixed() == Self.digest(of: content) else { throw .damaged }
        guard let kind = Kind(rawValue: bytes[1]) else { throw .malformed("an unknown kind", offset: 1) }
        var reader = LogReader(content, from: 2)
        head = try reader.head()
        let count = try reader.count()
        guard (count == 0) == (kind == .canary) else { throw reader.mistake("the wrong number of messages") }
        switch format {
        case .plain: drafts = try reader.drafts(count)
        case .brief: drafts = try reader.parts(of: count)
        }
        guard reader.isAtEnd else { throw reader.mistake("more than its messages") }
        (self.format, self.kind) = (format, kind)
    }
}

extension LogRecord {
    /// The kind and head of a record, without checking the rest; `nil` if it has none.
    static func peek(_ bytes: Span<UInt8>) -> (kind: Kind, head: Head)? {
        guard bytes.count >= headLength, RecordFormat(rawValue: bytes[0]) != nil,
            let kind = Kind(rawValue: bytes[1])
        else { return nil }
        var reader = LogReader(bytes, from: 2)
        guard let head = try? reader.head() else { return nil }
        return (kind, head)
    }
}

extension LogReader {
    fileprivate mutating func head() throws(LogRecord.Mistake) -> LogRecord.Head {
        let (node, incarnation, attempt, number) = (try fixed(), try fixed(), try fixed(), try fixed())
        let (term, seq, digest) = (try fixed(), try fixed(), try fixed())
        return LogRecord.Head(
            node: node, incarnation: incarnation, attempt: attempt, number: number,
            folded: LogPosition(term: term, seq: seq), digest: digest)
    }
}

/// A record without its head, which is added each time it is sent.
struct UnsentRecord: Sendable {
    let format: RecordFormat
    /// The bytes after the head.
    private let content: [UInt8]
    private let digest: LogDigest
    /// How many messages it has.
    let count: Int

    /// A record of `drafts`; without any, a canary.
    init(_ drafts: Span<Draft>, in format: RecordFormat) {
        var content: [UInt8] = []
        var capacity = 16
        for place in drafts.indices {
            capacity += drafts[place].payload.count + drafts[place].topic.name.utf8.count + 64
        }
        content.reserveCapacity(capacity)
        content.appendVarint(UInt64(drafts.count))
        switch format {
        case .plain: for place in drafts.indices { content.append(drafts[place]) }
        case .brief: content.append(part: drafts)
        }
        self.init(format, content, count: drafts.count)
    }

    /// A record of the messages of several of one format, in their order.
    init(joining records: [UnsentRecord], in format: RecordFormat) {
        var content: [UInt8] = []
        content.reserveCapacity(records.reduce(16) { $0 + $1.content.count })
        let count = records.reduce(0) { $0 + $1.count }
        content.appendVarint(UInt64(count))
        for record in records { content.append(contentsOf: record.content[record.countLength...]) }
        self.init(format, content, count: count)
    }

    private init(_ format: RecordFormat, _ content: [UInt8], count: Int) {
        var digest = LogDigest()
        digest.add(content.span)
        (self.format, self.content, self.digest, self.count) = (format, content, digest, count)
    }

    /// How many bytes the number of messages takes.
    private var countLength: Int {
        var (length, rest) = (1, UInt64(count))
        while rest >= 0x80 { (length, rest) = (length + 1, rest >> 7) }
        return length
    }

    /// Its size with the head, in bytes.
    var size: Int { LogRecord.headLength + content.count + 8 }

    /// How many numbers it takes.
    var numbers: Int { LogRecord.numbers(of: count) }

    /// The record with a head.
    func bytes(_ head: LogRecord.Head) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        bytes.append(contentsOf: [format.rawValue, (count == 0 ? LogRecord.Kind.canary : .batch).rawValue])
        for number in [
            head.node, head.incarnation, head.attempt, head.number, head.folded.term, head.folded.seq, head.digest,
        ] { bytes.appendBigEndian(number) }
        var digest = digest
        digest.add(bytes.span)
        bytes.append(contentsOf: content)
        bytes.appendBigEndian(digest.value)
        return bytes
    }
}

extension Array<UInt8> {
    mutating func appendBigEndian(_ number: UInt64) {
        unsafe Swift.withUnsafeBytes(of: number.bigEndian) { unsafe append(contentsOf: $0) }
    }

    mutating func appendVarint(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func appendCounted(_ content: [UInt8]) {
        appendVarint(UInt64(content.count))
        append(contentsOf: content)
    }

    mutating func appendCounted(_ text: String) {
        appendVarint(UInt64(text.utf8.count))
        append(contentsOf: text.utf8)
    }
}
