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
