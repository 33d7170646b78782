/// Writes JSON (RFC 8259) onto an array of bytes, front to back.
///
/// Commas are written automatically; the caller has to pair brackets and name members. Nothing is allocated
/// except the array.
///
/// ```swift
/// var writer = JSONWriter()
/// writer.beginObject()
/// writer.member("op", "message")
/// writer.member("seq", 812)
/// writer.endObject()
/// ```
package struct JSONWriter {
    /// The bytes written so far.
    package private(set) var bytes: [UInt8]
    private var needsComma = false

    /// Makes a writer that appends to `bytes`.
    package init(appendingTo bytes: consuming [UInt8] = []) {
        self.bytes = bytes
    }

    /// Makes a writer with room for `count` bytes.
    package init(capacity count: Int) {
        bytes = []
        bytes.reserveCapacity(count)
    }

    /// Clears the bytes and keeps the capacity.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
    }

    /// Takes the bytes written so far, as a line.
    package mutating func takeLine() -> [UInt8] {
        var line: [UInt8] = []
        swap(&line, &bytes)
        line.append(0x0A)
        needsComma = false
        return line
    }

    /// Opens an object.
    package mutating func beginObject() { begin(UInt8(ascii: "{")) }

    /// Closes an object.
    package mutating func endObject() { end(UInt8(ascii: "}")) }

    /// Opens an array.
    package mutating func beginArray() { begin(UInt8(ascii: "[")) }

    /// Closes an array.
    package mutating func endArray() { end(UInt8(ascii: "]")) }

    /// Writes a member's name, which is ASCII without escapes; its value comes next.
    package mutating func name(_ name: StaticString) {
        let hasComma = needsComma
        unsafe write(atMost: name.utf8CodeUnitCount + 4) { unsafe Self.put(name, hasComma: hasComma, at: $0) }
        needsComma = false
    }

    /// Writes a name and the characters around it; returns how many bytes.
    @inline(__always)
    private static func put(_ name: StaticString, hasComma: Bool, at place: UnsafeMutablePointer<UInt8>) -> Int {
        var count = 0
        if hasComma {
            unsafe place[0] = UInt8(ascii: ",")
            count = 1
        }
        unsafe place[count] = UInt8(ascii: "\"")
        unsafe (place + count + 1).update(from: name.utf8Start, count: name.utf8CodeUnitCount)
        count &+= name.utf8CodeUnitCount &+ 3
        unsafe place[count &- 2] = UInt8(ascii: "\"")
        unsafe place[count &- 1] = UInt8(ascii: ":")
        return count
    }

    /// Appends what `body` writes to the given place, at most `capacity` bytes; `body` returns how many.
    @inline(__always)
    private mutating func write(atMost capacity: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
        bytes.append(addingCapacity: capacity) { output in
            unsafe output.withUnsafeMutableBufferPointer { (buffer, count) in
                guard let base = buffer.baseAddress else { return }
                unsafe count &+= body(base + count)
            }
        }
    }

    /// Writes the beginning of an object, up to a member's value, unchanged.
    package mutating func begin(object text: StaticString) {
        separate()
        append(text)
        needsComma = false
    }

    /// Writes the end of an object, after a member's value, unchanged.
    package mutating func end(object text: StaticString) {
        append(text)
        needsComma = true
    }

    /// Writes a member's name that is not a literal; its value comes next.
    package mutating func name(escaping name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Writes `null`.
    package mutating func null() { word("null") }

    /// Writes `true` or `false`.
    package mutating func bool(_ value: Bool) { word(value ? "true" : "false") }

    private mutating func word(_ word: StaticString) {
        separate()
        append(word)
    }

    private mutating func append(_ text: StaticString) {
        unsafe write(atMost: text.utf8CodeUnitCount) { place in
            unsafe place.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
            return text.utf8CodeUnitCount
        }
    }

    /// Writes an integer in decimal.
    package mutating func integer<Integer: FixedWidthInteger>(_ value: Integer) {
        separate()
        if let value = UInt64(exactly: value) {
            return unsafe write(atMost: 20) { unsafe Self.put(value, at: $0) }
        }
        var digits = InlineArray<40, UInt8>(repeating: 0)
        var first = 40
        var magnitude = value.magnitude
        repeat {
            let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
            first -= 1
            digits[first] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: remainder)
            magnitude = quotient
        } while magnitude != 0
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(digits.span, first..<40)
    }

    /// The number of decimal digits of a value.
    static func digitCount(_ value: UInt64) -> Int {
        var (count, limit) = (1, UInt64(10))
        while count < 20, value >= limit {
            count += 1
            limit &*= 10
        }
        return count
    }

    /// Writes a number in decimal, two digits at a time; returns the number of digits.
    @inline(__always)
    static func put(_ value: UInt64, at place: UnsafeMutablePointer<UInt8>) -> Int {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var span = digits.mutableSpan
        return unsafe span.withUnsafeMutableBufferPointer { digits in
            guard let digits = digits.baseAddress else { return 0 }
            var (first, rest) = (20, value)
            while rest >= 100 {
                let pair = rest % 100
                rest /= 100
                first &-= 2
                unsafe putPair(pair, at: digits + first)
            }
            first &-= 2
            unsafe putPair(rest, at: digits + first)
            if rest < 10 { first &+= 1 }
            unsafe place.update(from: digits + first, count: 20 &- first)
            return 20 &- first
        }
    }

    @inline(__always)
    private static func putPair(_ pair: UInt64, at place: UnsafeMutablePointer<UInt8>) {
        // For numbers below 100 this is a tenth.
        let tens = (pair &* 205) &>> 11
        unsafe place[0] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: tens)
        unsafe place[1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: pair &- tens &* 10)
    }

    /// Writes the shortest number that reads back as `value`; `null` if it is not finite, for which JSON has no
    /// number.
    package mutating func double(_ value: Double) {
        guard value.isFinite else { return null() }
        separate()
        bytes.append(contentsOf: value.description.utf8)
    }

    /// Writes a string with the escapes that JSON needs, and those that keep it valid in JavaScript.
    package mutating func string(_ value: String) {
        string(utf8: value.utf8Span.span)
    }

    /// Writes a string of UTF-8 bytes, which must be valid.
    package mutating func string(utf8 value: Span<UInt8>) {
        if value.skipPlain(from: 0) == value.count { return plainString(value) }
        separate()
        bytes.append(UInt8(ascii: "\""))
        escape(value)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Writes a string without characters to escape.
    private mutating func plainString(_ value: Span<UInt8>) {
        let hasComma = needsComma
        unsafe write(atMost: value.count + 3) { place in
            var count = 0
            if hasComma {
                unsafe place[0] = UInt8(ascii: ",")
                count = 1
            }
            unsafe place[count] = UInt8(ascii: "\"")
            unsafe value.withUnsafeBufferPointer { text in
                if let text = text.baseAddress { unsafe (place + count + 1).update(from: text, count: value.count) }
            }
            count &+= value.count &+ 2
            unsafe place[count &- 1] = UInt8(ascii: "\"")
            return count
        }
        needsComma = true
    }

    /// Writes a string that is the base64 of `value`, padded (RFC 4648 §4).
    package mutating func base64(_ value: Span<UInt8>) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        encodeBase64(value)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends the output of another writer.
    ///
    /// - Parameter needsComma: whether a following member needs a comma.
    package mutating func splice(_ part: [UInt8], needsComma: Bool) {
        // Reserving no bytes would write to the empty array that all threads share.
        guard !part.isEmpty else {
            self.needsComma = needsComma
            return
        }
        unsafe write(atMost: part.count) { place in
            unsafe part.withUnsafeBufferPointer { part in
                if let first = part.baseAddress { unsafe place.update(from: first, count: part.count) }
            }
            return part.count
        }
        self.needsComma = needsComma
    }

    /// Writes bytes that are one JSON value.
    package mutating func raw(_ value: Span<UInt8>) {
        separate()
        append(value, 0..<value.count)
    }

    /// Writes a member that is a string.
    package mutating func member(_ name: StaticString, _ value: String) {
        self.name(name)
        string(value)
    }

    /// Writes a member that is an integer.
    package mutating func member<Integer: FixedWidthInteger>(_ name: StaticString, _ value: Integer) {
        guard let value = UInt64(exactly: value) else {
            self.name(name)
            return integer(value)
        }
        let hasComma = needsComma
        unsafe write(atMost: name.utf8CodeUnitCount + 24) { place in
            let count = unsafe Self.put(name, hasComma: hasComma, at: place)
            return unsafe count &+ Self.put(value, at: place + count)
        }
        needsComma = true
    }

    /// Writes a member that is a floating-point number.
    package mutating func member(_ name: StaticString, _ value: Double) {
        self.name(name)
        double(value)
    }

    /// Writes a member that is `true` or `false`.
    package mutating func member(_ name: StaticString, _ value: Bool) {
        self.name(name)
        bool(value)
    }

    /// Writes a member whose value is written JSON.
    package mutating func member(_ name: StaticString, raw value: Span<UInt8>) {
        self.name(name)
        raw(value)
    }

    private mutating func append(_ span: Span<UInt8>, _ range: Range<Int>) {
        unsafe span.withUnsafeBufferPointer { source in
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: source[range]))
        }
    }

    /// Copies runs without escapes as a whole.
    private mutating func escape(_ value: Span<UInt8>) {
        var copied = 0
        var position = 0
        while true {
            position = value.skipPlain(from: position)
            guard position < value.count else { break }
            let byte = value[position]
            let length: Int
            if byte < 0x80 {
                length = 1
            } else if byte == 0xE2, position + 2 < value.count, value[position + 1] == 0x80,
                value[position + 2] & 0xFE == 0xA8
            {
                // U+2028 and U+2029 end a line in JavaScript before 2019.
                length = 3
            } else {
                position += 1
                continue
            }
            append(value, copied..<position)
            appendEscape(of: length == 1 ? UInt16(byte) : 0x2000 | UInt16(value[position + 2] & 0x3F))
            position += length
            copied = position
        }
        append(value, copied..<value.count)
    }

    private mutating func appendEscape(of unit: UInt16) {
        bytes.append(UInt8(ascii: "\\"))
        switch unit {
        case 0x22, 0x5C: bytes.append(UInt8(truncatingIfNeeded: unit))
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        default:
            bytes.append(UInt8(ascii: "u"))
            for digitIndex in 0..<4 {
                let digit = UInt8(truncatingIfNeeded: unit >> UInt16(12 - 4 * digitIndex)) & 0xF
                bytes.append(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &+ digit &- 10)
            }
        }
    }

    private mutating func encodeBase64(_ value: Span<UInt8>) {
        var position = 0
        while position < value.count {
            let left = value.count - position
            let first = UInt32(value[position]) << 16
            let second = left > 1 ? UInt32(value[position + 1]) << 8 : 0
            let third = left > 2 ? UInt32(value[position + 2]) : 0
            let group = first | second | third
            bytes.append(Self.base64Digit(group >> 18))
            bytes.append(Self.base64Digit(group >> 12))
            bytes.append(left > 1 ? Self.base64Digit(group >> 6) : UInt8(ascii: "="))
            bytes.append(left > 2 ? Self.base64Digit(group) : UInt8(ascii: "="))
            position += 3
        }
    }

    private static func base64Digit(_ bits: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 63)
        return switch value {
        case 0..<26: UInt8(ascii: "A") &+ value
        case 26..<52: UInt8(ascii: "a") &+ value &- 26
        case 52..<62: UInt8(ascii: "0") &+ value &- 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }
}
