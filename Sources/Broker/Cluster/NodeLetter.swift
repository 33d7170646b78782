/// A message from one broker of a cluster to another: a request, or its answer.
///
/// Version (1 byte), kind, the number of the request and the sender (8 bytes each, big-endian), then the content.
struct NodeLetter: Equatable, Sendable {
    /// The kind of a letter.
    enum Kind: UInt8, Sendable {
        case question = 1
        case answer = 2
    }

    let kind: Kind
    /// The number of the request, unique for its sender.
    let number: UInt64
    let sender: UInt64
    let content: [UInt8]

    private static let version: UInt8 = 1
    private static let headLength = 18

    init(_ kind: Kind, _ number: UInt64, from sender: UInt64, _ content: [UInt8]) {
        (self.kind, self.number, self.sender, self.content) = (kind, number, sender, content)
    }

    /// Parses a letter; `nil` if the bytes are not one, or if it has a later version.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headLength, bytes[0] == Self.version, let kind = Kind(rawValue: bytes[1]) else {
            return nil
        }
        func number(at offset: Int) -> UInt64 { bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(kind, number(at: 2), from: number(at: 10), Array(bytes[Self.headLength...]))
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = [Self.version, kind.rawValue]
        bytes.appendBigEndian(number)
        bytes.appendBigEndian(sender)
        return bytes + content
    }
}
