/// One JSON value at its place in the input: validated, not yet decoded.
///
/// Valid as long as the bytes it was read from.
package struct JSONValue: ~Escapable {
    /// The types of RFC 8259 §3, with `true` and `false` separate.
    package enum Kind: String, Sendable, CustomStringConvertible {
        case string, number, `true`, `false`, null, object, array

        /// The type's name, for an error's text.
        package var description: String { rawValue }
    }

    /// The place and the type of a value.
    struct Extent {
        let range: Range<Int>
        let kind: Kind
        /// Whether a string has escapes.
        var isEscaped = false

        /// The range between a string's quotation marks.
        var inside: Range<Int> { range.lowerBound + 1..<range.upperBound - 1 }
    }

    private let input: Span<UInt8>
    let extent: Extent

    @_lifetime(copy bytes)
    init(bytes: Span<UInt8>, extent: Extent) {
        input = bytes
        self.extent = extent
    }

    /// Reads the one value in `bytes`, which may be surrounded by white space.
    @_lifetime(copy bytes)
    package init(
        parsing bytes: Span<UInt8>, maximumDepth: Int = JSONScanner.maximumDepth
    ) throws(JSONError) {
        var scanner = JSONScanner(bytes, maximumDepth: maximumDepth)
        self.init(bytes: bytes, extent: try scanner.scanWhole())
    }

    /// The value's type.
    package var kind: Kind { extent.kind }

    /// The offset of the value in the input, in bytes.
    package var offset: Int { extent.range.lowerBound }

    /// The value as written in the input, a string with its quotation marks.
    package var rawBytes: Span<UInt8> {
        @_lifetime(copy self)
        get { input.extracting(extent.range) }
    }

    /// A copy of ``rawBytes``.
    package func copyRawBytes() -> [UInt8] { rawBytes.copied }

    /// The decoded string; `nil` if the value is not a string.
    package var string: String? { kind == .string ? text : nil }

    /// The UTF-8 of the decoded string, made without a `String`; `nil` if the value is not a string.
    package var stringBytes: [UInt8]? {
        guard kind == .string else { return nil }
        return extent.isEscaped ? input.unescaped(extent.inside) : input.extracting(extent.inside).copied
    }

    /// The decoded string of a value that is known to be one.
    var text: String {
        if extent.isEscaped { return String(decoding: input.unescaped(extent.inside), as: UTF8.self) }
        // The scanner has checked the bytes.
        return unsafe String(copying: UTF8Span(unchecked: input.extracting(extent.inside)))
    }

    /// Whether it is a string equal to `word`.
    package func says(_ word: JSONName) -> Bool {
        guard kind == .string else { return false }
        if extent.isEscaped {
            // A long one is not decoded: no byte of a word takes more than the six of an escape.
            let word = word.description
            return extent.inside.count <= word.utf8.count * 6 && text == word
        }
        guard JSONName.Mark(input, extent.inside) == word.mark else { return false }
        return word.mark.isWhole || word.withBytes { input.extracting(extent.inside).hasSameBytes(as: $0) }
    }

    /// `true` or `false`; `nil` if the value is neither.
    package var bool: Bool? {
        switch kind {
        case .true: true
        case .false: false
        default: nil
        }
    }

    /// The exact integer, written without fraction and exponent: `1e3` and `5.0` are not integers.
    ///
    /// `member` is for the error's text.
    package func integer<Integer: FixedWidthInteger>(
        as type: Integer.Type = Integer.self, member: @autoclosure () -> String = ""
    ) throws(JSONError) -> Integer {
        guard kind == .number else { throw wrongKind("an integer", member: member()) }
        let digits = rawBytes
        let isNegative = digits[0] == UInt8(ascii: "-")
        var value: Integer = 0
        var position = isNegative ? 1 : 0
        while position < digits.count {
            let byte = digits[position]
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else {
                throw wrongKind("an integer", member: member())
            }
            let digit = Integer(byte &- UInt8(ascii: "0"))
            let (shifted, overflowsShifted) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowsSum) =
                isNegative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
            guard !overflowsShifted, !overflowsSum else { throw JSONError(.outOfRange(member: member()), at: offset) }
            value = sum
            position += 1
        }
        return value
    }

    /// The nearest `Double`; an overflow is an error.
    ///
    /// `member` is for the error's text.
    package func double(member: @autoclosure () -> String = "") throws(JSONError) -> Double {
        guard kind == .number else { throw wrongKind("a number", member: member()) }
        let raw = rawBytes
        let text = unsafe raw.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
        guard let value = Double(text), value.isFinite else {
            throw JSONError(.outOfRange(member: member()), at: offset)
        }
        return value
    }

    /// The members of an object.
    ///
    /// `member` is for the error's text.
    @_lifetime(copy self)
    package func object(member: @autoclosure () -> String = "") throws(JSONError) -> JSONObject {
        guard kind == .object else { throw wrongKind("an object", member: member()) }
        var scanner = scanner()
        guard let object = try scanner.nextObject() else { throw JSONError(.unexpectedEnd, at: offset) }
        return object
    }

    /// Passes `body` each element of an array in order.
    ///
    /// `member` is for the error's text.
    package func forEachElement(
        member: String = "", _ body: (borrowing JSONValue) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard kind == .array else { throw wrongKind("an array", member: member) }
        var scanner = scanner()
        for element in try scanner.scanElements() { try body(JSONValue(bytes: input, extent: element)) }
    }

    /// The decoded strings of an array of strings.
    ///
    /// - Parameters:
    ///   - member: for the error's text.
    ///   - maximum: how many are decoded; later ones are not checked.
    package func strings(member: String = "", atMost maximum: Int = .max) throws(JSONError) -> [String] {
        var strings: [String] = []
        try forEachElement(member: member) { (element) throws(JSONError) in
            guard strings.count < maximum else { return }
            guard let string = element.string else { throw element.wrongKind("a string", member: member) }
            strings.append(string)
        }
        return strings
    }

    /// The error for a value of the wrong type; `expected` is a phrase such as "a string".
    package func wrongKind(_ expected: String, member: String = "") -> JSONError {
        JSONError(.wrongKind(member: member, expected: expected, found: kind), at: offset)
    }

    /// A scanner at the beginning of the value; its depth was checked when the whole input was read.
    @_lifetime(copy self)
    private func scanner() -> JSONScanner {
        JSONScanner(input, from: offset, maximumDepth: .max)
    }
}

extension Span where Element == UInt8 {
    /// The bytes as an array.
    var copied: [UInt8] { unsafe withUnsafeBufferPointer { unsafe Array($0) } }
}
