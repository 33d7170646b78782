/// Reads JSON (RFC 8259) in place: strictly validated, one object's members at a time, without building a tree.
///
/// A scanner reads several objects in one input, such as a frame with one object a line; white space between
/// them is optional. It works on the caller's bytes, and its results are valid as long as they are.
package struct JSONScanner: ~Escapable {
    /// How deeply values may be nested by default; the outermost object is level 1.
    ///
    /// The stack space used grows with it.
    package static let maximumDepth = 64
    /// How many members an object may have; the check for duplicates is quadratic in it.
    package static let maximumMembers = 256

    let bytes: Span<UInt8>
    let maximumDepth: Int
    /// The offset of the next byte to read.
    package private(set) var offset: Int

    /// Starts reading at `offset`.
    @_lifetime(copy bytes)
    package init(_ bytes: Span<UInt8>, from offset: Int = 0, maximumDepth: Int = JSONScanner.maximumDepth) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        self.offset = max(0, offset)
    }

    /// Whether `bytes` are exactly one JSON value, which may be surrounded by white space.
    package static func validate(_ bytes: Span<UInt8>, maximumDepth: Int = JSONScanner.maximumDepth) -> Bool {
        var scanner = JSONScanner(bytes, maximumDepth: maximumDepth)
        do throws(JSONError) {
            _ = try scanner.scanWhole()
            return true
        } catch {
            return false
        }
    }

    /// Reads the next object; `nil` if only white space is left.
    ///
    /// After an error the scanner is inside the text that it could not read: the rest of the input is lost.
    @_lifetime(copy self)
    package mutating func nextObject() throws(JSONError) -> JSONObject? {
        skipWhitespace()
        guard offset < bytes.count else { return nil }
        return try scanObject()
    }

    /// Reads an object and nothing else.
    @_lifetime(copy self)
    mutating func onlyObject() throws(JSONError) -> JSONObject {
        skipWhitespace()
        let object = try scanObject()
        try expectEnd()
        return object
    }

    /// Reads a value and nothing else.
    mutating func scanWhole() throws(JSONError) -> JSONValue.Extent {
        skipWhitespace()
        let extent = try scanValue(depth: 0)
        try expectEnd()
        return extent
    }

    private mutating func expectEnd() throws(JSONError) {
        skipWhitespace()
        guard offset == bytes.count else { throw JSONError(.trailingBytes, at: offset) }
    }

    @_lifetime(copy self)
    private mutating func scanObject() throws(JSONError) -> JSONObject {
        let start = offset
        try expect(UInt8(ascii: "{"), "'{'")
        guard maximumDepth >= 1 else { throw tooDeep(at: start) }
        var members = JSONObject.Members()
        skipWhitespace()
        if skip(UInt8(ascii: "}")) { return JSONObject(bytes: bytes, range: start..<offset, members: members) }
        while true {
            let name = try scanName()
            let value = try scanValue(depth: 1)
            guard members.append(name, value, in: bytes) else {
                let decoded = JSONValue(bytes: bytes, extent: name).text
                throw JSONError(.duplicateMember(decoded), at: name.range.lowerBound)
            }
            guard members.count <= JSONScanner.maximumMembers else {
                throw JSONError(.tooManyMembers(maximum: JSONScanner.maximumMembers), at: name.range.lowerBound)
            }
            skipWhitespace()
            if skip(UInt8(ascii: "}")) { return JSONObject(bytes: bytes, range: start..<offset, members: members) }
            try expect(UInt8(ascii: ","), "',' or '}'")
        }
    }

    /// Enters an object that is not empty, after white space; `false` if there is none.
    ///
    /// Its members are then read one by one: ``scanName()``, ``scanValue(depth:)``, ``hasAnotherMember()``. The caller
    /// must check their number and names.
    mutating func entersObject() -> Bool {
        skipWhitespace()
        guard maximumDepth >= 1, skip(UInt8(ascii: "{")) else { return false }
        skipWhitespace()
        return next == UInt8(ascii: "\"")
    }

    /// Continues after a member's value: moves to the next member, or past the object's end.
    @inline(__always)
    mutating func hasAnotherMember() throws(JSONError) -> Bool {
        skipWhitespace()
        if skip(UInt8(ascii: "}")) { return false }
        try expect(UInt8(ascii: ","), "',' or '}'")
        return true
    }

    /// Reads a member's name, the colon and the white space around both.
    @inline(__always)
    mutating func scanName() throws(JSONError) -> JSONValue.Extent {
        skipWhitespace()
        guard next == UInt8(ascii: "\"") else { throw unexpected("a member's name") }
        let name = try scanString()
        skipWhitespace()
        try expect(UInt8(ascii: ":"), "':'")
        skipWhitespace()
        return name
    }

    /// Reads a value inside `depth` others.
    mutating func scanValue(depth: Int) throws(JSONError) -> JSONValue.Extent {
        let start = offset
        switch next {
        case UInt8(ascii: "\""): return try scanString()
        case UInt8(ascii: "{"):
            guard depth < maximumDepth else { throw tooDeep(at: start) }
            try skipObject(depth: depth + 1)
            return JSONValue.Extent(range: start..<offset, kind: .object)
        case UInt8(ascii: "["):
            guard depth < maximumDepth else { throw tooDeep(at: start) }
            try skipArray(depth: depth + 1)
            return JSONValue.Extent(range: start..<offset, kind: .array)
        case UInt8(ascii: "t"):
            try expectWord("true")
            return JSONValue.Extent(range: start..<offset, kind: .true)
        case UInt8(ascii: "f"):
            try expectWord("false")
            return JSONValue.Extent(range: start..<offset, kind: .false)
        case UInt8(ascii: "n"):
            try expectWord("null")
            return JSONValue.Extent(range: start..<offset, kind: .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            try skipNumber()
            return JSONValue.Extent(range: start..<offset, kind: .number)
        default: throw unexpected("a value")
        }
    }

    /// Reads a value of the outermost object.
    ///
    /// A string without escapes and a short number take few steps; other values are read by ``scanValue(depth:)``.
    @inline(__always)
    mutating func scanPlainValue() throws(JSONError) -> JSONValue.Extent {
        let start = offset
        if next == UInt8(ascii: "\"") {
            let end = bytes.skipPlain(from: start &+ 1)
            guard end < bytes.count, bytes[end] == UInt8(ascii: "\"") else { return try scanString() }
            offset = end &+ 1
            return JSONValue.Extent(range: start..<offset, kind: .string)
        }
        let length = bytes.lengthOfShortNumber(at: start)
        guard length > 0 else { return try scanValue(depth: 1) }
        offset = start &+ length
        return JSONValue.Extent(range: start..<offset, kind: .number)
    }

    /// Reads `true` or `false`; `nil` if there is neither, and then reads nothing.
    @inline(__always)
    mutating func scanBool() -> Bool? {
        // Inside an object, at least five bytes must follow.
        guard bytes.count &- offset >= 5 else { return nil }
        let word = bytes.word(at: offset, count: 5)
        if word &<< 32 == JSONName("true").mark.first &<< 32 {
            offset &+= 4
            return true
        }
        guard word == JSONName("false").mark.first else { return nil }
        offset &+= 5
        return false
    }

    private mutating func skipObject(depth: Int) throws(JSONError) {
        offset += 1
        skipWhitespace()
        if skip(UInt8(ascii: "}")) { return }
        while true {
            _ = try scanName()
            _ = try scanValue(depth: depth)
            skipWhitespace()
            if skip(UInt8(ascii: "}")) { return }
            try expect(UInt8(ascii: ","), "',' or '}'")
        }
    }

    private mutating func skipArray(depth: Int) throws(JSONError) {
        offset += 1
        skipWhitespace()
        if skip(UInt8(ascii: "]")) { return }
        while true {
            skipWhitespace()
            _ = try scanValue(depth: depth)
            skipWhitespace()
            if skip(UInt8(ascii: "]")) { return }
            try expect(UInt8(ascii: ","), "',' or ']'")
        }
    }

    /// Reads the elements of an array; the scanner is at its bracket.
    mutating func scanElements() throws(JSONError) -> [JSONValue.Extent] {
        try expect(UInt8(ascii: "["), "'['")
        skipWhitespace()
        if skip(UInt8(ascii: "]")) { return [] }
        var elements: [JSONValue.Extent] = []
        while true {
            skipWhitespace()
            elements.append(try scanValue(depth: 1))
            skipWhitespace()
            if skip(UInt8(ascii: "]")) { return elements }
            try expect(UInt8(ascii: ","), "',' or ']'")
        }
    }

    /// RFC 8259 §6: no leading zeros, no bare point, no leading plus sign.
    private mutating func skipNumber() throws(JSONError) {
        let start = offset
        _ = skip(UInt8(ascii: "-"))
        if !skip(UInt8(ascii: "0")) { try skipDigits(of: start) }
        if skip(UInt8(ascii: ".")) { try skipDigits(of: start) }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            if !skip(UInt8(ascii: "+")) { _ = skip(UInt8(ascii: "-")) }
            try skipDigits(of: start)
        }
        if isAtDigit {
            throw JSONError(.malformedNumber, at: start)
        }
    }

    @inline(__always)
    private var isAtDigit: Bool { next &- UInt8(ascii: "0") < 10 }

    @inline(__always)
    private mutating func skipDigits(of number: Int) throws(JSONError) {
        let first = offset
        while isAtDigit { offset &+= 1 }
        guard offset > first else {
            throw offset == bytes.count
                ? JSONError(.unexpectedEnd, at: offset) : JSONError(.malformedNumber, at: number)
        }
    }

    private mutating func expectWord(_ word: StaticString) throws(JSONError) {
        for index in 0..<word.utf8CodeUnitCount {
            guard offset < bytes.count else { throw JSONError(.unexpectedEnd, at: offset) }
            guard unsafe bytes[offset] == word.utf8Start[index] else {
                throw JSONError(.unexpectedByte(bytes[offset], expected: "'\(word)'"), at: offset)
            }
            offset += 1
        }
    }

    /// Advances; used by the string scanner in another file.
    @inline(__always)
    mutating func move(to offset: Int) {
        self.offset = offset
    }

    /// The next byte; at the end 0, which no token begins with.
    @inline(__always)
    private var next: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

    @inline(__always)
    mutating func skipWhitespace() {
        // Most commands have no white space.
        if next <= 0x20 { skipMoreWhitespace() }
    }

    @inline(never)
    private mutating func skipMoreWhitespace() {
        while isAtWhitespace { offset &+= 1 }
    }

    private var isAtWhitespace: Bool { next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 }

    @inline(__always)
    private mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        offset &+= 1
        return true
    }

    @inline(__always)
    private mutating func expect(_ byte: UInt8, _ expected: StaticString) throws(JSONError) {
        guard skip(byte) else { throw unexpected(expected) }
    }

    @inline(never)
    private func unexpected(_ expected: StaticString) -> JSONError {
        guard offset < bytes.count else { return JSONError(.unexpectedEnd, at: offset) }
        return JSONError(.unexpectedByte(bytes[offset], expected: expected.description), at: offset)
    }

    private func tooDeep(at offset: Int) -> JSONError {
        JSONError(.tooDeep(maximum: maximumDepth), at: offset)
    }
}
