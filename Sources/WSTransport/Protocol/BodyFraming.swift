/// Where a request's body ends (RFC 9112 §6).
package enum BodyFraming: Equatable, Sendable {
    /// There is no body, or an empty one: the next byte belongs to the next request.
    case none
    /// A body of this many bytes, at least one.
    case length(Int)
    /// A body in chunks, for ``ChunkedDecoder``.
    case chunked

    /// The framing of `head`'s body.
    ///
    /// Refuses what request smuggling relies on: two lengths, even equal ones; a length together with a transfer
    /// coding; a coding other than `chunked`; one that is named twice; and one in HTTP/1.0.
    package static func of(_ head: HTTPRequestHead) throws(HTTPParseError) -> BodyFraming {
        let codings = head.fields.all("Transfer-Encoding")
        let lengths = head.fields.all("Content-Length")
        guard codings.isEmpty else {
            guard head.versionMinor >= 1 else { throw .badRequest("Transfer-Encoding in HTTP/1.0") }
            guard lengths.isEmpty else { throw .badRequest("Transfer-Encoding beside Content-Length") }
            guard codings.count == 1, codings[0].isSameIgnoringCase("chunked") else {
                throw .badRequest("Transfer-Encoding other than chunked")
            }
            return .chunked
        }
        guard let first = lengths.first else { return .none }
        // §6.3 would allow the same length again, but two lengths show that a message was put together from two.
        guard lengths.count == 1 else { throw .badRequest("Content-Length: two lengths") }
        let length = try number(first.utf8[...])
        return length == 0 ? .none : .length(length)
    }

    private static func number(_ digits: Substring.UTF8View) throws(HTTPParseError) -> Int {
        guard !digits.isEmpty, digits.allSatisfy(\.isDigit) else { throw .badRequest("Content-Length: not a number") }
        guard let value = Int(Substring(digits)) else { throw .badRequest("Content-Length: too large") }
        return value
    }
}
