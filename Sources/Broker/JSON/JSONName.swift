/// The name of a member that a reader looks for, prepared so that two words distinguish it from most others.
package struct JSONName: ExpressibleByStringLiteral {
    private enum Text {
        case literal(StaticString)
        case string(String)
    }

    private let text: Text
    let mark: Mark

    /// The name of a member of the protocol.
    @inline(__always)
    package init(stringLiteral name: StaticString) {
        text = .literal(name)
        mark = unsafe Mark(name.utf8Start, count: name.utf8CodeUnitCount)
    }

    /// A name that is known only at run time.
    package init(_ name: String) {
        text = .string(name)
        let bytes = name.utf8Span.span
        mark = Mark(bytes, 0..<bytes.count)
    }

    /// The name, for the text of an error.
    package var description: String {
        switch text {
        case .literal(let name): name.description
        case .string(let name): name
        }
    }

    /// Passes `body` the name's bytes.
    @inline(__always)
    func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        switch text {
        case .literal(let name):
            let bytes = unsafe UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            return unsafe body(bytes.span)
        case .string(let name): return body(name.utf8Span.span)
        }
    }

    /// The length of a name and its first eight bytes; shorter names are padded with zeros.
    struct Mark: Equatable {
        let first: UInt64
        let count: Int

        /// Whether it contains the whole name.
        var isWhole: Bool { count <= 8 }

        @inline(__always)
        init(_ start: UnsafePointer<UInt8>, count: Int) {
            var first: UInt64 = 0
            for index in 0..<min(count, 8) {
                first |= unsafe UInt64(start[index]) &<< UInt64(truncatingIfNeeded: index &* 8)
            }
            self.first = first
            self.count = count
        }

        @inline(__always)
        init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
            count = range.count
            first = bytes.word(at: range.lowerBound, count: min(count, 8))
        }

        /// One of 64 bits, by which a set of names can quickly exclude a name.
        var bit: UInt64 {
            let mixed = (first ^ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15
            return 1 &<< (mixed &>> 58)
        }
    }
}

/// Why bytes are not the expected JSON: what is wrong, and at which byte from the beginning of the input.
package struct JSONError: Error, Equatable, Sendable {
    /// What is wrong.
    package enum Reason: Equatable, Sendable {
        /// The input ends inside a value.
        case unexpectedEnd
        case unexpectedByte(UInt8, expected: String)
        /// Something follows the only value that the input may contain.
        case trailingBytes
        case malformedNumber
        case malformedEscape
        /// A `\u` escape names half a surrogate pair.
        case loneSurrogate
        /// A string contains an unescaped byte below 0x20.
        case controlCharacter(UInt8)
        case notUTF8
        case tooDeep(maximum: Int)
        case tooManyMembers(maximum: Int)
        case duplicateMember(String)
        /// A member, or the value itself if the name is empty, does not have the type that its reader expects.
        case wrongKind(member: String, expected: String, found: JSONValue.Kind)
        /// A number does not fit its reader's type.
        case outOfRange(member: String)
    }

    package let reason: Reason
    /// In bytes.
    package let offset: Int

    /// Makes an error.
    package init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

extension JSONError: CustomStringConvertible {
    /// A phrase for the user that says what is wrong and where.
    package var description: String { "\(reason) at byte \(offset)" }
}

extension JSONError.Reason: CustomStringConvertible {
    /// What is wrong, without the place.
    package var description: String {
        switch self {
        case .unexpectedEnd: "the JSON ends too early"
        case .unexpectedByte(let byte, let expected): "expected \(expected), found \(Self.name(of: byte))"
        case .trailingBytes: "something follows the JSON value"
        case .malformedNumber: "malformed number"
        case .malformedEscape: "malformed escape in a string"
        case .loneSurrogate: "half a surrogate pair in a string"
        case .controlCharacter(let byte): "unescaped control character \(Self.name(of: byte)) in a string"
        case .notUTF8: "bytes that are not UTF-8"
        case .tooDeep(let maximum): "values nested deeper than \(maximum)"
        case .tooManyMembers(let maximum): "an object with more than \(maximum) members"
        case .duplicateMember(let name): "a second member \"\(name)\""
        case .wrongKind(let member, let expected, let found):
            (member.isEmpty ? "" : "\"\(member)\": ") + "expected \(expected), found \(found)"
        case .outOfRange(let member): (member.isEmpty ? "" : "\"\(member)\": ") + "number out of range"
        }
    }

    private static func name(of byte: UInt8) -> String {
        if (0x21...0x7E).contains(byte) { return "'\(Unicode.Scalar(byte))'" }
        let digits = String(byte, radix: 16, uppercase: true)
        return "0x" + (digits.count == 1 ? "0" : "") + digits
    }
}
