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
