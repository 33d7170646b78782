/// A value from a server of Redis's protocol, RESP2 or RESP3.
package enum RESPValue: Equatable, Sendable {
    /// A word such as `OK`.
    case simple(String)
    /// A refused command, or a part of an answer that failed.
    case error(RESPError)
    case integer(Int64)
    case bytes([UInt8])
    case null
    /// An array, or a set of RESP3.
    case array([RESPValue])
    /// Alternating keys and values, which are an array in RESP2.
    case map([RESPValue])
    case boolean(Bool)
    case double(Double)
    /// An integer beyond 64 bits, in decimal.
    case bigNumber(String)
    /// An unsolicited message between two answers.
    case push([RESPValue])

    /// The elements of an array, or the keys and values of a map; `nil` for other values.
    package var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .map(let elements): elements
        default: nil
        }
    }

    /// The text of a word, of bytes that are UTF-8, or of an integer; `nil` if it has none.
    package var text: String? {
        switch self {
        case .simple(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        case .integer(let number): String(number)
        default: nil
        }
    }

    /// The integer, or the one that the bytes spell; `nil` for other values.
    package var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .bytes, .simple: text.flatMap { Int64($0) }
        default: nil
        }
    }
}

/// A refusal by the server.
package struct RESPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The whole text; its first word is the ``code``.
    package let description: String

    package init(_ text: String) { description = text }

    /// The first word, for programs: `ERR`, `READONLY`, `WRONGPASS`.
    package var code: Substring { description.prefix { $0 != " " } }
}

/// Why bytes are not answers of a server.
///
/// The connection is useless afterwards, because the start of the next answer is not known.
package struct RESPMistake: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, as a phrase.
    package let description: String

    init(_ description: String) { self.description = description }
}
