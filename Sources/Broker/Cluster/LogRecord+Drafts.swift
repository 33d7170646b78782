/// The flags of a message, besides its kind.
private enum Flag {
    static let kinds: UInt8 = 3
    static let isRetained: UInt8 = 1 << 2
    static let hasContentType: UInt8 = 1 << 3
    static let hasProperties: UInt8 = 1 << 4
    static let hasTimeToLive: UInt8 = 1 << 5
    static let hasCondition: UInt8 = 1 << 6
    static let hasKey: UInt8 = 1 << 7
}

/// The first byte of a condition.
private enum ConditionCode {
    static let none: UInt8 = 0
    static let matches: UInt8 = 1
    static let absent: UInt8 = 2
    static let present: UInt8 = 3
    static let expired: UInt8 = 4
    static let expiredAndGone: UInt8 = 5
    static let ephemeral: UInt8 = 6
    static let ended: UInt8 = 7
}

/// The flags of a lease, besides the kind of its farewell, which is 0 if there is none.
private enum LeaseFlag {
    static let kinds: UInt8 = 3
    static let hasContentType: UInt8 = 1 << 2
}

extension DraftShape {
    init(_ draft: borrowing Draft) {
        var flags = draft.kind.rawValue
        if draft.isRetained { flags |= Flag.isRetained }
        if draft.contentType != nil { flags |= Flag.hasContentType }
        if draft.properties != nil { flags |= Flag.hasProperties }
        if draft.timeToLive != nil { flags |= Flag.hasTimeToLive }
        if draft.isConditional { flags |= Flag.hasCondition }
        if draft.key != nil { flags |= Flag.hasKey }
        self.init(flags: flags, origin: draft.origin, topic: draft.topic, contentType: draft.contentType)
    }
}

extension Array<UInt8> {
    /// Appends the parts of a draft that every broker needs: all except its connection and its completion.
    mutating func append(_ draft: borrowing Draft) {
        append(DraftShape(draft))
        append(rest: draft)
    }

    /// Appends drafts as a part of a record; none if there are none.
    mutating func append(part drafts: Span<Draft>) {
        guard !drafts.isEmpty else { return }
        appendVarint(UInt64(drafts.count))
        var shapes = DraftShapes()
        for place in drafts.indices {
            let shape = DraftShape(drafts[place])
            if let distance = shapes.distance(of: shape) {
                append(UInt8(distance))
            } else {
                append(0 as UInt8)
                append(shape)
                shapes.add(shape)
            }
            append(rest: drafts[place])
        }
    }

    private mutating func append(_ shape: DraftShape) {
        append(shape.flags)
        appendBigEndian(shape.origin)
        appendCounted(shape.topic.name)
        if let contentType = shape.contentType { appendCounted(contentType) }
    }

    private mutating func append(rest draft: borrowing Draft) {
        if let properties = draft.properties { append(properties) }
        if let timeToLive = draft.timeToLive { appendVarint(UInt64(bitPattern: timeToLive)) }
        if draft.isConditional { append(draft.condition) }
        if let key = draft.key {
            appendCounted(key.name)
            appendCounted(key.owner)
        }
        appendVarint(UInt64(draft.message.payloadCount))
        unsafe draft.payload.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }

    private mutating func append(_ properties: MessageProperties) {
        append((properties.replyTo == nil ? 0 : 1) | (properties.correlation == nil ? 0 : 2))
        if let replyTo = properties.replyTo { appendCounted(replyTo.name) }
        if let correlation = properties.correlation { appendCounted(correlation) }
        appendVarint(UInt64(properties.headers.count))
        for header in properties.headers {
            appendCounted(header.name)
            appendCounted(header.value)
        }
    }

    private mutating func append(_ condition: Draft.Condition) {
        switch condition {
        case .none: append(ConditionCode.none)
        case .matches(let seqs):
            append(ConditionCode.matches)
            appendVarint(UInt64(seqs.count))
            for seq in seqs { appendVarint(seq) }
        case .absent: append(ConditionCode.absent)
        case .present: append(ConditionCode.present)
        case .expired(nil): append(ConditionCode.expiredAndGone)
        case .expired(let seq?):
            append(ConditionCode.expired)
            appendVarint(seq)
        case .ephemeral(let lease):
            append(ConditionCode.ephemeral)
            append(lease)
        case .ended(let seq):
            append(ConditionCode.ended)
            appendVarint(seq)
        }
    }

