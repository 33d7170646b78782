/// The fields of a head, in their order; names are compared without regard to case (RFC 9110 §5).
public struct HTTPFields: RandomAccessCollection, Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field line.
    public struct Field: Equatable, Sendable {
        /// As it was written.
        public let name: String
        /// Without the white space around it.
        public let value: String

        /// A field of this name and value.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Where a line's parts lie in ``bytes``.
    private struct Line {
        let name: Range<Int>
        let value: Range<Int>
    }

    /// The lines as they came, of which strings are made for those that ask: UTF-8.
    private var bytes: [UInt8] = []
    private var lines: [Line] = []

    /// No fields.
    public init() {}

    /// These fields, in this order.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, value) }
    }

    /// No fields yet, but the bytes of those that ``appendLine(name:value:)`` will name.
    init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        lines.reserveCapacity(count)
    }

    /// Where the first field is: 0.
    public var startIndex: Int { 0 }
    /// The number of field lines.
    public var endIndex: Int { lines.count }
    /// The field line at `position`.
    public subscript(position: Int) -> Field {
        Field(name: text(lines[position].name), value: text(lines[position].value))
    }

    /// Whether both have the same lines in the same order, names as they were written.
    public static func == (first: HTTPFields, second: HTTPFields) -> Bool {
        first.lines.count == second.lines.count
            && zip(first.lines, second.lines).allSatisfy { one, other in
                first.bytes[one.name] == second.bytes[other.name] && first.bytes[one.value] == second.bytes[other.value]
            }
    }

    /// Adds a field line at the end.
    public mutating func append(_ name: String, _ value: String) {
        let start = bytes.count
        bytes.append(contentsOf: name.utf8)
        let middle = bytes.count
        bytes.append(contentsOf: value.utf8)
        lines.append(Line(name: start..<middle, value: middle..<bytes.count))
    }

    /// Adds a line whose bytes are there.
    mutating func appendLine(name: Range<Int>, value: Range<Int>) { lines.append(Line(name: name, value: value)) }

    /// Adds a line whose name's bytes are there.
    mutating func appendLine(name: Range<Int>, value: String) {
        let start = bytes.count
        bytes.append(contentsOf: value.utf8)
        lines.append(Line(name: name, value: start..<bytes.count))
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// The place of the first line of this name from `start` on; `nil` where there is none.
    private func place(of name: borrowing Span<UInt8>, from start: Int = 0) -> Int? {
        for place in start..<lines.count where lines[place].name.count == name.count {
            let first = lines[place].name.lowerBound
            var index = 0
            while index < name.count, bytes[first + index].lowercasedASCII == name[index].lowercasedASCII { index += 1 }
            if index == name.count { return place }
        }
        return nil
    }

    /// The value of the first line of this name, `nil` where there is none.
    public func first(_ name: String) -> String? {
        place(of: name.utf8Span.span).map { text(lines[$0].value) }
    }

    /// The value of the only line of this name, `nil` where there is none or more than one.
    public func only(_ name: String) -> String? {
        let name = name.utf8Span.span
        guard let place = place(of: name), self.place(of: name, from: place + 1) == nil else { return nil }
        return text(lines[place].value)
    }

    /// Whether a line's name begins with `prefix`, which is in small letters.
    package func hasName(beginningWith prefix: String) -> Bool {
        let prefix = prefix.utf8Span.span
        for line in lines where line.name.count >= prefix.count {
            var index = 0
            while index < prefix.count, bytes[line.name.lowerBound + index].lowercasedASCII == prefix[index] {
                index += 1
            }
            if index == prefix.count { return true }
        }
        return false
    }

    /// How many lines have this name.
    package func count(of name: String) -> Int {
        let name = name.utf8Span.span
        var (count, start) = (0, 0)
        while let place = place(of: name, from: start) { (count, start) = (count + 1, place + 1) }
        return count
    }

    /// The values of all lines of this name, in their order.
    public func all(_ name: String) -> [String] {
        let name = name.utf8Span.span
        var (values, start): ([String], Int) = ([], 0)
        while let place = place(of: name, from: start) {
            values.append(text(lines[place].value))
            start = place + 1
        }
        return values
    }

    /// The elements of a comma-separated list over all lines of this name, without white space around them; empty
    /// ones are left out (RFC 9110 §5.6.1).
    ///
    /// Commas inside quoted strings separate, too: meant for lists of tokens.
    public func list(_ name: String) -> [String] {
        var elements: [String] = []
        forEachElement(of: name) { elements.append(text($0)) }
        return elements
    }

    /// Whether ``list(_:)`` has `token`, in large or small letters.
    package func hasToken(_ token: String, in name: String) -> Bool {
        let token = token.utf8Span.span
        var isThere = false
        forEachElement(of: name) { element in
            guard element.count == token.count else { return }
            var index = 0
            while index < token.count,
                bytes[element.lowerBound + index].lowercasedASCII == token[index].lowercasedASCII
            {
                index += 1
            }
            if index == token.count { isThere = true }
        }
        return isThere
    }

    private func forEachElement(of name: String, _ body: (Range<Int>) -> Void) {
        let name = name.utf8Span.span
        var start = 0
        while let place = place(of: name, from: start) {
            start = place + 1
            var rest = lines[place].value
            while !rest.isEmpty {
                let end = bytes[rest].firstIndex(of: UInt8(ascii: ",")) ?? rest.upperBound
                let element = bytes[rest.lowerBound..<end].trimmingWhitespace()
                if !element.isEmpty { body(element.indices) }
                rest = Swift.min(end + 1, rest.upperBound)..<rest.upperBound
            }
        }
    }

    /// The elements of a list of tokens, as ``list(_:)``, in small letters.
    public func tokens(_ name: String) -> [String] {
        list(name).map { element in element.lowercasedASCII() }
    }

    /// Appends the field lines, each with its CRLF, to `output`.
    ///
    /// A control character in a value is written as a space, so that no value ends its line.
    public func write(to output: inout [UInt8]) {
        output.reserveCapacity(output.count + bytes.count + 4 * lines.count)
        for line in lines {
            for byte in bytes[line.name] { output.append(byte.isTokenCharacter ? byte : UInt8(ascii: "-")) }
            output.append(UInt8(ascii: ":"))
            output.append(.space)
            for byte in bytes[line.value] { output.append(byte.isFieldCharacter ? byte : .space) }
            output.append(.carriageReturn)
            output.append(.lineFeed)
        }
    }
}
