/// Finds the mistake in a text that Foundation rejects as JSON without saying why: RFC 8259.
struct JSONSyntax {
    /// The first mistake, and the byte at which it is.
    struct Fault: Error {
        let text: String
    }

    /// As many as Foundation allows.
    private static let maximumDepth = 512

    private let text: [UInt8]
    private var index = 0
    /// The brackets that are open.
    private var open: [UInt8] = []

    private init(_ text: [UInt8]) { self.text = text }

    /// Returns `nil` for JSON.
    static func fault(in text: [UInt8]) -> Fault? {
        var syntax = JSONSyntax(text)
        do throws(Fault) {
            try syntax.readAll()
            return nil
        } catch {
            return error
        }
    }

    /// The next byte that is not space; `nil` at the end.
    private mutating func peek() -> UInt8? {
        while index < text.count, [0x20, 0x0A, 0x0D, 0x09].contains(text[index]) { index += 1 }
        return index < text.count ? text[index] : nil
    }

    private func fault(expected: String) -> Fault {
        guard index < text.count else { return Fault(text: "At byte \(index): expected \(expected), found the end.") }
        let scalar = Unicode.Scalar(text[index])
        let found = scalar.isASCII ? scalar.escaped(asASCII: true) : "the byte \(String(text[index], radix: 16))"
        return Fault(text: "At byte \(index): expected \(expected), found \(found).")
    }

    private mutating func take(_ byte: UInt8, _ expected: String) throws(Fault) {
        guard peek() == byte else { throw fault(expected: expected) }
        index += 1
    }

    /// Without recursion, however deeply it is nested.
    private mutating func readAll() throws(Fault) {
        while true {
            if try readValue() { continue }
            guard try goesOn() else { return }
        }
    }

    /// Reads one value, or opens it, and returns whether a value must follow inside it.
    private mutating func readValue() throws(Fault) -> Bool {
        guard let first = peek() else { throw fault(expected: "a value") }
        switch first {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard open.count < Self.maximumDepth else {
                throw Fault(
                    text: "At byte \(index): more than \(Self.maximumDepth) arrays and objects within one another.")
            }
            open.append(first)
            index += 1
            guard peek() != first + 2 else { return false }
            if first == UInt8(ascii: "{") { try readName() }
            return true
        case UInt8(ascii: "\""): try readString()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try readNumber()
        default:
            let word = ["true", "false", "null"].first { text[index...].starts(with: $0.utf8) }
            guard let word else { throw fault(expected: "a value") }
            index += word.utf8.count
        }
        return false
    }

    /// Closes what ends here, and returns whether another value must follow.
    private mutating func goesOn() throws(Fault) -> Bool {
        while let bracket = open.last {
            switch peek() {
            case bracket + 2:
                index += 1
                open.removeLast()
            case UInt8(ascii: ","):
                index += 1
                if bracket == UInt8(ascii: "{") { try readName() }
                return true
            default: throw fault(expected: bracket == UInt8(ascii: "{") ? "\",\" or \"}\"" : "\",\" or \"]\"")
            }
        }
        guard peek() == nil else { throw fault(expected: "the end behind the value") }
        return false
    }

    private mutating func readName() throws(Fault) {
        guard peek() == UInt8(ascii: "\"") else { throw fault(expected: "a name in quotes") }
        try readString()
        try take(UInt8(ascii: ":"), "\":\"")
    }

    private mutating func readNumber() throws(Fault) {
        func digits(_ index: inout Int) -> Int {
            let start = index
            while index < text.count, (0x30...0x39).contains(text[index]) { index += 1 }
            return index - start
        }
        if text[index] == UInt8(ascii: "-") { index += 1 }
        let first = index
        let count = digits(&index)
        guard count > 0 else { throw fault(expected: "a digit") }
        guard count == 1 || text[first] != UInt8(ascii: "0") else {
            throw Fault(text: "At byte \(first): a number that begins with 0.")
        }
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            guard digits(&index) > 0 else { throw fault(expected: "a digit") }
        }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < text.count, [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(text[index]) { index += 1 }
            guard digits(&index) > 0 else { throw fault(expected: "a digit") }
        }
    }

    private mutating func readString() throws(Fault) {
        let start = index
        index += 1
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            guard text[index] >= 0x20 else { throw fault(expected: "no control character in a string") }
            index += 1
            if text[index - 1] == UInt8(ascii: "\\") { try readEscape() }
        }
        guard index < text.count else { throw fault(expected: "the end of a string") }
        index += 1
        guard String(validating: text[start..<index], as: UTF8.self) != nil else {
            throw Fault(text: "At byte \(start): a string that is not UTF-8.")
        }
    }

    private mutating func readEscape() throws(Fault) {
        guard index < text.count else { throw fault(expected: "the end of a string") }
        guard text[index] == UInt8(ascii: "u") else {
            guard "\"\\/bfnrt".utf8.contains(text[index]) else { throw fault(expected: "an escape") }
            return index += 1
        }
        let start = index - 1
        let unit = try readUnit()
        guard UTF16.isSurrogate(unit) else { return }
        if UTF16.isLeadSurrogate(unit), text[index...].starts(with: "\\u".utf8) {
            index += 1
            if UTF16.isTrailSurrogate(try readUnit()) { return }
        }
        throw Fault(text: "At byte \(start): half of a surrogate pair.")
    }

    /// The `u` and its four digits.
    private mutating func readUnit() throws(Fault) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            index += 1
            guard index < text.count, let digit = Character(Unicode.Scalar(text[index])).hexDigitValue else {
                throw fault(expected: "four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
        }
        index += 1
        return unit
    }
}
