/// A publication with only the usual members, parsed in one pass without a list of members.
///
/// Most commands are of this kind. For any other command, and for malformed ones, the initializer returns `nil`: the
/// caller then parses a ``JSONCommand``, which knows all members and reports what is wrong.
package struct PlainPublication {
    private enum Member: UInt8 {
        case operation = 1
        case identifier = 2
        case topic = 4
        case data = 8
        case retain = 16
        case acknowledgement = 32

        @inline(__always)
        init?(_ mark: JSONName.Mark) {
            switch mark.count {
            case 2 where mark == JSONName("op").mark: self = .operation
            case 2 where mark == JSONName("id").mark: self = .identifier
            case 3 where mark == JSONName("ack").mark: self = .acknowledgement
            case 4 where mark == JSONName("data").mark: self = .data
            case 5 where mark == JSONName("topic").mark: self = .topic
            case 6 where mark == JSONName("retain").mark: self = .retain
            default: return nil
            }
        }

        /// Reads a name, up to the value; `nil` if it is another name.
        @inline(__always)
        static func at(_ scanner: inout JSONScanner, in bytes: Span<UInt8>) throws(JSONError) -> Member? {
            let start = scanner.offset &+ 1
            if bytes.count &- start >= 8, bytes[start &- 1] == UInt8(ascii: "\""),
                let (member, length) = written(bytes.word(at: start, count: 8))
            {
                scanner.move(to: start &+ length)
                scanner.skipWhitespace()
                return member
            }
            let name = try scanner.scanName()
            return name.isEscaped ? nil : Member(JSONName.Mark(bytes, name.inside))
        }

        /// The member whose name begins the word, if written without spaces and escapes, and the length of the name
        /// with its quotation mark and colon.
        @inline(__always)
        private static func written(_ word: UInt64) -> (Member, length: Int)? {
            if word &<< 32 == JSONName(#"op":"#).mark.first &<< 32 { return (.operation, 4) }
            if word &<< 8 == JSONName(#"topic":"#).mark.first &<< 8 { return (.topic, 7) }
            if word &<< 16 == JSONName(#"data":"#).mark.first &<< 16 { return (.data, 6) }
            if word &<< 32 == JSONName(#"id":"#).mark.first &<< 32 { return (.identifier, 4) }
            if word == JSONName(#"retain":"#).mark.first { return (.retain, 8) }
            if word &<< 24 == JSONName(#"ack":"#).mark.first &<< 24 { return (.acknowledgement, 5) }
            return nil
        }
    }

    /// The offset after the object.
    package private(set) var end = 0
    private var found: UInt8 = 0
    private var topic = JSONValue.Extent(range: 0..<0, kind: .null)
    private var data = JSONValue.Extent(range: 0..<0, kind: .null)
    private var id: JSONValue.Extent?
    private var isRetained = false
    private var acknowledgement: Draft.Acknowledgement?

    /// Parses the object at `start`, which white space may precede.
    package init?(_ bytes: Span<UInt8>, from start: Int) {
        if Self.isOther(bytes, at: start) { return nil }
        var scanner = JSONScanner(bytes, from: start)
        do throws(JSONError) {
            if Self.isUsual(bytes, at: start) {
                found = Member.operation.rawValue
                scanner.move(to: start &+ Self.beginningCount)
            } else {
                guard scanner.entersObject() else { return nil }
            }
            repeat {
                guard let member = try Member.at(&scanner, in: bytes), found & member.rawValue == 0 else { return nil }
                found |= member.rawValue
                guard try take(member, from: &scanner, in: bytes) else { return nil }
            } while try scanner.hasAnotherMember()
        } catch {
            return nil
        }
        let needed = Member.operation.rawValue | Member.topic.rawValue | Member.data.rawValue
        guard found & needed == needed else { return nil }
        end = scanner.offset
    }

    /// Whether the object begins with an `op` that begins with another letter than `publish`.
    @inline(__always)
    private static func isOther(_ bytes: Span<UInt8>, at start: Int) -> Bool {
        guard start >= 0, bytes.count &- start >= 8 else { return false }
        let beginning = JSONName(#"{"op":""#).mark.first
        let word = bytes.word(at: start, count: 8)
        return word << 8 == beginning << 8 && word >> 56 != UInt64(UInt8(ascii: "p"))
    }

    /// The length of `{"op":"publish",`.
    private static var beginningCount: Int { 16 }

    /// Whether the object begins with that text, as most publications do; if so, the text is consumed.
    @inline(__always)
    private static func isUsual(_ bytes: Span<UInt8>, at start: Int) -> Bool {
        guard start >= 0, bytes.count &- start >= beginningCount else { return false }
        return bytes.word(at: start, count: 8) == JSONName(#"{"op":"p"#).mark.first
            && bytes.word(at: start &+ 8, count: 8) == JSONName(#"ublish","#).mark.first
    }

    /// Reads the value of a member; returns `false` if a plain publication has no such member.
    @inline(__always)
    private mutating func take(
        _ member: Member, from scanner: inout JSONScanner, in bytes: Span<UInt8>
    ) throws(JSONError) -> Bool {
        switch member {
        case .topic:
            topic = try scanner.scanPlainValue()
            return topic.kind == .string && !topic.isEscaped
        case .data: data = try scanner.scanPlainValue()
        case .identifier:
            let value = try scanner.scanPlainValue()
            id = value
            return value.isIdentifier
        case .retain:
            guard let value = scanner.scanBool() else { return false }
            isRetained = value
        case .operation: return Self.isWord("publish", try scanner.scanValue(depth: 1), in: bytes)
        case .acknowledgement:
            let value = try scanner.scanValue(depth: 1)
            acknowledgement = Self.isWord("stored", value, in: bytes) ? .stored : .routed
            return acknowledgement == .stored || Self.isWord("routed", value, in: bytes)
        }
        return true
    }

    @inline(__always)
    private static func isWord(_ word: JSONName, _ value: JSONValue.Extent, in bytes: Span<UInt8>) -> Bool {
        value.kind == .string && !value.isEscaped && JSONName.Mark(bytes, value.inside) == word.mark
    }

    /// The client's `id` as it was written; `nil` if there is none.
    ///
    /// - Parameter bytes: the bytes that it was parsed from.
    func identifier(in bytes: Span<UInt8>) -> [UInt8]? {
        guard let id else { return nil }
        return JSONValue(bytes: bytes, extent: id).copyRawBytes()
    }

    /// The name of the topic, as UTF-8.
    ///
    /// - Parameter bytes: the bytes that it was parsed from.
    @_lifetime(copy bytes)
    package func topicName(in bytes: Span<UInt8>) -> Span<UInt8> { bytes.extracting(topic.inside) }

    /// The publication.
    ///
    /// One expression: a value that is built step by step is copied on its way.
    ///
    /// - Parameters:
    ///   - bytes: the bytes that it was parsed from.
    ///   - topic: the topic of that name.
    ///   - origin: the ``Client/id`` of the publisher.
    package func draft(
        of bytes: Span<UInt8>, to topic: Topic, origin: UInt64 = 0,
        completion: ((Result<Receipt, Refusal>) -> Void)? = nil
    ) -> Draft {
        Draft(
            message(of: bytes, to: topic, origin: origin),
            acknowledgement: acknowledgement ?? (isRetained ? .stored : .routed), completion: completion)
    }

    @inline(__always)
    private func message(of bytes: Span<UInt8>, to topic: Topic, origin: UInt64) -> Message {
        if data.kind == .string, data.isEscaped {
            let text = JSONValue(bytes: bytes, extent: data).stringBytes ?? []
            return Message(
                topic: topic, payload: text, kind: .text, isRetained: isRetained, seq: 0, time: 0, origin: origin)
        }
        let isText = data.kind == .string
        return Message(
            topic: topic, payload: bytes.extracting(isText ? data.inside : data.range), kind: isText ? .text : .json,
            isRetained: isRetained, seq: 0, time: 0, origin: origin)
    }
}
