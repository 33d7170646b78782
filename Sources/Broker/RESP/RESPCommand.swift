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
            case .number(let number): String(number).utf8.count
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
            case .number(let number): bytes.append(contentsOf: String(number).utf8)
            }
            bytes.append(contentsOf: "\r\n".utf8)
        }
    }

    private mutating func begin(_ kind: Unicode.Scalar, _ count: Int) {
        bytes.append(UInt8(ascii: kind))
        bytes.append(contentsOf: String(count).utf8)
        bytes.append(contentsOf: "\r\n".utf8)
    }
}

extension RESPCommand: ExpressibleByArrayLiteral {
    package init(arrayLiteral words: Word...) { self.init(words) }
}
