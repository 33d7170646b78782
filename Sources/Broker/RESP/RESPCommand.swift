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
