/// A text that equals another only if its bytes do: `String` takes several spellings of Unicode for the same.
///
/// What clients and configurations call users, roles, claims and tokens is compared so.
package struct ExactText: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package init(stringLiteral text: String) { self.text = text }

    package var description: String { text }

    package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        unsafe text.utf8Span.span.bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        hasher.combine(UInt8(0xFF))
    }
}

extension String {
    /// Itself, compared by its bytes.
    package var exact: ExactText { ExactText(self) }
}

extension String? {
    /// Itself, compared by its bytes.
    package var exact: ExactText? { map { ExactText($0) } }
}

extension Sequence<String> {
    /// Its texts, compared by their bytes.
    package var exact: Set<ExactText> { Set(map { ExactText($0) }) }
}
