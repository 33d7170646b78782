internal import CSIMD

/// Parses heads of HTTP/1.1 strictly: anything that two parsers could understand differently is refused (RFC 9112).
///
/// Line ends are CRLF, a field is one line, and control characters and bytes beyond ASCII are refused wherever the
/// grammar has none. So a proxy in front cannot have read the head differently.
package enum HTTPHeadParser {
    /// The maximum number of field lines in a head.
    package static let maximumFieldCount = 250

    /// Parses a request's head at the start of `input`.
    ///
    /// Returns the head and its length, in bytes, or `nil` if more bytes are needed; then call it again with all bytes
    /// from the start. `maximumHeadSize`, in bytes, applies to the head with its empty line.
    package static func parse(
        _ input: UnsafeRawBufferPointer, maximumHeadSize: Int
    ) throws(HTTPParseError) -> (head: HTTPRequestHead, byteCount: Int)? {
        // RFC 9112 §2.2: one empty line before a request is tolerated.
        let isPreceded = unsafe input.count >= 2 && input[0] == .carriageReturn && input[1] == .lineFeed
        return try unsafe withLines(of: input, from: isPreceded ? 2 : 0, maximumHeadSize) {
            (lines) throws(HTTPParseError) in (try requestHead(&lines), lines.end)
        }
    }

    /// Parses a response's head at the start of `input`, as ``parse(_:maximumHeadSize:)`` does for a request.
    package static func parseResponse(
        _ input: UnsafeRawBufferPointer, maximumHeadSize: Int
    ) throws(HTTPParseError) -> (head: HTTPResponseHead, byteCount: Int)? {
        try unsafe withLines(of: input, from: 0, maximumHeadSize) { (lines) throws(HTTPParseError) in
            (try responseHead(&lines), lines.end)
        }
    }

    /// Passes `read` the lines of the head that begins at `start`; `nil` if the head is not complete yet.
    private static func withLines<Head>(
        of input: UnsafeRawBufferPointer, from start: Int, _ maximumHeadSize: Int,
        _ read: (inout HTTPHeadLines) throws(HTTPParseError) -> Head
    ) throws(HTTPParseError) -> Head? {
        // The first line, and one field more than allowed.
        try unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: maximumFieldCount + 2) {
            (ends) throws(HTTPParseError) -> Head? in
            guard var lines = try unsafe HTTPHeadLines(whole: input, from: start, maximumHeadSize, ends) else {
                return nil
            }
            return try read(&lines)
        }
    }

    private static func requestHead(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HTTPRequestHead {
        let line = lines.next() ?? 0..<0
        let first = lines.place(of: .space, in: line)
        let second = lines.place(of: .space, in: min(first + 1, line.upperBound)..<line.upperBound)
        guard second < line.upperBound, lines.place(of: .space, in: second + 1..<line.upperBound) == line.upperBound
        else {
            throw .badRequest("request line: not METHOD TARGET VERSION")
        }
        guard first > line.lowerBound, lines.allSatisfy(line.lowerBound..<first, \.isTokenCharacter) else {
            throw .badRequest("request line: method")
        }
        // A target is a URI without fragment; URIs consist of visible ASCII.
        guard lines.allSatisfy(first + 1..<second, { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .badRequest("request line: target")
        }
        let versionMinor = try version(lines, second + 1..<line.upperBound)
        let method = lines.method(line.lowerBound..<first)
        let target = lines.text(first + 1..<second)
        let start = lines.position
        let fields = try fields(&lines)
        try checkHost(fields, from: start, of: lines, versionMinor: versionMinor)
        if lines[first + 1] == UInt8(ascii: "/"), lines.place(of: UInt8(ascii: "?"), in: first + 1..<second) == second {
            return HTTPRequestHead(
                method: method, target: target, path: target, query: nil, versionMinor: versionMinor, fields: fields,
                authority: nil)
        }
        let (pathStart, authority) = try startOfPath(of: target, method: method)
        return HTTPRequestHead(
            method: method, target: target, versionMinor: versionMinor, fields: fields, authority: authority,
            pathStart: pathStart)
    }

    /// §4: `HTTP/1.1 101 Switching Protocols`, in which the reason may be missing.
    private static func responseHead(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HTTPResponseHead {
        let range = lines.next() ?? 0..<0
        let parts = lines.bytes(range).split(separator: .space, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { throw .badRequest("status line") }
        let versionMinor = try version(lines, range.lowerBound..<range.lowerBound + parts[0].count)
        guard parts[1].count == 3, parts[1].allSatisfy(\.isDigit) else { throw .badRequest("status line: status") }
        let status = parts[1].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard status >= 100 else { throw .badRequest("status line: status") }
        let reason = parts.count == 3 ? text(parts[2]) : ""
        return HTTPResponseHead(
            status: status, reason: reason, versionMinor: versionMinor, fields: try fields(&lines))
    }

    /// §2.3: `HTTP/1.0` or `HTTP/1.1`.
    private static func version(_ lines: borrowing HTTPHeadLines, _ range: Range<Int>) throws(HTTPParseError) -> Int {
        let start = range.lowerBound
        guard range.count == 8, lines.says("HTTP/", at: start), lines[start + 5].isDigit,
            lines[start + 6] == UInt8(ascii: "."), lines[start + 7].isDigit
        else { throw .badRequest("version") }
        guard lines[start + 5] == UInt8(ascii: "1"), lines[start + 7] <= UInt8(ascii: "1") else {
            throw .versionNotSupported
        }
        return Int(lines[start + 7] - UInt8(ascii: "0"))
    }

    private static func fields(_ lines: inout HTTPHeadLines) throws(HTTPParseError) -> HeaderFields {
        let base = lines.position
        let isASCII = lines.isASCII
        var table = lines.takePlainFields()
        while let line = lines.next() {
            guard table.count < maximumFieldCount else { throw .headTooLarge }
            let colon = lines.endOfToken(line)
            guard colon > line.lowerBound, colon < line.upperBound, lines[colon] == UInt8(ascii: ":") else {
                let number = table.count + 1
                guard lines[line.lowerBound] != .space, lines[line.lowerBound] != .tab else {
                    throw .badRequest("field \(number): begins with white space")
                }
                let hasColon = lines.place(of: UInt8(ascii: ":"), in: line) < line.upperBound
                throw .badRequest("field \(number): \(hasColon ? "name" : "no colon")")
            }
            let value = lines.value(after: colon, to: line.upperBound)
            let name = line.lowerBound &- base..<colon &- base
            if isASCII || lines.isUTF8(value) {
                table.appendLine(name: name, value: value.lowerBound &- base..<value.upperBound &- base)
            } else {
                table.appendLine(name: name, value: text(lines.bytes(value)[...]))
            }
        }
        return HeaderFields(table)
    }

    /// §3.2: one Host in HTTP/1.1, and never two.
    ///
    /// - Parameter start: the offset of the first field line.
    private static func checkHost(
        _ fields: HeaderFields, from start: Int, of lines: borrowing HTTPHeadLines, versionMinor: Int
    ) throws(HTTPParseError) {
        let count = fields.count(of: .host)
        guard count <= 1 else { throw .badRequest("more than one Host") }
        guard let value = fields.range(ofFirst: .host) else {
            guard versionMinor == 0 else { throw .badRequest("no Host") }
            return
        }
        // A value that has moved was not UTF-8, and is not a host.
        guard value.upperBound <= lines.end - start,
            lines.isHostAndPort(start + value.lowerBound..<start + value.upperBound)
        else { throw .badRequest("Host") }
    }

    /// §3.2: a path, a whole URI whose authority replaces `Host` (§3.2.2), or `*` for OPTIONS.
    private static func startOfPath(
        of target: String, method: String
    ) throws(HTTPParseError) -> (start: String.Index, authority: String?) {
        if target.utf8.first == UInt8(ascii: "/") || (target == "*" && method == "OPTIONS") {
            return (target.startIndex, nil)
        }
        let schemes = ["http://", "https://", "ws://", "wss://"]
        guard let scheme = schemes.first(where: { target.prefix($0.utf8.count).isSameIgnoringCase($0) }) else {
            throw .badRequest("request line: target")
        }
        let rest = target.dropFirst(scheme.utf8.count)
        let end = rest.utf8.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        var name = Substring(authority)
        let isHost = name.withUTF8 { bytes in
            unsafe HTTPHeadLines(UnsafeRawBufferPointer(bytes), 0..<bytes.count).isHostAndPort(0..<bytes.count)
        }
        guard !authority.isEmpty, isHost else { throw .badRequest("request line: target") }
        return (end, String(authority))
    }

    /// The fields that can be parsed in the first bytes of a head that is refused or incomplete; others are left out.
    ///
    /// Only for deciding what a response to such a request must contain.
    package static func legibleFields(_ input: UnsafeRawBufferPointer) -> HeaderFields {
        var fields: HeaderFields = [:]
        let bytes = unsafe Array(input)
        // The last line may be incomplete.
        let lines = bytes.split(separator: .lineFeed, omittingEmptySubsequences: false).dropFirst().dropLast()
        for line in lines.prefix(maximumFieldCount) {
            let line = line.last == .carriageReturn ? line.dropLast() : line
            guard !line.isEmpty else { break }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(\.isTokenCharacter)
            else { continue }
            let value = line[(colon + 1)...].trimmingWhitespace()
            guard value.allSatisfy(\.isFieldCharacter) else { continue }
            fields.append(text(line[..<colon]), text(value))
        }
        return fields
    }

    /// UTF-8 unchanged; other bytes beyond ASCII, which HTTP leaves undefined, as Latin-1.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return String(scalars)
    }
}

/// The lines of a head that is known to be complete, without their CRLF, up to the empty one.
@safe private struct HTTPHeadLines: ~Copyable {
    private let input: UnsafeRawBufferPointer
    /// The offset after the empty line.
    let end: Int
    /// The offset of the next line.
    private(set) var position: Int
    /// The offsets of the ends of the lines, as far as there is room.
    private let ends: UnsafeMutableBufferPointer<UInt32>
    private var count = 0
    private var number = 0
    /// Whether all of it is ASCII.
    let isASCII: Bool

    /// A range without line ends.
    init(_ input: UnsafeRawBufferPointer, _ range: Range<Int>) {
        unsafe self.input = input
        unsafe ends = UnsafeMutableBufferPointer(start: nil, count: 0)
        position = range.lowerBound
        end = range.upperBound
        isASCII = true
    }

    /// The lines of the head that begins at `start`; `nil` if the head is not complete yet.
    ///
    /// - Parameter ends: room for the offsets of the line ends; further ones are left out.
    init?(
        whole input: UnsafeRawBufferPointer, from start: Int, _ maximumHeadSize: Int,
        _ ends: UnsafeMutableBufferPointer<UInt32>
    ) throws(HTTPParseError) {
        unsafe self.input = input
        unsafe self.ends = ends
        position = start
        let limit = min(input.count, maximumHeadSize)
        var (count, place, isASCII) = (0, 0, UInt8(0))
        let outcome = unsafe head_lines(
            input.baseAddress?.assumingMemoryBound(to: UInt8.self), start, limit, ends.baseAddress, ends.count, &count,
            &place, &isASCII)
        (self.count, end, self.isASCII) = (count, place, isASCII != 0)
        if outcome == head_whole { return }
        if outcome == head_faulty { throw unsafe Self.fault(input[place], at: place) }
        guard input.count < maximumHeadSize else { throw place == start ? .targetTooLong : .headTooLarge }
        return nil
    }

    private static func fault(_ byte: UInt8, at index: Int) -> HTTPParseError {
        switch byte {
        case .carriageReturn: .badRequest("CR without LF at byte \(index)")
        case .lineFeed: .badRequest("LF without CR at byte \(index)")
        default: .badRequest("control character at byte \(index)")
        }
    }

    mutating func next() -> Range<Int>? {
        guard number < count else { return nil }
        let line = unsafe position..<Int(ends[number])
        number &+= 1
        position = line.upperBound &+ 2
        return line
    }

    subscript(index: Int) -> UInt8 { unsafe input[index] }

    /// Whether the bytes at `index` are exactly `text`.
    @inline(__always)
    func says(_ text: StaticString, at index: Int) -> Bool {
        guard end - index >= text.utf8CodeUnitCount else { return false }
        for place in 0..<text.utf8CodeUnitCount {
            guard unsafe input[index + place] == text.utf8Start[place] else { return false }
        }
        return true
    }

    /// RFC 9110 §7.2: a name or an address, IPv6 in brackets, then perhaps a port.
    func isHostAndPort(_ range: Range<Int>) -> Bool {
        // Most host names are words between dots.
        var rest = unsafe input.endOfWord(range)
        while rest < range.upperBound, self[rest] == UInt8(ascii: ".") {
            rest = unsafe input.endOfWord(rest &+ 1..<range.upperBound)
        }
        if rest == range.upperBound { return true }
        guard allSatisfy(range, \.isHostCharacter) else { return false }
        rest = range.lowerBound
        if rest < range.upperBound, self[rest] == UInt8(ascii: "[") {
            let end = place(of: UInt8(ascii: "]"), in: range)
            guard end < range.upperBound else { return false }
            let isAddress = allSatisfy(rest + 1..<end) {
                $0.hexadecimalValue != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
            }
            guard isAddress else { return false }
            rest = end + 1
        } else {
            while rest < range.upperBound, self[rest] != UInt8(ascii: ":") {
                guard self[rest] != UInt8(ascii: "["), self[rest] != UInt8(ascii: "]") else { return false }
                rest += 1
            }
        }
        guard rest < range.upperBound else { return true }
        return self[rest] == UInt8(ascii: ":") && allSatisfy(rest + 1..<range.upperBound, \.isDigit)
    }

    /// The offset of the first byte of `range` that is not allowed in a token; the end of `range` if there is none.
    func endOfToken(_ range: Range<Int>) -> Int {
        // Most tokens consist of letters and hyphens.
        var index = unsafe input.endOfWord(range)
        while index < range.upperBound, self[index].isTokenCharacter { index &+= 1 }
        return index
    }

    /// The offset of the first `byte` in `range`; the end of `range` if there is none.
    func place(of byte: UInt8, in range: Range<Int>) -> Int {
        unsafe input.firstPlace(of: byte, from: range.lowerBound, to: range.upperBound)
    }

    @inline(__always)
    func allSatisfy(_ range: Range<Int>, _ predicate: (UInt8) -> Bool) -> Bool {
        for index in range where unsafe !predicate(input[index]) { return false }
        return true
    }

    /// The value of the line that ends at `end`, without the white space around it.
    @inline(__always)
    func value(after colon: Int, to end: Int) -> Range<Int> {
        let start = colon &+ 2
        // Most values have one space before them and none after.
        if start < end, self[start &- 1] == .space, self[start] > .space, self[end &- 1] > .space { return start..<end }
        return trimmingWhitespace(colon &+ 1..<end)
    }

    func trimmingWhitespace(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start] == .space || self[start] == .tab { start += 1 }
        while start < end, self[end - 1] == .space || self[end - 1] == .tab { end -= 1 }
        return start..<end
    }

    func bytes(_ range: Range<Int>) -> [UInt8] { unsafe Array(UnsafeRawBufferPointer(rebasing: input[range])) }

    /// The text of bytes that are known to be ASCII, and so are not checked again.
    func text(_ range: Range<Int>) -> String {
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: input[range])
        return unsafe String(copying: UTF8Span(unchecked: bytes.bindMemory(to: UInt8.self).span))
    }

    /// The method; allocates nothing for most methods.
    func method(_ range: Range<Int>) -> String {
        switch range.count {
        case 3 where says("GET", at: range.lowerBound): "GET"
        case 4 where says("POST", at: range.lowerBound): "POST"
        default: text(range)
        }
    }

    func isUTF8(_ range: Range<Int>) -> Bool {
        unsafe input.isASCII(range) || UTF8Validator.isValid(UnsafeRawBufferPointer(rebasing: input[range]))
    }

    /// A table with the text of the remaining lines; takes the lines at their beginning that have the usual form.
    mutating func takePlainFields() -> FieldTable {
        let (start, first, isASCII) = (position, number, isASCII)
        var taken = 0
        // One line more than allowed is left, to be refused.
        let most = min(count &- first, HTTPHeadParser.maximumFieldCount)
        let ends = unsafe self.ends
        let text = unsafe UnsafeRawBufferPointer(rebasing: input[start..<end])
        let limit = unsafe input.count &- start
        let table = unsafe FieldTable(text, count: most) { (room, index) in
            guard isASCII, most > 0, let base = text.baseAddress, let from = ends.baseAddress else { return 0 }
            // There are `count` ends, all before `end`, which is within the input; `limit` is the rest of the input.
            taken = unsafe head_read_fields(
                base.assumingMemoryBound(to: UInt8.self), limit, start, from + first, most, room.baseAddress, &index)
            return taken
        }
        number &+= taken
        if taken > 0 { position = unsafe Int(ends[number &- 1]) &+ 2 }
        return table
    }
}
