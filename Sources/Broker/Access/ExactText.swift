/// A text that is compared byte by byte; `String` treats canonically equivalent Unicode spellings as equal.
///
/// Names of users, roles, claims and tokens are compared this way.
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
    /// The text, compared byte by byte.
    package var exact: ExactText { ExactText(self) }
}

extension String? {
    /// The text, compared byte by byte.
    package var exact: ExactText? { map { ExactText($0) } }
}

extension Sequence<String> {
    /// The texts, compared byte by byte.
    package var exact: Set<ExactText> { Set(map { ExactText($0) }) }
}
