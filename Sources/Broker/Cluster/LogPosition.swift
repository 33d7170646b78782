/// The position of a record in the shared log: the term, and the number of its last message.
///
/// A term begins whenever another process of the engine accepts records, so the same number in another term names
/// another record.
package struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let term: UInt64
    package let seq: UInt64

    /// Before everything.
    package static let start = LogPosition(term: 0, seq: 0)

    package init(term: UInt64, seq: UInt64) { (self.term, self.seq) = (term, seq) }

    /// Parses a position in the form of the engine, `TERM-SEQ`; `nil` if the text is not one.
    package init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2, let term = Self.number(parts[0]), let seq = Self.number(parts[1]) else { return nil }
        self.init(term: term, seq: seq)
    }

    /// Parses the same form without a text of its own.
    init?(_ bytes: Span<UInt8>) {
        guard let dash = bytes.indices.first(where: { bytes[$0] == UInt8(ascii: "-") }),
            let term = UInt64(decimal: bytes.extracting(0..<dash)),
            let seq = UInt64(decimal: bytes.extracting(dash + 1..<bytes.count))
        else { return nil }
        self.init(term: term, seq: seq)
    }

    private static func number(_ digits: Substring.UTF8View) -> UInt64? {
        // No sign, which `UInt64` would accept.
        guard digits.first != UInt8(ascii: "+") else { return nil }
        return UInt64(Substring(digits))
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.term, left.seq) < (right.term, right.seq)
    }

    package var description: String { "\(term)-\(seq)" }
}

extension UInt64 {
    /// Parses decimal digits; `nil` if there is something else, nothing, or too much.
    init?(decimal digits: Span<UInt8>) {
        guard !digits.isEmpty else { return nil }
        var number: UInt64 = 0
        for place in digits.indices {
            let digit = digits[place] &- UInt8(ascii: "0")
            let (tens, isBeyond) = number.multipliedReportingOverflow(by: 10)
            let (sum, isTooLarge) = tens.addingReportingOverflow(UInt64(digit))
            guard digit < 10, !isBeyond, !isTooLarge else { return nil }
            number = sum
        }
        self = number
    }
}
