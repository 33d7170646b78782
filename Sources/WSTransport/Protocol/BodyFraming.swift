/// How a request's body ends (RFC 9112 §6).
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
    /// coding; a coding other than `chunked`, also before it; one that is named twice; and one in HTTP/1.0.
    package static func of(_ head: HTTPRequestHead) throws(HTTPParseError) -> BodyFraming {
        let fields = head.fields
        guard !fields.has(.transferEncoding) else {
            guard head.versionMinor >= 1 else { throw .badRequest("Transfer-Encoding in HTTP/1.0") }
            guard !fields.has(.contentLength) else { throw .badRequest("Transfer-Encoding beside Content-Length") }
            try checkCodings(fields.only(.transferEncoding))
            return .chunked
        }
        guard fields.has(.contentLength) else { return .none }
        // §6.3 would allow the same length again, but two lengths show that a message was combined from two.
        guard fields.count(of: .contentLength) == 1 else { throw .badRequest("Content-Length: two lengths") }
        let count = try number(fields.bytes(ofFirst: .contentLength))
        return count == 0 ? .none : .length(count)
    }

    /// Checks that chunks are the only coding.
    ///
    /// - Parameter value: the only line's; `nil` if there are several.
    private static func checkCodings(_ value: String?) throws(HTTPParseError) {
        guard let value else { throw .badRequest("Transfer-Encoding: two lines") }
        if value.isSameIgnoringCase("chunked") { return }
        let codings = value.lowercased().filter { $0 != " " && $0 != "\t" }
            .split(separator: ",", omittingEmptySubsequences: false)
        // §6.3: without chunks at the end, nobody knows where the body ends; §7.1: chunks come only once.
        guard codings.count > 1, codings.last == "chunked", codings.count(where: { $0.hasPrefix("chunked") }) == 1,
            !codings.contains("")
        else { throw .badRequest("Transfer-Encoding other than chunked") }
        throw .codingNotSupported("Transfer-Encoding: no coding but chunked is supported")
    }

    private static func number(_ digits: Span<UInt8>) throws(HTTPParseError) -> Int {
        guard !digits.isEmpty else { throw .badRequest("Content-Length: not a number") }
        for index in digits.indices where !digits[index].isDigit { throw .badRequest("Content-Length: not a number") }
        var value = 0
        for index in digits.indices {
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isAlso) = tens.addingReportingOverflow(Int(digits[index] &- 0x30))
            guard !isTooLarge, !isAlso else { throw .badRequest("Content-Length: too large") }
            value = sum
        }
        return value
    }
}
