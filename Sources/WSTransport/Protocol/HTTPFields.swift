/// The fields of a head, in their order; names are compared without regard to case (RFC 9110 §5).
public struct HTTPFields: RandomAccessCollection, Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field line.
    public struct Field: Equatable, Sendable {
        /// As it was written.
        public let name: String
        /// Without the white space around it.
        public let value: String

        /// A field of this name and value.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    private var lines: [Field] = []

    /// No fields.
    public init() {}

    /// These fields, in this order.
    public init(dictionaryLiteral elements: (String, String)...) {
        lines = elements.map { Field(name: $0.0, value: $0.1) }
    }

    /// Where the first field is: 0.
    public var startIndex: Int { 0 }
    /// The number of field lines.
    public var endIndex: Int { lines.count }
    /// The field line at `position`.
    public subscript(position: Int) -> Field { lines[position] }

    /// Adds a field line at the end.
    public mutating func append(_ name: String, _ value: String) {
        lines.append(Field(name: name, value: value))
    }

    /// The value of the first line of this name, `nil` where there is none.
    public func first(_ name: String) -> String? {
        for line in lines where line.name.isSameIgnoringCase(name) { return line.value }
        return nil
    }

    /// The value of the only line of this name, `nil` where there is none or more than one.
    public func only(_ name: String) -> String? {
        let values = all(name)
        return values.count == 1 ? values[0] : nil
    }

    /// The values of all lines of this name, in their order.
    public func all(_ name: String) -> [String] {
        lines.compactMap { line in line.name.isSameIgnoringCase(name) ? line.value : nil }
    }

    /// The elements of a comma-separated list over all lines of this name, without white space around them; empty
    /// ones are left out (RFC 9110 §5.6.1).
    ///
    /// Commas inside quoted strings separate, too: meant for lists of tokens.
    public func list(_ name: String) -> [String] {
        all(name).flatMap { value in
            value.utf8.split(separator: UInt8(ascii: ",")).compactMap { element in
                let trimmed = element.trimmingWhitespace()
                return trimmed.isEmpty ? nil : String(Substring(trimmed))
            }
        }
    }

    /// The elements of a list of tokens, as ``list(_:)``, in small letters.
    public func tokens(_ name: String) -> [String] {
        list(name).map { element in element.lowercasedASCII() }
    }

    /// Appends the field lines, each with its CRLF, to `bytes`.
    ///
    /// A control character in a value is written as a space, so that no value ends its line.
    public func write(to bytes: inout [UInt8]) {
        for line in lines {
            bytes.append(contentsOf: line.name.utf8.lazy.map { $0.isTokenCharacter ? $0 : UInt8(ascii: "-") })
            bytes.append(contentsOf: ": ".utf8)
            bytes.append(contentsOf: line.value.utf8.lazy.map { $0.isFieldCharacter ? $0 : .space })
            bytes.append(contentsOf: "\r\n".utf8)
        }
    }
}
