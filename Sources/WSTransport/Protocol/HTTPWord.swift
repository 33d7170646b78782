internal import CSIMD

/// A field name or token written in the source, of letters, digits and hyphens, which is found without making a string.
///
/// Upper and lower case are the same.
package struct HTTPWord: Sendable {
    private let text: StaticString
    /// Its length, and its first and last letters, to distinguish it quickly from most others.
    let mark: UInt32
    /// Its number among the names that are looked up most; ``HeaderFields`` finds those without a search.
    let number: Int32
    /// The bit that lower-case letters have set; digits and hyphens have it set, too.
    private static var smallBits: UInt64 { 0x2020_2020_2020_2020 }

    @inline(__always)
    package init(_ text: StaticString) { self.init(text, head_other) }

    @inline(__always)
    private init(_ text: StaticString, _ number: Int) {
        self.text = text
        self.number = Int32(truncatingIfNeeded: number)
        let count = text.utf8CodeUnitCount
        mark = unsafe Self.mark(count, text.utf8Start[0], text.utf8Start[count &- 1])
    }

    /// The mark of a name with this length, first and last byte.
    @inline(__always)
    static func mark(_ count: Int, _ first: UInt8, _ last: UInt8) -> UInt32 {
        head_mark(count, first, last)
    }

    /// Whether the bytes of `range` are this word.
    ///
    /// Bytes that differ only in the lower-case bit count as the same letter. Besides letters, only control characters
    /// differ in that bit from a digit or a hyphen, and a field has none.
    @inline(__always)
    func isWritten(in bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let count = text.utf8CodeUnitCount
        guard range.count == count, range.lowerBound >= 0, range.upperBound <= bytes.count else { return false }
        let (own, start) = unsafe (UnsafeRawPointer(text.utf8Start), range.lowerBound)
        let raw = unsafe bytes.bytes
        var index = 0
        if count >= 8 {
            while index < count {
                // The last comparison overlaps, so that it ends with the text.
                let place = min(index, count &- 8)
                let one = unsafe raw.unsafeLoadUnaligned(fromByteOffset: start &+ place, as: UInt64.self)
                let other = unsafe own.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                guard (one ^ other) & ~Self.smallBits == 0 else { return false }
                index &+= 8
            }
            return true
        }
        while index < count {
            let other = unsafe own.load(fromByteOffset: index, as: UInt8.self)
            guard bytes[start &+ index] | 0x20 == other | 0x20 else { return false }
            index &+= 1
        }
        return true
    }
}

extension HTTPWord {
    package static var authorization: HTTPWord { HTTPWord("Authorization", head_authorization) }
    package static var connection: HTTPWord { HTTPWord("Connection", head_connection) }
    package static var contentEncoding: HTTPWord { HTTPWord("Content-Encoding", head_content_encoding) }
    package static var contentLength: HTTPWord { HTTPWord("Content-Length", head_content_length) }
    package static var contentType: HTTPWord { HTTPWord("Content-Type", head_content_type) }
    package static var cookie: HTTPWord { HTTPWord("Cookie", head_cookie) }
    package static var expect: HTTPWord { HTTPWord("Expect", head_expect) }
    package static var host: HTTPWord { HTTPWord("Host", head_host) }
    package static var origin: HTTPWord { HTTPWord("Origin", head_origin) }
    package static var transferEncoding: HTTPWord { HTTPWord("Transfer-Encoding", head_transfer_encoding) }
    package static var upgrade: HTTPWord { HTTPWord("Upgrade", head_upgrade) }
    package static var webSocketExtensions: HTTPWord { HTTPWord("Sec-WebSocket-Extensions", head_websocket_extensions) }
    package static var webSocketKey: HTTPWord { HTTPWord("Sec-WebSocket-Key", head_websocket_key) }
    package static var webSocketProtocol: HTTPWord { HTTPWord("Sec-WebSocket-Protocol", head_websocket_protocol) }
    package static var webSocketVersion: HTTPWord { HTTPWord("Sec-WebSocket-Version", head_websocket_version) }
}
