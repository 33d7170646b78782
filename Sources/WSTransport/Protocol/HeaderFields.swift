internal import CSIMD

/// The name of ``HeaderFields`` within this package.
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

    /// The ranges of a line's parts in ``bytes``, which has at most 4 GiB.
    private typealias Line = head_field

    @inline(__always)
    private static func mark(of bytes: Span<UInt8>, _ range: Range<Int>) -> UInt32 {
        guard range.lowerBound < range.upperBound else { return 0 }
        return HTTPWord.mark(range.count, bytes[range.lowerBound], bytes[range.upperBound &- 1])
    }

    /// The lines as received, in UTF-8; strings are made of them on request.
    ///
    /// The ranges of the lines of a head are in the same piece of memory, from ``tableStart`` on.
    private var bytes: [UInt8] = []
    private var tableStart = 0
    /// The number of lines of a head; 0 if all lines are in ``added``.
    private var tableCount = 0
    /// The ranges of lines that were added one by one.
    private var added: [Line] = []
    /// Tells at once that a field is absent, as most fields that are looked up are.
    private var index = head_index()

    /// Creates a collection without fields.
    public init() {}

    /// Creates a collection of these fields, in this order.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, value) }
    }

    /// Creates a collection of lines of `text`; `read` writes up to `count` of them and returns how many.
    init(
        _ text: UnsafeRawBufferPointer, count: Int,
        _ read: (UnsafeMutableBufferPointer<head_field>, inout head_index) -> Int
    ) {
        let stride = MemoryLayout<head_field>.stride
        let start = (text.count &+ 3) & ~3
        var (found, written) = (head_index(), 0)
        // Copied from temporary memory, because allocating an array to write its elements in place costs twice as much.
        bytes = unsafe withUnsafeTemporaryAllocation(byteCount: start &+ count &* stride, alignment: 4) { room in
            unsafe room.copyMemory(from: text)
            for place in text.count..<start { unsafe room[place] = 0 }
            let table = unsafe UnsafeMutableRawBufferPointer(rebasing: room[start...])
            written = unsafe read(table.bindMemory(to: head_field.self), &found)
            return unsafe Array(UnsafeRawBufferPointer(rebasing: room[..<(start &+ written &* stride)]))
        }
        (tableStart, tableCount, index) = (start, written, found)
    }

    /// The ranges of a line's parts.
    @inline(__always)
    private func line(_ place: Int) -> Line {
        guard tableCount > 0 else { return added[place] }
        let offset = tableStart &+ place &* MemoryLayout<head_field>.stride
        return unsafe bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: head_field.self)
    }

    /// Moves all lines to ``added``, so that more can be added.
    private mutating func unpack() {
        guard tableCount > 0 else { return }
        added = (0..<tableCount).map { line($0) }
        tableCount = 0
    }

    /// The position of the first field line: 0.
    public var startIndex: Int { 0 }
    /// The number of field lines.
    public var endIndex: Int { tableCount > 0 ? tableCount : added.count }
    /// The field line at `position`.
    public subscript(position: Int) -> Field {
        let line = line(position)
        return Field(name: text(line.name), value: text(line.value))
    }

    /// Whether both have the same lines in the same order, with names as written.
    public static func == (first: HeaderFields, second: HeaderFields) -> Bool {
        first.count == second.count
            && first.indices.allSatisfy { place in
                let (one, other) = (first.line(place), second.line(place))
                return first.bytes[one.name] == second.bytes[other.name]
                    && first.bytes[one.value] == second.bytes[other.value]
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
        for place in others.indices {
            let line = others.line(place)
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
        unpack()
        var new = index
        let place = added.count
        unsafe bytes.span.extracting(name).withUnsafeBufferPointer { name in
            unsafe head_add(&new, name.baseAddress, name.count, mark, place)
        }
        index = new
        added.append(Line(name: name, value: value, mark: mark))
    }

    /// Adds a line whose name is already stored.
    mutating func appendLine(name: Range<Int>, value: String) {
        let start = bytes.count
        bytes.append(contentsOf: value.utf8)
        appendLine(name: name, value: start..<bytes.count)
    }

    /// Not validated again: everything added was a string, or has been found to be UTF-8.
    private func text(_ range: Range<Int>) -> String {
        unsafe String(copying: UTF8Span(unchecked: bytes.span.extracting(range)))
    }

    /// The index of the first line with this name from `start` on; `nil` if there is none.
    private func place(of name: Span<UInt8>, from start: Int = 0) -> Int? {
        let mark = Self.mark(of: name, 0..<name.count)
        guard index.marks & head_mark_bit(mark) != 0 else { return nil }
        let count = endIndex
        var place = start
        while place < count {
            let line = line(place)
            if line.mark == mark, line.name.count == name.count, isSame(line.name, name) { return place }
            place &+= 1
        }
        return nil
    }

    /// Whether the bytes of `range`, as many as those of `text`, are equal to them, ignoring the case of letters.
    @inline(__always)
    private func isSame(_ range: Range<Int>, _ text: Span<UInt8>) -> Bool {
        let own = bytes.span.extracting(range)
        let (raw, wanted) = unsafe (own.bytes, text.bytes)
        var index = 0
        // Most names are written in the same case.
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

    /// The index of the first line with a name that is written in the source; `nil` if there is none.
    @inline(__always)
    private func place(of name: HTTPWord) -> Int? {
        guard name.number < head_other else { return search(name, from: 0) }
        let first = head_first(index, name.number)
        if first == 0 { return nil }
        return first < 255 ? first &- 1 : search(name, from: 254)
    }

    /// The same after the index of such a line.
    @inline(__always)
    private func place(of name: HTTPWord, after place: Int) -> Int? {
        if name.number < head_other, index.repeated &>> UInt32(name.number) & 1 == 0 { return nil }
        return search(name, from: place &+ 1)
    }

    private func search(_ name: HTTPWord, from start: Int) -> Int? {
        guard index.marks & head_mark_bit(name.mark) != 0 else { return nil }
        let count = endIndex
        var place = start
        while place < count {
            let line = line(place)
            if line.mark == name.mark, name.isWritten(in: bytes.span, line.name) { return place }
            place &+= 1
        }
        return nil
    }

    /// The index of the only line with this name; `nil` if there is none or more than one.
    @inline(__always)
    private func place(ofOnly name: HTTPWord) -> Int? {
        guard let place = place(of: name), self.place(of: name, after: place) == nil else { return nil }
        return place
    }

    /// The value of the first line with this name; `nil` if there is none.
    package func first(_ name: HTTPWord) -> String? { place(of: name).map { text(line($0).value) } }

    /// The range of the value of the first line with this name, in the bytes of all lines; `nil` if there is none.
    func range(ofFirst name: HTTPWord) -> Range<Int>? { place(of: name).map { line($0).value } }

    /// The bytes of the value of the first line with this name; empty if there is none.
    @_lifetime(borrow self)
    package func bytes(ofFirst name: HTTPWord) -> Span<UInt8> {
        bytes.span.extracting(place(of: name).map { line($0).value } ?? 0..<0)
    }

    /// The value of the only line with this name; `nil` if there is none or more than one.
    package func only(_ name: HTTPWord) -> String? {
        place(ofOnly: name).map { text(line($0).value) }
    }

    /// Whether a line has this name.
    package func has(_ name: HTTPWord) -> Bool { place(of: name) != nil }

    /// Whether the value of the first line with a name is `word`, in upper or lower case.
    func says(_ word: HTTPWord, in name: HTTPWord) -> Bool {
        place(of: name).map { word.isWritten(in: bytes.span, line($0).value) } ?? false
    }

    /// How many lines have this name.
    package func count(of name: HTTPWord) -> Int {
        var (count, next) = (0, place(of: name))
        while let place = next { (count, next) = (count &+ 1, self.place(of: name, after: place)) }
        return count
    }

    /// The value of the first line of a name; `nil` if there is none.
    public func first(_ name: String) -> String? {
        place(of: name.utf8Span.span).map { text(line($0).value) }
    }

    /// The value of the only line of a name; `nil` if there is none or more than one.
    public func only(_ name: String) -> String? {
        let name = name.utf8Span.span
        guard let place = place(of: name), self.place(of: name, from: place + 1) == nil else { return nil }
        return text(line(place).value)
    }

    /// Whether a line's name begins with `prefix`, which is in small letters.
    package func hasName(beginningWith prefix: StaticString) -> Bool {
        let first = unsafe UInt32(prefix.utf8Start[0] | 0x20)
        for place in indices {
            let line = line(place)
            // The mark shows for most names that they begin with another letter.
            guard line.mark &>> 8 & 0xFF == first, line.name.count >= prefix.utf8CodeUnitCount else { continue }
            var index = 0
            while index < prefix.utf8CodeUnitCount,
                unsafe bytes[line.name.lowerBound &+ index].lowercasedASCII == prefix.utf8Start[index]
            {
                index &+= 1
            }
            if index == prefix.utf8CodeUnitCount { return true }
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
            values.append(text(line(place).value))
            start = place + 1
        }
        return values
    }

    /// Passes `body` the value of each line with this name, in order, until it returns `false`.
    package func forEachValue(of name: HTTPWord, _ body: (Span<UInt8>) -> Bool) {
        var next = place(of: name)
        while let place = next {
            guard body(bytes.span.extracting(line(place).value)) else { return }
            next = self.place(of: name, after: place)
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

    /// Whether the list in a name's lines contains `token`, in upper or lower case.
    package func hasToken(_ token: HTTPWord, in name: HTTPWord) -> Bool {
        var next = place(of: name)
        while let place = next {
            let value = line(place).value
            // Most lists have one element.
            if token.isWritten(in: bytes.span, value) { return true }
            var start = value.lowerBound
            while start < value.upperBound {
                let element = element(from: start, to: value.upperBound)
                if token.isWritten(in: bytes.span, element.trimmed) { return true }
                start = element.end &+ 1
            }
            next = self.place(of: name, after: place)
        }
        return false
    }

    /// The element of a list that begins at `start`, and its end: a comma, or `last`.
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
            var start = line(place).value.lowerBound
            let last = line(place).value.upperBound
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
        if isEmpty { return }
        // Built in temporary memory, because appending single parts to an array costs several times as much.
        unsafe withUnsafeTemporaryAllocation(byteCount: writtenCount, alignment: 1) { room in
            unsafe write(into: room)
            unsafe output.append(contentsOf: room)
        }
    }

    /// The size of the field lines as written, in bytes.
    var writtenCount: Int {
        var size = 0
        for place in indices { size &+= line(place).name.count &+ line(place).value.count &+ 4 }
        return size
    }

    /// Writes the field lines, as ``write(to:)`` does.
    ///
    /// - Parameter room: has ``writtenCount`` bytes.
    func write(into room: UnsafeMutableRawBufferPointer) {
        var offset = 0
        unsafe bytes.withUnsafeBytes { bytes in
            for place in indices {
                let line = line(place)
                let isPlain =
                    unsafe bytes.endOfWord(line.name) == line.name.upperBound
                    && bytes.firstControlCharacter(line.value) == line.value.upperBound
                unsafe Self.put(bytes, line.name, in: room, at: &offset)
                unsafe room.storeBytes(of: UInt16(littleEndian: 0x203A), toByteOffset: offset, as: UInt16.self)
                offset &+= 2
                unsafe Self.put(bytes, line.value, in: room, at: &offset)
                unsafe room.storeBytes(of: UInt16(littleEndian: 0x0A0D), toByteOffset: offset, as: UInt16.self)
                offset &+= 2
                if !isPlain { unsafe Self.mend(room, line.name, line.value.count, endingAt: offset) }
            }
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

    /// Replaces characters that are not allowed in a line, after it has been written.
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

extension head_field {
    @inline(__always)
    fileprivate init(name: Range<Int>, value: Range<Int>, mark: UInt32) {
        self.init(
            name_start: UInt32(truncatingIfNeeded: name.lowerBound),
            name_end: UInt32(truncatingIfNeeded: name.upperBound),
            value_start: UInt32(truncatingIfNeeded: value.lowerBound),
            value_end: UInt32(truncatingIfNeeded: value.upperBound), mark: mark)
    }

    fileprivate var name: Range<Int> { Int(name_start)..<Int(name_end) }
    fileprivate var value: Range<Int> { Int(value_start)..<Int(value_end) }
}
