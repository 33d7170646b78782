/// An ext: bytes of a type that is known to those who send and read it.
///
/// Any thread.
public struct MessagePackExtension: Hashable, Sendable, Codable {
    /// 0 and above are the application's own; below 0 the format's, such as -1, a ``MessagePackTimestamp``.
    public var type: Int8
    /// Its content.
    public var bytes: [UInt8]

    /// An ext of these parts.
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
