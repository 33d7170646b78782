/// What a proxy sends first about the client that it connects for: HAProxy's PROXY protocol, versions 1 and 2.
///
/// Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
package enum ProxyHeader {
    /// Why bytes are not a header.
    package enum Mistake: Error, Equatable, Sendable {
        case malformed
        /// It is longer than ``maximumLength``.
        case tooLong
    }

    /// A header, and its length in bytes.
    package struct Found: Equatable, Sendable {
        /// The client; `nil` if the proxy connects for itself, or does not know.
        package let source: SocketAddress?
        package let byteCount: Int
    }

    /// The maximum length of a header, including the bytes that are skipped.
    package static let maximumLength = 536
    /// The maximum length of a line of version 1, including its end.
    private static let maximumLine = 107

    private static let word = Array("PROXY ".utf8)
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    /// Reads the header at the start of `bytes`; `nil` if more bytes are needed.
    package static func parse(_ bytes: UnsafeRawBufferPointer) throws(Mistake) -> Found? {
        guard let first = unsafe bytes.first else { return nil }
        return first == word[0] ? try unsafe parseLine(bytes) : try unsafe parseBinary(bytes)
    }

    /// Whether `bytes` begin with `start`, as far as they go.
    private static func agree(_ bytes: UnsafeRawBufferPointer, with start: [UInt8]) -> Bool {
        unsafe zip(bytes, start).allSatisfy { $0 == $1 }
    }

    // MARK: Version 1

    private static func parseLine(_ bytes: UnsafeRawBufferPointer) throws(Mistake) -> Found? {
        guard unsafe agree(bytes, with: word) else { throw .malformed }
        let window = unsafe bytes.prefix(maximumLine)
        guard let end = unsafe window.firstIndex(of: 13) else {
            if bytes.count >= maximumLine { throw .tooLong }
            return nil
        }
        guard end + 2 <= maximumLine else { throw .tooLong }
        guard end + 1 < bytes.count else { return nil }
        guard unsafe bytes[end + 1] == 10 else { throw .malformed }
        let text = unsafe String(decoding: bytes[..<end], as: UTF8.self)
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 2 else { throw .malformed }
        // The rest of the line must be ignored.
        if words[1] == "UNKNOWN" { return Found(source: nil, byteCount: end + 2) }
        guard words.count == 6, ["TCP4", "TCP6"].contains(words[1]) else { throw .malformed }
        let isFour = words[1] == "TCP4"
        guard let source = address(words[2], words[4], isFour: isFour),
            address(words[3], words[5], isFour: isFour) != nil
        else { throw .malformed }
        return Found(source: source, byteCount: end + 2)
    }

    private static func address(_ host: Substring, _ port: Substring, isFour: Bool) -> SocketAddress? {
        guard 1...5 ~= port.utf8.count, port.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = UInt16(port),
            host.utf8.contains(UInt8(ascii: ":")) != isFour
        else { return nil }
        return SocketAddress(host: String(host), port: port)?.unmapped
    }

    // MARK: Version 2

    private static func parseBinary(_ bytes: UnsafeRawBufferPointer) throws(Mistake) -> Found? {
        guard unsafe agree(bytes, with: signature) else { throw .malformed }
        let begin = signature.count
        guard bytes.count > begin else { return nil }
        let command = unsafe bytes[begin]
        guard command == 0x20 || command == 0x21 else { throw .malformed }
        guard bytes.count > begin + 1 else { return nil }
        let family = unsafe bytes[begin + 1]
        // If the proxy connects for itself, the family may be anything.
        let least: Int
        switch family {
        case 0x00: least = 0
        case 0x11: least = 12
        case 0x21: least = 36
        case 0x31: least = 216
        default:
            // Datagrams cannot arrive by a stream.
            guard command == 0x20 else { throw .malformed }
            least = 0
        }
        guard bytes.count >= begin + 4 else { return nil }
        let length = unsafe Int(bytes[begin + 2]) << 8 | Int(bytes[begin + 3])
        let whole = begin + 4 + length
        guard whole <= maximumLength else { throw .tooLong }
        guard command == 0x20 || length >= least else { throw .malformed }
        guard bytes.count >= whole else { return nil }
        guard command == 0x21 else { return Found(source: nil, byteCount: whole) }
        let body = unsafe UnsafeRawBufferPointer(rebasing: bytes[(begin + 4)..<whole])
        // Anything after the addresses (TLVs) is skipped.
        let source: SocketAddress? =
            switch family {
            case 0x11:
                unsafe SocketAddress(four: body.loadUnaligned(as: UInt32.self), port: port(body, at: 8))
            case 0x21:
                unsafe SocketAddress(
                    six: (
                        body.loadUnaligned(as: UInt64.self), body.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                    ), port: port(body, at: 32)
                ).unmapped
            default: nil
            }
        return Found(source: source, byteCount: whole)
    }

    private static func port(_ body: UnsafeRawBufferPointer, at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafe body.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}
