import Testing

@testable import WSTransport

@Suite("PROXY protocol: the header a proxy sends first")
struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    /// A header of version 2.
    static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? body.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 0xFF)] + body
    }

    static let four: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 1, 0x15, 0x88, 0x01, 0xBB]
    static let six: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1] + [UInt8](repeating: 0, count: 15) + [1]
        + [0x15, 0x88, 0x01, 0xBB]
    static let mapped: [UInt8] =
        [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 7] + [UInt8](repeating: 0, count: 15) + [1]
        + [0x15, 0x88, 0x01, 0xBB]

    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        /// `nil` if the address of the socket stays.
        let source: String?
        var testDescription: String { name }
    }

    static let good: [Vector] = [
        Vector(
            name: "4", bytes: Array("PROXY TCP4 192.0.2.7 198.51.100.1 5512 443\r\n".utf8), source: "192.0.2.7:5512"),
        Vector(name: "6", bytes: Array("PROXY TCP6 2001:db8::1 ::1 5512 443\r\n".utf8), source: "[2001:db8::1]:5512"),
        Vector(
            name: "longest",
            bytes: Array(
                "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".replacingOccurrences().utf8),
            source: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        Vector(name: "unknown", bytes: Array("PROXY UNKNOWN\r\n".utf8), source: nil),
        Vector(name: "unknown, more", bytes: Array("PROXY UNKNOWN ffff::1 what ever\r\n".utf8), source: nil),
        Vector(
            name: "mapped line", bytes: Array("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".utf8), source: "192.0.2.7:1"),
        Vector(name: "binary 4", bytes: binary(0x21, 0x11, four), source: "192.0.2.7:5512"),
        Vector(name: "binary 6", bytes: binary(0x21, 0x21, six), source: "[2001:db8::1]:5512"),
        Vector(name: "binary, mapped", bytes: binary(0x21, 0x21, mapped), source: "192.0.2.7:5512"),
        Vector(
            name: "binary, TLVs", bytes: binary(0x21, 0x11, four + [3, 0, 4, 1, 2, 3, 4]), source: "192.0.2.7:5512"),
        Vector(
            name: "binary, at the limit", bytes: binary(0x21, 0x11, four + [UInt8](repeating: 4, count: 508)),
            source: "192.0.2.7:5512"),
        Vector(name: "binary, a path", bytes: binary(0x21, 0x31, [UInt8](repeating: 65, count: 216)), source: nil),
        Vector(name: "binary, unspecified", bytes: binary(0x21, 0x00, []), source: nil),
        Vector(name: "local", bytes: binary(0x20, 0x00, []), source: nil),
        Vector(name: "local with an address", bytes: binary(0x20, 0x11, four), source: nil),
        Vector(name: "local, unknown family", bytes: binary(0x20, 0xFF, [1, 2, 3]), source: nil),
    ]

    private static func parse(_ bytes: some Collection<UInt8>) throws(ProxyHeader.Mistake) -> ProxyHeader.Found? {
        var result: Result<ProxyHeader.Found?, ProxyHeader.Mistake> = .success(nil)
        Array(bytes).withUnsafeBytes { pointer in
            result = Result { () throws(ProxyHeader.Mistake) in try ProxyHeader.parse(pointer) }
        }
        return try result.get()
    }

    /// The whole header, the header with following bytes, and each prefix of it.
    @Test(arguments: good) func parses(vector: Vector) throws {
        for following in [[], Array("GET / HTTP/1.1\r\n".utf8), [22, 3, 1]] {
            let found = try #require(try Self.parse(vector.bytes + following))
            #expect(found.byteCount == vector.bytes.count)
            #expect(found.source?.description == vector.source)
        }
        for count in vector.bytes.indices { #expect(try Self.parse(vector.bytes.prefix(count)) == nil, "\(count)") }
    }

    static let bad: [Vector] =
        [
            "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 evil 1.2.3.4 1 2\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX", "\u{16}\u{3}\u{1}",
        ].map { Vector(name: $0, bytes: Array($0.utf8) + [10, 10], source: nil) } + [
            Vector(name: "UDP", bytes: binary(0x21, 0x12, four), source: nil),
            Vector(name: "another version", bytes: binary(0x11, 0x11, four), source: nil),
            Vector(name: "another command", bytes: binary(0x22, 0x11, four), source: nil),
            Vector(name: "no room for the addresses", bytes: binary(0x21, 0x21, four), source: nil),
            Vector(name: "another signature", bytes: [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 11], source: nil),
        ]

    @Test(arguments: bad) func refuses(vector: Vector) {
        #expect(throws: ProxyHeader.Mistake.malformed) { try Self.parse(vector.bytes) }
    }

    @Test func rejectsAnOversizedHeaderByItsLength() {
        #expect(throws: ProxyHeader.Mistake.tooLong) { try Self.parse(Self.binary(0x21, 0x11, [], length: 521)) }
        #expect(throws: ProxyHeader.Mistake.tooLong) { try Self.parse(Self.binary(0x21, 0x11, [], length: 2048)) }
        let line = Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 65, count: 93)
        #expect(throws: ProxyHeader.Mistake.tooLong) { try Self.parse(line) }
        #expect(throws: Never.self) { try Self.parse(line.dropLast()) }
    }
}

extension String {
    fileprivate func replacingOccurrences() -> String {
        let address = Array(repeating: "ffff", count: 8).joined(separator: ":")
        return split(separator: "ffff:f...f:ffff", omittingEmptySubsequences: false).joined(separator: address)
    }
}
