internal import CSIMD

/// The name of ``HeaderFields`` within this package.
package typealias HTTPFields = HeaderFields

/// The header fields of a message, in order; the case of names is ignored (RFC 9110 §5).
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

    private var table = FieldTable()

    /// Creates a collection without fields.
    public init() {}

    /// Creates a collection of these fields, in this order.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, value) }
    }

    init(_ table: FieldTable) { self.table = table }

    /// The position of the first field line: 0.
    public var startIndex: Int { 0 }
    /// The number of field lines.
    public var endIndex: Int { table.count }
    /// The field line at `position`.
    public subscript(position: Int) -> Field {
        let line = table[position]
        return Field(name: table.string(line.name), value: table.string(line.value))
    }

    /// Whether both have the same lines in the same order, with names as written.
    public static func == (first: HeaderFields, second: HeaderFields) -> Bool {
        first.count == second.count
            && first.indices.allSatisfy { place in
                let (one, other) = (first.table[place], second.table[place])
                return first.table.isEqual(one.name, second.table, other.name)
                    && first.table.isEqual(one.value, second.table, other.value)
            }
    }

    /// Adds a field line at the end.
    public mutating func append(_ name: String, _ value: String) {
        table.append(name.utf8Span.span, value.utf8Span.span)
    }

    /// Sets the value of a field.
    ///
    /// The new line replaces the first line with this name, or is added at the end; other lines with it are removed.
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

    /// Removes all lines with a name.
    public mutating func remove(_ name: String) {
        guard first(name) != nil else { return }
        var others = HeaderFields()
        for field in self where !field.name.isSameIgnoringCase(name) { others.append(field.name, field.value) }
        self = others
    }

    /// The value of the first line with a name; `nil` if there is none.
    ///
    /// Setting a value calls ``set(_:_:)``; setting `nil` calls ``remove(_:)``.
    public subscript(name: String) -> String? {
        get { first(name) }
        set { if let newValue { set(name, newValue) } else { remove(name) } }
    }

    /// Adds all lines of `others` at the end.
    mutating func append(contentsOf others: HeaderFields) {
        for place in others.indices {
            let line = others.table[place]
            table.append(others.table.text.extracting(line.name), others.table.text.extracting(line.value))
        }
    }

    /// The index of the first line with this name from `start` on; `nil` if there is none.
    private func place(of name: Span<UInt8>, from start: Int = 0) -> Int? {
        let mark = FieldTable.mark(of: name)
        guard table.mayHave(mark) else { return nil }
        let count = endIndex
        var place = start
        while place < count {
            let line = table[place]
            if line.mark == mark, line.name.count == name.count, isSame(line.name, name) { return place }
            place &+= 1
        }
        return nil
    }

    /// Whether the bytes of `range`, as many as those of `name`, are equal to them, ignoring the case of letters.
    @inline(__always)
    private func isSame(_ range: Range<Int>, _ name: Span<UInt8>) -> Bool {
        let own = table.text.extracting(range)
        let (raw, wanted) = unsafe (own.bytes, name.bytes)
        var index = 0
        // Most names are written in the same case.
        while name.count &- index >= 8, own.count &- index >= 8,
            unsafe raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
                == wanted.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
        {
            index &+= 8
        }
        while index < name.count {
            let (one, other) = (own[index], name[index])
            guard one == other || one.lowercasedASCII == other.lowercasedASCII else { return false }
            index &+= 1
        }
        return true
    }

    /// The index of the first line with a name that is written in the source; `nil` if there is none.
    @inline(__always)
    private func place(of name: HTTPWord) -> Int? {
        guard name.number < head_other else { return search(name, from: 0) }
        let first = table.first(name.number)
        if first == 0 { return nil }
        return first < 255 ? first &- 1 : search(name, from: 254)
    }

    /// The same after the index of such a line.
    @inline(__always)
    private func place(of name: HTTPWord, after place: Int) -> Int? {
        if name.number < head_other, !table.repeats(name.number) { return nil }
        return search(name, from: place &+ 1)
    }

    private func search(_ name: HTTPWord, from start: Int) -> Int? {
        guard table.mayHave(name.mark) else { return nil }
        let count = endIndex
        var place = start
        while place < count {
            let line = table[place]
            if line.mark == name.mark, name.isWritten(in: table.text, line.name) { return place }
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
    package func first(_ name: HTTPWord) -> String? { place(of: name).map { table.string(table[$0].value) } }

    /// The range of the value of the first line with this name, in the bytes of all lines; `nil` if there is none.
    func range(ofFirst name: HTTPWord) -> Range<Int>? { place(of: name).map { table[$0].value } }

    /// The bytes of the value of the first line with this name; empty if there is none.
    @_lifetime(borrow self)
    package func bytes(ofFirst name: HTTPWord) -> Span<UInt8> {
        table.text.extracting(place(of: name).map { table[$0].value } ?? 0..<0)
    }

    /// The value of the only line with this name; `nil` if there is none or more than one.
    package func only(_ name: HTTPWord) -> String? {
        place(ofOnly: name).map { table.string(table[$0].value) }
    }

    /// Whether a line has this name.
    package func has(_ name: HTTPWord) -> Bool { place(of: name) != nil }

    /// Whether the value of the first line with a name is `word`, in upper or lower case.
    func says(_ word: HTTPWord, in name: HTTPWord) -> Bool {
        place(of: name).map { word.isWritten(in: table.text, table[$0].value) } ?? false
    }

    /// Whether the fields are those of a WebSocket handshake as browsers write it; other forms may be valid, too.
    var isUsualHandshake: Bool { table.isUsualHandshake }

    /// How many lines have this name.
    package func count(of name: HTTPWord) -> Int {
        if name.number < head_other, !table.repeats(name.number) { return table.first(name.number) == 0 ? 0 : 1 }
        var (count, next) = (0, place(of: name))
        while let place = next { (count, next) = (count &+ 1, self.place(of: name, after: place)) }
        return count
    }

    /// The value of the first line with a name; `nil` if there is none.
    public func first(_ name: String) -> String? {
        place(of: name.utf8Span.span).map { table.string(table[$0].value) }
    }

    /// The value of the only line with a name; `nil` if there is none or more than one.
    public func only(_ name: String) -> String? {
        let name = name.utf8Span.span
        guard let place = place(of: name), self.place(of: name, from: place + 1) == nil else { return nil }
        return table.string(table[place].value)
    }

    /// Whether a line's name begins with `prefix`, which is in small letters.
    package func hasName(beginningWith prefix: StaticString) -> Bool {
        guard unsafe table.mayBegin(with: prefix.utf8Start[0]) else { return false }
        let first = unsafe UInt32(prefix.utf8Start[0] | 0x20)
        for place in indices {
            let line = table[place]
            // The mark shows for most names that they begin with another letter.
            guard line.mark &>> 8 & 0xFF == first, line.name.count >= prefix.utf8CodeUnitCount else { continue }
            var index = 0
            while index < prefix.utf8CodeUnitCount,
                unsafe table.text[line.name.lowerBound &+ index].lowercasedASCII == prefix.utf8Start[index]
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

    /// The values of all lines with a name, in order.
    public func all(_ name: String) -> [String] {
        let name = name.utf8Span.span
        var (values, start): ([String], Int) = ([], 0)
        while let place = place(of: name, from: start) {
            values.append(table.string(table[place].value))
            start = place + 1
        }
        return values
    }

    /// Passes `body` the value of each line with this name, in order, until it returns `false`.
    package func forEachValue(of name: HTTPWord, _ body: (Span<UInt8>) -> Bool) {
        var next = place(of: name)
        while let place = next {
            guard body(table.text.extracting(table[place].value)) else { return }
            next = self.place(of: name, after: place)
        }
    }

    /// The elements of a comma-separated list, from all lines with a name (RFC 9110 §5.6.1).
    ///
    /// Surrounding white space is removed, and empty elements are left out. A comma within a quoted string also
    /// separates elements, so use this only for lists of tokens.
    public func list(_ name: String) -> [String] {
        var elements: [String] = []
        forEachElement(of: name) { elements.append(table.string($0)) }
        return elements
    }

    /// Whether the list in a name's lines contains `token`, in upper or lower case.
    package func hasToken(_ token: HTTPWord, in name: HTTPWord) -> Bool {
        var next = place(of: name)
        while let place = next {
            let value = table[place].value
            // Most lists have one element.
            if token.isWritten(in: table.text, value) { return true }
            var start = value.lowerBound
            while start < value.upperBound {
                let element = element(from: start, to: value.upperBound)
                if token.isWritten(in: table.text, element.trimmed) { return true }
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
        let bytes = table.text
        while end < last, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
        return (trimmed(start..<end), end)
    }

    private func forEachElement(of name: String, _ body: (Range<Int>) -> Void) {
        let name = name.utf8Span.span
        var next = place(of: name)
        while let place = next {
            var start = table[place].value.lowerBound
            let last = table[place].value.upperBound
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
        let bytes = table.text
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, bytes[start] == .space || bytes[start] == .tab { start += 1 }
        while start < end, bytes[end - 1] == .space || bytes[end - 1] == .tab { end -= 1 }
        return start..<end
    }

    /// The elements of a list of tokens, as from ``list(_:)``, but in lower case.
    public func tokens(_ name: String) -> [String] {
        list(name).map { element in element.lowercasedASCII() }
    }

    /// Appends the field lines, each with its CRLF, to `output`.
    ///
    /// A control character in a value is written as a space, so that no value can end its line.
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
        for place in indices { size &+= table[place].name.count &+ table[place].value.count &+ 4 }
        return size
    }

    /// Writes the field lines, as ``write(to:)`` does.
    ///
    /// - Parameter room: has ``writtenCount`` bytes.
    func write(into room: UnsafeMutableRawBufferPointer) {
        var offset = 0
        unsafe table.text.bytes.withUnsafeBytes { bytes in
            for place in indices {
                let line = table[place]
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
