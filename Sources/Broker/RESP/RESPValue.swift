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

/// A command for a server of Redis's protocol, encoded as an array of strings.
package struct RESPCommand: Equatable, Sendable {
    /// One word of a command.
    package enum Word: Sendable, ExpressibleByStringLiteral {
        case text(String)
        case bytes([UInt8])
        case number(UInt64)

        package init(stringLiteral text: String) { self = .text(text) }

        fileprivate var count: Int {
            switch self {
            case .text(let text): text.utf8.count
            case .bytes(let bytes): bytes.count
            case .number(let number): RESPCommand.digits(of: number)
            }
        }
    }

    package private(set) var bytes: [UInt8] = []

    package init(_ words: [Word]) {
        bytes.reserveCapacity(words.reduce(16) { $0 + $1.count + 16 })
        begin("*", words.count)
        for word in words {
            begin("$", word.count)
            switch word {
            case .text(let text): bytes.append(contentsOf: text.utf8)
            case .bytes(let content): bytes.append(contentsOf: content)
            case .number(let number): append(number)
            }
            endLine()
        }
    }

    /// Several commands, one after another.
    package init(joining commands: [RESPCommand]) {
        bytes.reserveCapacity(commands.reduce(0) { $0 + $1.bytes.count })
        for command in commands { bytes.append(contentsOf: command.bytes) }
    }

    private mutating func begin(_ kind: Unicode.Scalar, _ count: Int) {
        bytes.append(UInt8(ascii: kind))
        append(UInt64(count))
        endLine()
    }

    private mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }

    /// How many decimal digits a number has.
    private static func digits(of number: UInt64) -> Int {
        var (count, rest) = (1, number)
        while rest >= 10 { (count, rest) = (count + 1, rest / 10) }
        return count
    }

    private mutating func append(_ number: UInt64) {
        var unit: UInt64 = 1
        while number / unit >= 10 { unit *= 10 }
        while unit > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / unit % 10))
            unit /= 10
        }
    }
}

extension RESPCommand: ExpressibleByArrayLiteral {
    package init(arrayLiteral words: Word...) { self.init(words) }
}
