/// A body in chunks, read strictly (RFC 9112 §7.1).
///
/// Extensions and trailers are checked, counted against a limit and dropped.
package struct ChunkedDecoder: Sendable {
    /// An event in the decoded bytes.
    package enum Event: Equatable, Sendable {
        /// A piece of the body: a range of the input.
        case data(Range<Int>)
        /// The body is complete; what follows in the input is the next request.
        case end
    }

    /// What the next byte must be.
    private enum Expectation {
        case sizeFirst, size, extensions, sizeLineFeed
        case data, dataCarriageReturn, dataLineFeed
        case trailerFirst, trailerName, trailerValue, trailerLineFeed, lastLineFeed
        case nothing
    }

    /// The maximum size of all extensions and trailers of a body, in bytes.
    package static let maximumOverhead = 16_384

    private var expectation = Expectation.sizeFirst
    private var remaining = 0
    private var overhead = 0

    /// How many bytes of the current chunk are still to come; 0 before its size has been read.
    package var announced: Int { expectation == .size ? 0 : remaining }

    /// Makes a decoder before the first chunk.
    package init() {}

    /// Whether the body is complete.
    package var isAtEnd: Bool { expectation == .nothing }

    /// The next event in `input`, from `offset` on; `nil` when all of the input is consumed.
    ///
    /// Moves `offset` past what was read; call it again until `nil` or `.end`. After `.end` it reads nothing more.
    package mutating func next(
        _ input: UnsafeRawBufferPointer, _ offset: inout Int
    ) throws(HTTPParseError) -> Event? {
        while offset < input.count, expectation != .nothing {
            if expectation == .data {
                let range = offset..<offset &+ min(remaining, input.count &- offset)
                offset = range.upperBound
                remaining &-= range.count
                if remaining == 0 { expectation = .dataCarriageReturn }
                return .data(range)
            }
            let byte = unsafe input[offset]
            offset &+= 1
            try step(byte)
            if expectation == .nothing { return .end }
        }
        return nil
    }

    private mutating func step(_ byte: UInt8) throws(HTTPParseError) {
        switch expectation {
        case .sizeFirst, .size: try readSize(byte)
        case .extensions:
            if byte == .carriageReturn { expectation = .sizeLineFeed } else { try count(byte) }
        case .sizeLineFeed: try take(byte, .lineFeed, then: remaining == 0 ? .trailerFirst : .data)
        case .dataCarriageReturn: try take(byte, .carriageReturn, then: .dataLineFeed)
        case .dataLineFeed: try take(byte, .lineFeed, then: .sizeFirst)
        case .trailerFirst where byte == .carriageReturn: expectation = .lastLineFeed
        case .trailerName where byte == UInt8(ascii: ":"):
            try count(byte)
            expectation = .trailerValue
        case .trailerFirst, .trailerName:
            guard byte.isTokenCharacter else { throw .badRequest("trailer name") }
            try count(byte)
            expectation = .trailerName
        case .trailerValue:
            if byte == .carriageReturn { expectation = .trailerLineFeed } else { try count(byte) }
        case .trailerLineFeed: try take(byte, .lineFeed, then: .trailerFirst)
        case .lastLineFeed: try take(byte, .lineFeed, then: .nothing)
        case .data, .nothing: break
        }
    }

    private mutating func readSize(_ byte: UInt8) throws(HTTPParseError) {
        if let digit = byte.hexadecimalValue {
            // Leading zeros of a size carry no information, so they are counted like an extension.
            if remaining == 0 && expectation == .size { try count(byte) }
            guard remaining <= Int.max >> 4 else { throw .badRequest("chunk size: too large") }
            remaining = remaining << 4 | Int(digit)
            expectation = .size
            return
        }
        guard expectation == .size else { throw .badRequest("chunk size") }
        switch byte {
        case .carriageReturn: expectation = .sizeLineFeed
        case UInt8(ascii: ";"):
            try count(byte)
            expectation = .extensions
        default: throw .badRequest("chunk size")
        }
    }

    private mutating func take(
        _ byte: UInt8, _ expected: UInt8, then next: Expectation
    ) throws(HTTPParseError) {
        guard byte == expected else { throw .badRequest("chunk: line end") }
        expectation = next
    }

    private mutating func count(_ byte: UInt8) throws(HTTPParseError) {
        guard byte.isFieldCharacter else { throw .badRequest("chunk: control character") }
        overhead &+= 1
        guard overhead <= Self.maximumOverhead else { throw .badRequest("chunk: extensions or trailers too long") }
    }
}
