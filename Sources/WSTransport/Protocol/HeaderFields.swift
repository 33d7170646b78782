/// The name by which this package knows ``HeaderFields``.
package typealias HTTPFields = HeaderFields

/// The header fields of a message, in order; names are compared without regard to case (RFC 9110 §5).
public struct HeaderFields: RandomAccessCollection, Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field line.
    public struct Field: Equatable, Sendable {
        /// The name as written.
        public let name: String
        /// The value, without surrounding white space.
        public let value: String

        /// Creates a field.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Where a line's parts lie in ``bytes``: no more than 4 GiB of them.
    private struct Line {
        private let nameStart: UInt32
        private let nameEnd: UInt32
        private let valueStart: UInt32
        private let valueEnd: UInt32
        /// ``HTTPWord/mark`` of the name.
        let mark: UInt32

        @inline(__always)
        init(name: Range<Int>, value: Range<Int>, mark: UInt32) {
            nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
            nameEnd = UInt32(truncatingIfNeeded: name.upperBound)
            valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
            valueEnd = UInt32(truncatingIfNeeded: value.upperBound)
            self.mark = mark
        }

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
    }

    @inline(__always)
    private static func mark(of bytes: Span<UInt8>, _ range: Range<Int>) -> UInt32 {
        guard range.lowerBound < range.upperBound else { return 0 }
        return HTTPWord.mark(range.count, bytes[range.lowerBound], bytes[range.upperBound &- 1])
    }

    /// The lines as they came, of which strings are made for those that ask: UTF-8.
    private var bytes: [UInt8] = []
    private var lines: [Line] = []
    /// A bit for each line's mark: most fields that are asked for are not there, which is then known at once.
    private var marks: UInt64 = 0

    @inline(__always)
    private static func bit(of mark: UInt32) -> UInt64 { 1 &<< UInt64((mark &* 0x9E37_79B9) &>> 26) }

    /// Creates a collection without fields.
    public init() {}

    /// Creates a collection of these fields, in this order.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, value) }
    }

    /// Creates a collection without fields, with the bytes that ``appendLine(name:value:)`` will refer to.
    init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        lines.reserveCapacity(count)
    }

    /// The position of the first field line: 0.
    public var startIndex: Int { 0 }
    /// The number of field lines.
    public var endIndex: Int { lines.count }
    /// The field line at `position`.
    public subscript(position: Int) -> Field {
        Field(name: text(lines[position].name), value: text(lines[position].value))
    }

    /// Whether both have the same lines in the same order, with names as written.
    public static func == (first: HeaderFields, second: HeaderFields) -> Bool {
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
        appendLine(name: start..<middle, value: middle..<bytes.count)
    }

    /// Sets the value of a field: in place of its first line, or at the end; further lines of that name are removed.
    public mutating func set(_ name: String, _ value: String) {
        var (others, isSet) = (HeaderFields(), false)
        for field in self {
            guard field.name.isSameIgnoringCase(name) else {
                others.append(field.name, field.value)
                continue
            }
            if !isSet { others.append(name, value) }
            isSet = true
        }
        if !isSet { others.append(name, value) }
        self = others
    }

    /// Removes all lines of a name.
    public mutating func remove(_ name: String) {
        guard first(name) != nil else { return }
        var others = HeaderFields()
        for field in self where !field.name.isSameIgnoringCase(name) { others.append(field.name, field.value) }
        self = others
    }

    /// The value of the first line of a name, `nil` if there is none; setting it is ``set(_:_:)`` or ``remove(_:)``.
    public subscript(name: String) -> String? {
        get { first(name) }
        set { if let newValue { set(name, newValue) } else { remove(name) } }
    }

    /// Adds all lines of `others` at the end.
    mutating func append(contentsOf others: HeaderFields) {
        guard !others.isEmpty else { return }
        let offset = bytes.count
        bytes.append(contentsOf: others.bytes)
        for line in others.lines {
            appendLine(
                name: line.name.lowerBound + offset..<line.name.upperBound + offset,
                value: line.value.lowerBound + offset..<line.value.upperBound + offset)
        }
    }

    /// Adds a line whose bytes are already stored.
    mutating func appendLine(name: Range<Int>, value: Range<Int>) {
        appendLine(name: name, value: value, mark: Self.mark(of: bytes.span, name))
    }

    /// Adds a line like ``appendLine(name:value:)``, for a name whose ``HTTPWord/mark`` is known.
    @inline(__always)
    mutating func appendLine(name: Range<Int>, value: Range<Int>, mark: UInt32) {
        marks |= Self.bit(of: mark)
        lines.append(Line(name: name, value: value, mark: mark))
    }

    /// Adds a line whose name is already stored.
    mutating func appendLine(name: Range<Int>, value: String) {
        let start = bytes.count
        bytes.append(contentsOf: value.utf8)
        appendLine(name: name, value: start..<bytes.count)
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// The place of the first line of this name from `start` on; `nil` where there is none.
    private func place(of name: Span<UInt8>, from start: Int = 0) -> Int? {
        let mark = Self.mark(of: name, 0..<name.count)
        guard marks & Self.bit(of: mark) != 0 else { return nil }
        let lines = lines.span
        var place = start
        while place < lines.count {
            if lines[place].mark == mark, lines[place].name.count == name.count, isSame(lines[place].name, name) {
                return place
            }
            place &+= 1
        }
        return nil
    }

    /// Whether the bytes of `range`, as many as those of `text`, are the same apart from the case of letters.
    @inline(__always)
    private func isSame(_ range: Range<Int>, _ text: Span<UInt8>) -> Bool {
        let own = bytes.span.extracting(range)
        let (raw, wanted) = unsafe (own.bytes, text.bytes)
        var index = 0
        // Most are written alike.
        while text.count &- index >= 8, own.count &- index >= 8,
            unsafe raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
                == wanted.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
        {
            index &+= 8
        }
        while index < text.count {
            let (one, other) = (own[index], text[index])
            guard one == other || one.lowercasedASCII == other.lowercasedASCII else { return false }
            index &+= 1
        }
        return true
    }

    /// The same of a name that is written in the source.
    private func place(of name: HTTPWord, from start: Int = 0) -> Int? {
        guard marks & Self.bit(of: name.mark) != 0 else { return nil }
        let (lines, bytes) = (lines.span, bytes.span)
        var place = start
        while place < lines.count {
            // A place below their number.
            if unsafe lines[unchecked: place].mark == name.mark, name.isWritten(in: bytes, lines[place].name) {
                return place
            }
            place &+= 1
        }
        return nil
    }

    /// The value of the first line of this name, `nil` where there is none.
    package func first(_ name: HTTPWord) -> String? { place(of: name).map { text(lines[$0].value) } }

    /// The bytes of the value of the first line of this name; none where there is none.
    @_lifetime(borrow self)
    package func bytes(ofFirst name: HTTPWord) -> Span<UInt8> {
        bytes.span.extracting(place(of: name).map { lines[$0].value } ?? 0..<0)
    }

    /// The value of the only line of this name, `nil` where there is none or more than one.
    package func only(_ name: HTTPWord) -> String? {
        guard let place = place(of: name), self.place(of: name, from: place &+ 1) == nil else { return nil }
        return text(lines[place].value)
    }

    /// Whether a line has this name.
    package func has(_ name: HTTPWord) -> Bool { place(of: name) != nil }

    /// Whether the value of the first line of a name is `word`, in either case.
    func says(_ word: HTTPWord, in name: HTTPWord) -> Bool {
        place(of: name).map { word.isWritten(in: bytes.span, lines[$0].value) } ?? false
    }

    /// How many lines have this name.
    package func count(of name: HTTPWord) -> Int {
        var (count, start) = (0, 0)
        while let place = place(of: name, from: start) { (count, start) = (count &+ 1, place &+ 1) }
        return count
    }

    /// The value of the first line of a name; `nil` if there is none.
    public func first(_ name: String) -> String? {
        place(of: name.utf8Span.span).map { text(lines[$0].value) }
    }

    /// The value of the only line of a name; `nil` if there is none or more than one.
    public func only(_ name: String) -> String? {
        let name = name.utf8Span.span
        guard let place = place(of: name), self.place(of: name, from: place + 1) == nil else { return nil }
        return text(lines[place].value)
    }

    /// Whether a line's name begins with `prefix`, which is in small letters.
    package func hasName(beginningWith prefix: String) -> Bool {
        let prefix = prefix.utf8Span.span
        let first = UInt32(prefix[0] | 0x20)
        // Most begin with another letter, which their marks show.
        for line in lines where line.mark &>> 8 & 0xFF == first && line.name.count >= prefix.count {
            var index = 0
            while index < prefix.count, bytes[line.name.lowerBound + index].lowercasedASCII == prefix[index] {
                index += 1
            }
            if index == prefix.count { return true }
        }
        return false
    }

    /// Whether `text` can be a line's name.
    package static func isName(_ text: String) -> Bool { text.isToken }

    /// Whether `text` can be a line's value: it has no control characters but tabs.
    package static func isValue(_ text: String) -> Bool { text.utf8.allSatisfy(\.isFieldCharacter) }

    /// Whether a line has this name.
    package func has(_ name: String) -> Bool { place(of: name.utf8Span.span) != nil }

    /// How many lines have this name.
    package func count(of name: String) -> Int {
        let name = name.utf8Span.span
        var (count, start) = (0, 0)
        while let place = place(of: name, from: start) { (count, start) = (count + 1, place + 1) }
        return count
    }

    /// The values of all lines of a name, in order.
    public func all(_ name: String) -> [String] {
        let name = name.utf8Span.span
        var (values, start): ([String], Int) = ([], 0)
        while let place = place(of: name, from: start) {
            values.append(text(lines[place].value))
            start = place + 1
        }
        return values
    }

    /// Gives `body` the value of each line of this name, in their order, until it returns `false`.
    package func forEachValue(of name: HTTPWord, _ body: (Span<UInt8>) -> Bool) {
        var next = place(of: name)
        while let place = next {
            guard body(bytes.span.extracting(lines[place].value)) else { return }
            next = self.place(of: name, from: place + 1)
        }
    }

    /// The elements of a comma-separated list over all lines of a name, without surrounding white space; empty elements
    /// are left out (RFC 9110 §5.6.1).
    ///
    /// Commas within quoted strings separate elements, too, so use this for lists of tokens only.
    public func list(_ name: String) -> [String] {
        var elements: [String] = []
        forEachElement(of: name) { elements.append(text($0)) }
        return elements
    }

    /// Whether the list of a name's lines has `token`, in large or small letters.
    package func hasToken(_ token: HTTPWord, in name: HTTPWord) -> Bool {
        var next = place(of: name)
        while let place = next {
            let value = lines[place].value
            // Most lists have one element.
            if token.isWritten(in: bytes.span, value) { return true }
            var start = value.lowerBound
            while start < value.upperBound {
                let element = element(from: start, to: value.upperBound)
                if token.isWritten(in: bytes.span, element.trimmed) { return true }
                start = element.end &+ 1
            }
            next = self.place(of: name, from: place + 1)
        }
        return false
    }

    /// The element of a list that begins at `start`, and where it ends: at a comma, or at `last`.
    @inline(__always)
    private func element(from start: Int, to last: Int) -> (trimmed: Range<Int>, end: Int) {
        var end = start
        while end < last, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
        return (trimmed(start..<end), end)
    }

    private func forEachElement(of name: String, _ body: (Range<Int>) -> Void) {
        let name = name.utf8Span.span
        var next = place(of: name)
        while let place = next {
            var start = lines[place].value.lowerBound
            let last = lines[place].value.upperBound
            while start < last {
                let element = element(from: start, to: last)
                if !element.trimmed.isEmpty { body(element.trimmed) }
                start = element.end + 1
            }
            next = self.place(of: name, from: place + 1)
        }
    }

    /// `range` without the spaces and tabs at either end.
    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, bytes[start] == .space || bytes[start] == .tab { start += 1 }
        while start < end, bytes[end - 1] == .space || bytes[end - 1] == .tab { end -= 1 }
        return start..<end
    }

    /// The elements of a list of tokens, as in ``list(_:)``, in lower case.
    public func tokens(_ name: String) -> [String] {
        list(name).map { element in element.lowercasedASCII() }
    }

    /// Appends the field lines, each with its CRLF, to `output`.
    ///
    /// A control character in a value is written as a space, so that no value ends its line.
    public func write(to output: inout [UInt8]) {
        if lines.isEmpty { return }
        let size = lines.reduce(0) { $0 &+ $1.name.count &+ $1.value.count &+ 4 }
        // Put together apart, as each part that is appended to an array costs several times as much.
        unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { room in
            var place = 0
            unsafe bytes.withUnsafeBytes { bytes in
                for line in lines {
                    let isPlain =
                        unsafe bytes.endOfWord(line.name) == line.name.upperBound
                        && bytes.firstControlCharacter(line.value) == line.value.upperBound
                    unsafe Self.put(bytes, line.name, in: room, at: &place)
                    unsafe room.storeBytes(of: UInt16(littleEndian: 0x203A), toByteOffset: place, as: UInt16.self)
                    place &+= 2
                    unsafe Self.put(bytes, line.value, in: room, at: &place)
                    unsafe room.storeBytes(of: UInt16(littleEndian: 0x0A0D), toByteOffset: place, as: UInt16.self)
                    place &+= 2
                    if !isPlain { unsafe Self.mend(room, line.name, line.value.count, endingAt: place) }
                }
            }
            unsafe output.append(contentsOf: room)
        }
    }

    @inline(__always)
    private static func put(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, in room: UnsafeMutableRawBufferPointer,
        at place: inout Int
    ) {
        if let from = bytes.baseAddress, let to = room.baseAddress {
            unsafe (to + place).copyMemory(from: from + range.lowerBound, byteCount: range.count)
        }
        place &+= range.count
    }

    /// Replaces what is not allowed in a line that has been written.
    @inline(never)
    private static func mend(
        _ room: UnsafeMutableRawBufferPointer, _ name: Range<Int>, _ valueCount: Int, endingAt end: Int
    ) {
        let value = end - 2 - valueCount
        for index in value - 2 - name.count..<value - 2 where unsafe !room[index].isTokenCharacter {
            unsafe room[index] = UInt8(ascii: "-")
        }
        for index in value..<end - 2 where unsafe !room[index].isFieldCharacter { unsafe room[index] = .space }
    }
}

extension [UInt8] {
    /// Appends a text that is written in the source.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        unsafe append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a number that is not negative, in decimal.
    mutating func append(decimal number: Int) {
        var divisor = 1
        while number / divisor >= 10 { divisor &*= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }
}
