/// An ext: bytes of a type that its sender and receiver know.
///
/// Any thread.
public struct MessagePackExtension: Hashable, Sendable, Codable {
    /// 0 and above are for applications; below 0 for the format, such as -1, a ``MessagePackTimestamp``.
    public var type: Int8
    /// Its content.
    public var bytes: [UInt8]

    /// An ext made of these parts.
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
