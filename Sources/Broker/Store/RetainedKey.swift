internal import WSTransport

// The layout of the keys in the database `retained`.
//
// A key is the topic's UTF-8 with every `/` replaced by 0x00, a byte no topic contains. As 0x00 is below every other
// byte of a topic, keys are ordered level by level, and a topic is followed at once by everything below it:
//
//     a   a/b   a/b/c   a!   a!/b   ab            (as plain text, `a!` would stand between `a` and `a/b`)
//
// So the subtree of `a` is the range from `a` up to, not including, `a` 0x01, and the next value of a level after `a`
// is at or after `a` 0x01. `SkipScan` relies on that.
//
// LMDB's keys end at 511 bytes, and the database `expiry` puts eight bytes in front, so a topic longer than 500 bytes
// has the key `first 480 bytes, 0xFF, SHA-1 of the topic`; its record holds the topic. 0xFF is in no UTF-8, so such
// keys cannot be mistaken for others, and they follow all plain keys with the same first 480 bytes. Among themselves
// they are in the hash's order: if 480 bytes do not tell topics apart, a scan looks at each. SHA-1 can be forged, so
// the topic in the record is compared, too: of two topics with one hash, the second is refused.

/// The key of a topic's retained value.
struct RetainedKey: Equatable {
    /// The longest topic that is completely in its key, in bytes.
    static let maximumPlainLength = 500
    /// How much of a longer topic is in its key, in bytes.
    static let prefixLength = 480
    /// The byte between that prefix and the hash.
    static let hashMark: UInt8 = 0xFF
    /// The byte that replaces `/`.
    static let separator: UInt8 = 0x00

    let bytes: [UInt8]

    init(_ topic: Topic) {
        var bytes = Array(topic.name.utf8)
        guard bytes.count > Self.maximumPlainLength else {
            for index in bytes.indices where bytes[index] == UInt8(ascii: "/") { bytes[index] = Self.separator }
            self.bytes = bytes
            return
        }
        let hash = SHA1.digest(of: bytes)
        bytes.removeSubrange(Self.prefixLength...)
        for index in bytes.indices where bytes[index] == UInt8(ascii: "/") { bytes[index] = Self.separator }
        bytes.append(Self.hashMark)
        bytes.append(contentsOf: hash)
        self.bytes = bytes
    }

    /// Whether the topic is too long for its key, and is in the record instead.
    static func isHashed(_ key: Span<UInt8>) -> Bool {
        key.count > prefixLength && key[prefixLength] == hashMark
    }

    /// The topic of a plain key; `nil` if it is not valid.
    static func plainTopic(_ key: Span<UInt8>) -> Topic? {
        var name: [UInt8] = []
        name.reserveCapacity(key.count)
        for index in key.indices {
            let byte = key[index]
            name.append(byte == separator ? UInt8(ascii: "/") : byte)
        }
        return storedTopic(name)
    }
}

/// Reads a stored topic, whatever the present limits.
func storedTopic(_ name: [UInt8]) -> Topic? {
    guard let name = String(validating: name, as: UTF8.self) else { return nil }
    return try? Topic(name, limits: .none)
}
