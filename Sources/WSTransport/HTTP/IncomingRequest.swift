/// A request's head, with its target parsed.
///
/// An object, because it has many readers, each of which would copy all of it.
package final class IncomingRequest: Sendable {
    package let head: HTTPRequestHead
    /// The path below the listener's prefix, as it was sent: percent-encoded, beginning with `/`.
    package let path: String
    /// The query's pairs, decoded and in order.
    package let query: [(name: String, value: String)]
    /// The client.
    package let peer: SocketAddress?
    /// Whether a proxy speaks for the client, perhaps with another address.
    package let isSpokenFor: Bool

    /// - Parameters:
    ///   - stated: the client that a proxy speaks for; `nil` if the peer is the client.
    ///   - peer: the peer of the connection.
    init(
        head: consuming HTTPRequestHead, path: String, query: [(name: String, value: String)], stated: SocketAddress?,
        peer: SocketAddress?
    ) {
        self.head = head
        self.path = path
        self.query = query
        self.peer = stated ?? peer
        isSpokenFor = stated != nil
    }

    package var method: String { head.method }

    /// The value of the first query parameter of that name; empty if it has no value, `nil` if it is absent.
    package func parameter(_ name: String) -> String? {
        query.isEmpty ? nil : query.first { $0.name == name }?.value
    }
}

/// A whole answer.
package struct OutgoingResponse: Sendable {
    package var status: Int
    package var fields: HeaderFields
    /// Further field lines as they are sent, each with its CRLF, for answers that are all alike.
    package var lines: [UInt8] = []
    package var body: [UInt8]
}

// In an extension, because the result of an initialiser in the structure itself is copied when it returns.
extension OutgoingResponse {
    package init(status: Int, fields: HeaderFields = HeaderFields(), body: [UInt8] = []) {
        self.init(status: status, fields: fields, lines: [], body: body)
    }

    package init(status: Int, lines: [UInt8], body: [UInt8]) {
        self.init(status: status, fields: HeaderFields(), lines: lines, body: body)
    }

    /// A text body.
    package init(status: Int = 200, contentType: String, text: String) {
        self.init(status: status, fields: ["Content-Type": contentType], body: Array(text.utf8))
    }
}

/// Assembles the bytes of an answer, in memory that has room for them.
///
/// Appending each part to an array would cost several times as much.
@safe struct AnswerWriter: ~Copyable {
    private let room: UnsafeMutableRawBufferPointer
    private var count = 0

    /// The maximum memory of an answer besides its fields, lines and body, in bytes: the status line, the length, the
    /// date and the `Connection` field.
    static var frame: Int { 256 }

    init(_ room: UnsafeMutableRawBufferPointer) { unsafe self.room = room }

    /// The written bytes.
    var written: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: room[..<count]) }

    @inline(__always)
    mutating func put(_ text: StaticString) {
        unsafe put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes the status line.
    mutating func put(status: Int) {
        if status == 200 { return put("HTTP/1.1 200 OK\r\n") }
        put("HTTP/1.1 ")
        put(decimal: status)
        put(" ")
        put(HTTPStatus.reason(status))
        put("\r\n")
    }

    mutating func put(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe put($0) } }

    mutating func put(_ fields: HeaderFields) {
        let size = fields.isEmpty ? 0 : fields.writtenCount
        guard unsafe size > 0 && size <= room.count &- count else { return }
        unsafe fields.write(into: UnsafeMutableRawBufferPointer(rebasing: room[count..<count &+ size]))
        count &+= size
    }

    /// Writes a number that is not negative, in decimal.
    mutating func put(decimal number: Int) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (first, rest) = (20, number.magnitude)
        repeat {
            let (tens, digit) = rest.quotientAndRemainder(dividingBy: 10)
            first &-= 1
            digits[first] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
            rest = tens
        } while rest > 0
        unsafe digits.span.extracting(first..<20).withUnsafeBytes { unsafe put($0) }
    }

    @inline(__always)
    private mutating func put(_ bytes: UnsafeRawBufferPointer) {
        // The first is always so, as the caller has given it room.
        guard unsafe bytes.count <= room.count &- count, let from = bytes.baseAddress, let to = unsafe room.baseAddress
        else { return }
        unsafe (to + count).copyMemory(from: from, byteCount: bytes.count)
        count &+= bytes.count
    }
}

/// The reason phrases of RFC 9110 §15 that this server uses.
package enum HTTPStatus {
    package static func reason(_ status: Int) -> StaticString {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 207: "Multi-Status"
        case 300: "Multiple Choices"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        default: "Status"
        }
    }
}

extension HTTPParseError {
    /// A sentence for people.
    package var message: String {
        switch self {
        case .badRequest(let what): what
        case .headTooLarge:
            "The request's head is larger than the limit, or has more than \(HTTPHeadParser.maximumFieldCount) fields."
        case .targetTooLong: "The request line is longer than the limit."
        case .codingNotSupported(let what): what
        case .versionNotSupported: "Only HTTP/1.1 and HTTP/1.0 are spoken here."
        }
    }
}
