/// Heads of HTTP/1.1, read strictly: what two readers could understand in two ways is refused (RFC 9112).
///
/// Line ends are CRLF, a field is one line, and neither a control character nor a byte beyond ASCII stands where the
/// grammar has none, so nothing gets past a proxy in front in another shape than it has here.
package enum HTTPHeadParser {
    /// The most field lines a head may have.
    package static let maximumFieldCount = 128

    /// Reads a request's head from the start of `input`.
    ///
    /// Returns the head and its length, in bytes, or `nil` until more bytes come; then call it again with all bytes
    /// from the start. `maximumHeadSize`, in bytes, holds for the head with its empty line.
    package static func parse(
        _ input: UnsafeRawBufferPointer, maximumHeadSize: Int
    ) throws(HTTPParseError) -> (head: HTTPRequestHead, byteCount: Int)? {
        // RFC 9112 §2.2: one empty line before a request is tolerated.
        let start = unsafe input.starts(with: "\r\n".utf8) ? 2 : 0
        guard let end = try unsafe endOfHead(input, from: start, maximumHeadSize: maximumHeadSize) else { return nil }
        var lines = unsafe HTTPHeadLines(input, start..<end)
        return (try requestHead(&lines), end)
    }

    /// Reads a response's head from the start of `input`, as ``parse(_:maximumHeadSize:)`` a request's.
    package static func parseResponse(
        _ input: UnsafeRawBufferPointer, maximumHeadSize: Int
    ) throws(HTTPParseError) -> (head: HTTPResponseHead, byteCount: Int)? {
        guard let end = try unsafe endOfHead(input, from: 0, maximumHeadSize: maximumHeadSize) else { return nil }
        var lines = unsafe HTTPHeadLines(input, 0..<end)
        return (try responseHead(&lines), end)
    }

    /// The offset after the empty line that ends the head, `nil` where it has not come yet.
    private static func endOfHead(
        _ input: UnsafeRawBufferPointer, from start: Int, maximumHeadSize: Int
    ) throws(HTTPParseError) -> Int? {
        let limit = min(input.count, maximumHeadSize)
        var lineStart = start
        var index = start
        while index < limit {
            let byte = unsafe input[index]
            if byte == .carriageReturn {
                guard index + 1 < limit else { break }
                guard unsafe input[index + 1] == .lineFeed else { throw .badRequest("CR without LF at byte \(index)") }
                index += 2
                if index == lineStart + 2 { return index }
                lineStart = index
            } else {
                guard byte != .lineFeed else { throw .badRequest("LF without CR at byte \(index)") }
                guard byte.isFieldCharacter else { throw .badRequest("control character at byte \(index)") }
                index += 1
            }
        }
        guard input.count < maximumHeadSize else { throw lineStart == start ? .targetTooLong : .headTooLarge }
        return nil
    }

    private static func requestHead(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HTTPRequestHead {
        let line = lines.next() ?? []
        let parts = line.split(separator: .space, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .badRequest("request line: not METHOD TARGET VERSION") }
        guard !parts[0].isEmpty, parts[0].allSatisfy(\.isTokenCharacter) else {
            throw .badRequest("request line: method")
        }
        // A target is a URI without fragment; those are of visible ASCII only.
        guard parts[1].allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .badRequest("request line: target")
        }
        let versionMinor = try version(parts[2])
        let method = text(parts[0])
        let target = text(parts[1])
        let fields = try fields(&lines)
        let host = try host(fields, versionMinor: versionMinor)
        let pathStart = try startOfPath(of: target, method: method, host: host)
        return HTTPRequestHead(
            method: method, target: target, versionMinor: versionMinor, fields: fields, pathStart: pathStart)
    }

    /// §4: `HTTP/1.1 101 Switching Protocols`, whose reason may be absent.
    private static func responseHead(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HTTPResponseHead {
        let line = lines.next() ?? []
        let parts = line.split(separator: .space, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { throw .badRequest("status line") }
        let versionMinor = try version(parts[0])
        guard parts[1].count == 3, parts[1].allSatisfy(\.isDigit) else { throw .badRequest("status line: status") }
        let status = parts[1].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard status >= 100 else { throw .badRequest("status line: status") }
        let reason = parts.count == 3 ? text(parts[2]) : ""
        return HTTPResponseHead(
            status: status, reason: reason, versionMinor: versionMinor, fields: try fields(&lines))
    }

    /// §2.3: `HTTP/1.0` or `HTTP/1.1`.
    private static func version(_ bytes: ArraySlice<UInt8>) throws(HTTPParseError) -> Int {
        if bytes.elementsEqual("HTTP/1.1".utf8) { return 1 }
        if bytes.elementsEqual("HTTP/1.0".utf8) { return 0 }
        let digits = bytes.dropFirst(5)
        guard bytes.starts(with: "HTTP/".utf8), digits.count == 3, digits[digits.startIndex].isDigit,
            digits[digits.startIndex + 1] == UInt8(ascii: "."), digits[digits.startIndex + 2].isDigit
        else { throw .badRequest("version") }
        throw .versionNotSupported
    }

    private static func fields(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HTTPFields {
        var fields = HTTPFields()
        while let line = lines.next() {
            let number = fields.count + 1
            guard number <= maximumFieldCount else { throw .headTooLarge }
            guard line.first != .space, line.first != .tab else {
                throw .badRequest("field \(number): begins with white space")
            }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw .badRequest("field \(number): no colon")
            }
            let name = line[..<colon]
            guard !name.isEmpty, name.allSatisfy(\.isTokenCharacter) else {
                throw .badRequest("field \(number): name")
            }
            fields.append(text(name), text(line[(colon + 1)...].trimmingWhitespace()))
        }
        return fields
    }

    /// §3.2: one Host in HTTP/1.1, and never two.
    private static func host(_ fields: HTTPFields, versionMinor: Int) throws(HTTPParseError) -> String? {
        let hosts = fields.all("Host")
        guard hosts.count <= 1 else { throw .badRequest("more than one Host") }
        guard let host = hosts.first else {
            guard versionMinor == 0 else { throw .badRequest("no Host") }
            return nil
        }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"\"#,/<>?@\\^`{|}".utf8.contains($0) }) else {
            throw .badRequest("Host")
        }
        guard isHostAndPort(host.utf8[...]) else { throw .badRequest("Host") }
        return host
    }

    /// RFC 9110 §7.2: a name or an address, IPv6 in brackets, then perhaps a port.
    private static func isHostAndPort(_ text: Substring.UTF8View) -> Bool {
        var rest = text
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return false }
            guard rest[..<end].dropFirst().allSatisfy({ $0.hexadecimalValue != nil || ":.".utf8.contains($0) }) else {
                return false
            }
            rest = rest[rest.index(after: end)...]
        } else {
            rest = rest.drop { $0 != UInt8(ascii: ":") && !"[]".utf8.contains($0) }
        }
        return rest.isEmpty || (rest.first == UInt8(ascii: ":") && rest.dropFirst().allSatisfy(\.isDigit))
    }

    /// §3.2: a path, a whole URI whose authority is the Host's, or `*` for OPTIONS.
    private static func startOfPath(
        of target: String, method: String, host: String?
    ) throws(HTTPParseError) -> String.Index {
        if target.utf8.first == UInt8(ascii: "/") || (target == "*" && method == "OPTIONS") { return target.startIndex }
        let schemes = ["http://", "https://", "ws://", "wss://"]
        guard let scheme = schemes.first(where: { target.prefix($0.utf8.count).isSameIgnoringCase($0) }) else {
            throw .badRequest("request line: target")
        }
        let rest = target.dropFirst(scheme.utf8.count)
        let end = rest.utf8.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.isEmpty, host == nil || host?.isSameIgnoringCase(authority) == true else {
            throw .badRequest("target and Host differ")
        }
        return end
    }

    /// UTF-8 as it is; other bytes beyond ASCII, which HTTP leaves open, as Latin-1.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return String(scalars)
    }
}

/// The lines of a head that is known to be whole, without their CRLF, up to the empty one.
private struct HTTPHeadLines {
    private var rest: ArraySlice<UInt8>

    init(_ input: UnsafeRawBufferPointer, _ range: Range<Int>) {
        rest = unsafe ArraySlice(UnsafeRawBufferPointer(rebasing: input[range]))
    }

    mutating func next() -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(of: .carriageReturn), end > rest.startIndex else { return nil }
        defer { rest = rest[(end + 2)...] }
        return rest[..<end]
    }
}
