/// A moment, to the nanosecond: the ext of type -1.
///
/// Foundation's `Date` is encoded as a timestamp, and decoded from one. Any thread.
public struct MessagePackTimestamp: Hashable, Sendable, Codable {
    /// Whole seconds since 1970 in UTC, rounded down.
    public var seconds: Int64
    /// The nanoseconds to add, 0 to 999,999,999.
    public var nanoseconds: UInt32

    /// The type of the ext: -1.
    public static let type: Int8 = -1

    /// Creates a timestamp.
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Creates a timestamp from an ext; `nil` if that is not a timestamp, or its nanoseconds are a second or more.
    public init?(_ extended: MessagePackExtension) {
        guard extended.type == Self.type else { return nil }
        self.init(extended.bytes[...])
    }

    /// The 4, 8 or 12 bytes of its three forms.
    private init?(_ bytes: ArraySlice<UInt8>) {
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: self.init(seconds: Int64(number(bytes)))
        case 8:
            let word = number(bytes)
            self.init(seconds: Int64(word & 0x3_FFFF_FFFF), nanoseconds: UInt32(word >> 34))
        case 12:
            self.init(
                seconds: Int64(bitPattern: number(bytes.dropFirst(4))), nanoseconds: UInt32(number(bytes.prefix(4))))
        default: return nil
        }
        guard nanoseconds < 1_000_000_000 else { return nil }
    }

    /// The timestamp as an ext, in the smallest of the three forms.
    public var asExtension: MessagePackExtension {
        func bytes(_ word: some FixedWidthInteger) -> [UInt8] {
            stride(from: word.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
        let content: [UInt8]
        if nanoseconds == 0, let seconds = UInt32(exactly: seconds) {
            content = bytes(seconds)
        } else if seconds >= 0, seconds >> 34 == 0 {
            content = bytes(UInt64(nanoseconds) << 34 | UInt64(seconds))
        } else {
            content = bytes(nanoseconds) + bytes(seconds)
        }
        return MessagePackExtension(type: Self.type, bytes: content)
    }
}

extension MessagePackTimestamp: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        guard nanoseconds < 1_000_000_000 else {
            throw MessagePackFault("\(nanoseconds) nanoseconds of a timestamp are a second or more.")
        }
        try asExtension.write(to: &writer, levels: levels)
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> MessagePackTimestamp? {
        guard case .extended(type) = item.header.kind else { throw item.mismatch("a timestamp") }
        guard let timestamp = MessagePackTimestamp(item.content) else { throw item.misfit(Self.self) }
        return timestamp
    }
}

/// A MessagePack ext: bytes with a type that sender and receiver have agreed on.
///
/// Any thread.
public struct MessagePackExtension: Hashable, Sendable, Codable {
    /// The type: 0 and above are for applications, negative ones for the format, such as -1 for a
    /// ``MessagePackTimestamp``.
    public var type: Int8
    /// The content.
    public var bytes: [UInt8]

    /// Creates an ext.
    public init(type: Int8, bytes: [UInt8]) {
        self.type = type
        self.bytes = bytes
    }
}

extension MessagePackExtension: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        try writer.write(extension: type, bytes)
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> MessagePackExtension? {
        guard case .extended(let type) = item.header.kind else { throw item.mismatch("an ext") }
        return MessagePackExtension(type: type, bytes: Array(item.content))
    }
}