    private mutating func append(_ lease: Lease) {
        append(lease.wanted)
        appendVarint(UInt64(bitPattern: lease.grace))
        guard let farewell = lease.farewell else { return append(0 as UInt8) }
        append(farewell.kind.rawValue | (farewell.contentType == nil ? 0 : LeaseFlag.hasContentType))
        if let contentType = farewell.contentType { appendCounted(contentType) }
        appendCounted(farewell.payload)
    }
}

/// Reads the parts of a record.
struct LogReader: ~Escapable {
    private let bytes: Span<UInt8>
    private var offset: Int

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>, from offset: Int = 0) { (self.bytes, self.offset) = (bytes, offset) }

    var isAtEnd: Bool { offset == bytes.count }

    func mistake(_ text: String) -> LogRecord.Mistake { .malformed(text, offset: offset) }

    // MARK: Numbers and bytes

    private mutating func byte() throws(LogRecord.Mistake) -> UInt8 {
        guard offset < bytes.count else { throw mistake("it ends too early") }
        offset += 1
        return bytes[offset - 1]
    }

    /// A number of eight bytes.
    mutating func fixed() throws(LogRecord.Mistake) -> UInt64 {
        guard bytes.count - offset >= 8 else { throw mistake("it ends too early") }
        var number: UInt64 = 0
        for index in offset..<offset + 8 { number = number << 8 | UInt64(bytes[index]) }
        offset += 8
        return number
    }

    /// Reads a number in its shortest form, so that each content has only one record.
    private mutating func varint() throws(LogRecord.Mistake) -> UInt64 {
        var (number, shift): (UInt64, UInt64) = (0, 0)
        while true {
            let byte = try byte()
            guard shift < 63 || byte <= 1, shift == 0 || byte != 0 else { throw mistake("a malformed number") }
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
    }

    /// The number of bytes or items that follow; each takes at least a byte, so a number above the rest is refused.
    mutating func count() throws(LogRecord.Mistake) -> Int {
        let count = try varint()
        guard count <= UInt64(bytes.count - offset) else { throw mistake("a count that is too large") }
        return Int(count)
    }

    private mutating func counted() throws(LogRecord.Mistake) -> [UInt8] {
        let count = try count()
        offset += count
        return unsafe bytes.extracting(offset - count..<offset).withUnsafeBufferPointer { unsafe Array($0) }
    }

    private mutating func text() throws(LogRecord.Mistake) -> String {
        guard let text = String(validating: try counted(), as: UTF8.self) else {
            throw mistake("text that is not UTF-8")
        }
        return text
    }

    private mutating func topic() throws(LogRecord.Mistake) -> Topic {
        let name = try text()
        guard let topic = try? Topic(name, limits: .none) else { throw mistake("an invalid topic") }
        return topic
    }

    /// A number of milliseconds.
    private mutating func duration() throws(LogRecord.Mistake) -> Int64 {
        guard let milliseconds = Int64(exactly: try varint()) else { throw mistake("a time that is too long") }
        return milliseconds
    }

    private func kind(_ value: UInt8) throws(LogRecord.Mistake) -> Message.Kind {
        guard let kind = Message.Kind(rawValue: value) else { throw mistake("an unknown kind of message") }
        return kind
    }

    // MARK: Messages

    /// Reads messages of which each has its shape.
    mutating func drafts(_ count: Int) throws(LogRecord.Mistake) -> [Draft] {
        var drafts: [Draft] = []
        for _ in 0..<count { drafts.append(try draft(try shape())) }
        return drafts
    }

    /// Reads parts with this many messages.
    mutating func parts(of count: Int) throws(LogRecord.Mistake) -> [Draft] {
        var drafts: [Draft] = []
        while drafts.count < count {
            let size = try self.count()
            guard size > 0, size <= count - drafts.count else {
                throw mistake("a part with the wrong number of messages")
            }
            var shapes = DraftShapes()
            for _ in 0..<size {
                let distance = try byte()
                if distance == 0 { shapes.add(try shape()) }
                guard let shape = shapes.shape(at: max(1, Int(distance))) else { throw mistake("an unknown shape") }
                drafts.append(try draft(shape))
            }
        }
        return drafts
    }

    private mutating func shape() throws(LogRecord.Mistake) -> DraftShape {
        let flags = try byte()
        _ = try kind(flags & Flag.kinds)
        let (origin, topic) = (try fixed(), try topic())
        let contentType = flags & Flag.hasContentType == 0 ? nil : try text()
        return DraftShape(flags: flags, origin: origin, topic: topic, contentType: contentType)
    }

    private mutating func draft(_ shape: DraftShape) throws(LogRecord.Mistake) -> Draft {
        let flags = shape.flags
        let properties = flags & Flag.hasProperties == 0 ? nil : try properties()
        let timeToLive = flags & Flag.hasTimeToLive == 0 ? nil : try duration()
        let condition = flags & Flag.hasCondition == 0 ? .none : try condition()
        let key = flags & Flag.hasKey == 0 ? nil : PublishKey(stored: try counted(), owner: try text())
        var draft = Draft(topic: shape.topic, payload: try counted(), kind: try kind(flags & Flag.kinds))
        (draft.isRetained, draft.origin) = (flags & Flag.isRetained != 0, shape.origin)
        (draft.contentType, draft.properties, draft.timeToLive) = (shape.contentType, properties, timeToLive)
        (draft.condition, draft.key) = (condition, key)
        guard draft.isConditional == (flags & Flag.hasCondition != 0) else { throw mistake("an invalid condition") }
        return draft
    }

    private mutating func properties() throws(LogRecord.Mistake) -> MessageProperties {
        let parts = try byte()
        guard parts <= 3 else { throw mistake("unknown properties") }
        let replyTo = parts & 1 == 0 ? nil : try topic()
        let correlation = parts & 2 == 0 ? nil : try counted()
        var headers: [MessageProperties.Header] = []
        for _ in 0..<(try count()) { headers.append(.init(name: try text(), value: try text())) }
        do throws(Refusal) {
            return try MessageProperties(headers: headers, replyTo: replyTo, correlation: correlation)
        } catch {
            throw mistake("properties beyond their limits")
        }
    }

    /// - Parameter isWithinLease: whether it is the condition of an ephemeral value on the previous value.
    private mutating func condition(isWithinLease: Bool = false) throws(LogRecord.Mistake) -> Draft.Condition {
        switch try byte() {
        case ConditionCode.none: return .none
        case ConditionCode.matches:
            var seqs: [UInt64] = []
            for _ in 0..<(try count()) { seqs.append(try varint()) }
            return .matches(seqs)
        case ConditionCode.absent: return .absent
        case ConditionCode.present: return .present
        case ConditionCode.expired: return .expired(try varint())
        case ConditionCode.expiredAndGone: return .expired(nil)
        case ConditionCode.ephemeral where !isWithinLease: return .ephemeral(try lease())
        case ConditionCode.ended: return .ended(try varint())
        default: throw mistake("an unknown condition")
        }
    }

    private mutating func lease() throws(LogRecord.Mistake) -> Lease {
        let wanted = try condition(isWithinLease: true)
        let grace = try duration()
        let flags = try byte()
        guard flags != 0 else { return Lease(grace: grace, wanted: wanted) }
        guard flags <= LeaseFlag.kinds | LeaseFlag.hasContentType else { throw mistake("an unknown farewell") }
        let kind = try kind(flags & LeaseFlag.kinds)
        let contentType = flags & LeaseFlag.hasContentType == 0 ? nil : try text()
        let farewell = Lease.Farewell(payload: try counted(), kind: kind, contentType: contentType)
        return Lease(grace: grace, farewell: farewell, wanted: wanted)
    }
}
