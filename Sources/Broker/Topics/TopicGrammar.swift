/// The grammar that topics and filters share: one pass over the bytes finds any violation.
enum TopicGrammar {
    static let slash = UInt8(ascii: "/")
    static let plus = UInt8(ascii: "+")
    static let hash = UInt8(ascii: "#")
    static let dollar = UInt8(ascii: "$")

    /// Checks the bytes of a topic's name, which must be valid UTF-8.
    static func checkTopic(_ bytes: Span<UInt8>, limits: TopicLimits) throws(TopicError) {
        try checkLength(bytes.count, limits: limits)
        var levels = 1
        if let slashes = slashesOfPlain(bytes) { return try checkLevels(slashes + 1, limits: limits) }
        for offset in bytes.indices {
            let byte = bytes[offset]
            if byte == slash {
                levels += 1
            } else if byte == plus || byte == hash {
                throw .wildcard(Unicode.Scalar(byte), offset: offset)
            } else {
                try checkControl(byte, at: offset, of: bytes)
            }
        }
        try checkLevels(levels, limits: limits)
    }

    /// The number of slashes, if there is nothing but printable ASCII without wildcards, eight bytes at a time;
    /// otherwise `nil`.
    private static func slashesOfPlain(_ bytes: Span<UInt8>) -> Int? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var slashes = 0
        var offset = 0
        while offset < bytes.count {
            let count = min(8, bytes.count &- offset)
            // Pad with spaces after the last byte.
            let word = bytes.word(at: offset, count: count) | (ones &* 0x20) << UInt64(count * 8)
            // Each term sets the high bit of the bytes that qualify; and perhaps of bytes above such a byte.
            let control = (word &- ones &* 0x20) | ((word ^ ones &* 0x7F) &- ones)
            let wildcard = ((word ^ ones &* UInt64(plus)) &- ones) | ((word ^ ones &* UInt64(hash)) &- ones)
            guard (word | control | wildcard) & highs == 0 else { return nil }
            // For ASCII, the sum sets the high bit of each byte that is not a slash.
            let others = (word ^ ones &* UInt64(slash)) &+ ones &* 0x7F
            slashes &+= Int(truncatingIfNeeded: ((~others & highs) &>> 7 &* ones) &>> 56)
            offset &+= 8
        }
        return slashes
    }

    /// Checks the bytes of a filter's name, which must be valid UTF-8; returns whether it has no wildcards.
    static func checkFilter(_ bytes: Span<UInt8>, limits: TopicLimits) throws(TopicError) -> Bool {
        try checkLength(bytes.count, limits: limits)
        var levels = 1
        var wildcards = 0
        var isLiteral = true
        for offset in bytes.indices {
            let byte = bytes[offset]
            if byte == slash {
                levels += 1
            } else if byte == plus || byte == hash {
                isLiteral = false
                if byte == plus { wildcards += 1 }
                // MQTT-4.7.1-1, MQTT-4.7.1-2.
                let beginsLevel = offset == 0 || bytes[offset - 1] == slash
                let isLast = offset + 1 == bytes.count
                let endsLevel = isLast || (byte == plus && bytes[offset + 1] == slash)
                guard beginsLevel, endsLevel else {
                    throw .misplacedWildcard(Unicode.Scalar(byte), level: levels)
                }
            } else {
                try checkControl(byte, at: offset, of: bytes)
            }
        }
        try checkLevels(levels, limits: limits)
        guard wildcards <= limits.maximumWildcards else {
            throw .tooManyWildcards(wildcards, maximum: limits.maximumWildcards)
        }
        if bytes[0] == dollar, !limits.allowsShared, beginsShared(bytes) { throw .shared }
        return isLiteral
    }

    private static func beginsShared(_ bytes: Span<UInt8>) -> Bool {
        let prefix = "$share".utf8Span.span
        guard bytes.count >= prefix.count, bytes.extracting(first: prefix.count).hasSameBytes(as: prefix) else {
            return false
        }
        return bytes.count == prefix.count || bytes[prefix.count] == slash
    }

    private static func checkLength(_ count: Int, limits: TopicLimits) throws(TopicError) {
        // MQTT-4.7.3-1.
        guard count > 0 else { throw .empty }
        guard count <= limits.maximumBytes else { throw .tooLong(bytes: count, maximum: limits.maximumBytes) }
    }

    private static func checkLevels(_ levels: Int, limits: TopicLimits) throws(TopicError) {
        guard levels <= limits.maximumLevels else { throw .tooManyLevels(levels, maximum: limits.maximumLevels) }
    }

    @inline(__always)
    private static func checkControl(_ byte: UInt8, at offset: Int, of bytes: Span<UInt8>) throws(TopicError) {
        if byte < 0x20 || byte == 0x7F {
            throw .controlCharacter(Unicode.Scalar(byte), offset: offset)
        }
        // U+0080 to U+009F are the two bytes C2 80 to C2 9F.
        if byte == 0xC2, offset + 1 < bytes.count, bytes[offset + 1] < 0xA0 {
            throw .controlCharacter(Unicode.Scalar(bytes[offset + 1]), offset: offset)
        }
    }

    /// Makes a string from unchecked bytes.
    static func decode(_ bytes: Span<UInt8>, limits: TopicLimits) throws(TopicError) -> String {
        // Checked before decoding, to bound its cost.
        try checkLength(bytes.count, limits: limits)
        let name = unsafe bytes.withUnsafeBufferPointer { unsafe String(validating: $0, as: UTF8.self) }
        guard let name else { throw .notUTF8 }
        return name
    }

    /// Splits at slashes; works on bytes, because to `String` a slash with a combining mark is another character.
    static func levels(of name: String) -> [Substring] {
        name.utf8.split(separator: slash, omittingEmptySubsequences: false).map(Substring.init)
    }
}

extension Hasher {
    /// Feeds bytes without a terminator.
    mutating func combine(bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
