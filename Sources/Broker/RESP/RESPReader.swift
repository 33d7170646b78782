// https://redis.io/docs/latest/develop/reference/protocol-spec: each value is a line, whose first byte is its kind. The
// line of a string has its length, and that of a container the number of its elements, which follow.

/// Reads what a server of Redis's protocol sends: bytes in, values out.
///
/// Each byte is read once, however the bytes are cut. No length is trusted: memory is allocated for received bytes
/// only, and one value with all its contents stays below a limit. After a mistake it reads nothing more.
package struct RESPReader {
    /// The limits of one value.
    package struct Limits: Sendable {
        /// The approximate memory of the whole value, in bytes.
        package var maximumSize = 64 << 20
        /// How deeply containers may be nested.
        package var maximumDepth = 16
        /// The longest line, in bytes: words, errors and numbers.
        package var maximumLine = 64 << 10

        package init() {}
    }

    private enum Container { case array, map, push, attribute }

    /// An incomplete container.
    private struct Frame {
        let container: Container
        var left: Int
        var values: [RESPValue] = []
    }

    /// An incomplete string, with the line end that follows it.
    private struct Bulk {
        enum Meaning { case bytes, error, verbatim }

        let meaning: Meaning
        var left: Int
        var bytes: [UInt8] = []
    }

    private let limits: Limits
    private var line: [UInt8] = []
    private var bulk: Bulk?
    private var stack: [Frame] = []
    /// How much of ``Limits/maximumSize`` the present value has used.
    private var size = 0
    private var mistake: RESPMistake?

    /// The memory of a value in addition to its bytes.
    private static let overhead = 32

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// The next whole value; `nil` if all bytes were read, and more are needed.
    ///
    /// - Parameter offset: where to continue; it is advanced past the bytes that were read.
    package mutating func next(_ bytes: Span<UInt8>, _ offset: inout Int) throws(RESPMistake) -> RESPValue? {
        if let mistake { throw mistake }
        do throws(RESPMistake) {
            return try value(bytes, &offset)
        } catch {
            mistake = error
            (line, bulk, stack) = ([], nil, [])
            throw error
        }
    }

    /// The approximate memory of an incomplete value, in bytes.
    package var heldBytes: Int { size + line.capacity }

    private mutating func value(_ bytes: Span<UInt8>, _ offset: inout Int) throws(RESPMistake) -> RESPValue? {
        while true {
            let value: RESPValue?
            if bulk == nil {
                guard try takeLine(bytes, &offset) else { return nil }
                value = try begin()
                line.removeAll(keepingCapacity: line.capacity <= 4096)
            } else {
                value = try takeBulk(bytes, &offset)
                if value == nil { return nil }
            }
            if let value, let whole = add(value) { return whole }
        }
    }

    /// Adds a value to the innermost container, and returns the outermost value if that completes it.
    private mutating func add(_ value: RESPValue) -> RESPValue? {
        var value = value
        while !stack.isEmpty {
            let top = stack.count - 1
            stack[top].values.append(value)
            stack[top].left -= 1
            guard stack[top].left == 0 else { return nil }
            let frame = stack.removeLast()
            switch frame.container {
            case .array: value = .array(frame.values)
            case .map: value = .map(frame.values)
            case .push: value = .push(frame.values)
            // An attribute annotates the value that follows; nothing here needs it.
            case .attribute: return nil
            }
        }
        size = 0
        return value
    }

    // MARK: Parts

    /// Reads the rest of a line; returns whether it is complete.
    private mutating func takeLine(_ bytes: Span<UInt8>, _ offset: inout Int) throws(RESPMistake) -> Bool {
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "\n") {
                guard line.popLast() == UInt8(ascii: "\r") else {
                    throw RESPMistake("a line that does not end in CR LF")
                }
                return true
            }
            if line.last == UInt8(ascii: "\r") { throw RESPMistake("a CR within a line") }
            guard line.count <= limits.maximumLine else {
                throw RESPMistake("a line above \(limits.maximumLine) bytes")
            }
            line.append(byte)
        }
        return false
    }

    /// Reads a string and its line end; `nil` if more bytes are needed.
    private mutating func takeBulk(_ bytes: Span<UInt8>, _ offset: inout Int) throws(RESPMistake) -> RESPValue? {
        guard var taken = bulk.take() else { return nil }
        let part = bytes.extracting(offset..<offset + min(taken.left, bytes.count - offset))
        unsafe part.withUnsafeBufferPointer { unsafe taken.bytes.append(contentsOf: $0) }
        taken.left -= part.count
        offset += part.count
        guard taken.left == 0 else {
            bulk = taken
            return nil
        }
        guard taken.bytes.popLast() == UInt8(ascii: "\n"), taken.bytes.popLast() == UInt8(ascii: "\r") else {
            throw RESPMistake("bytes that are longer than their length")
        }
        switch taken.meaning {
        case .bytes: return .bytes(taken.bytes)
        case .error: return .error(RESPError(String(decoding: taken.bytes, as: UTF8.self)))
        case .verbatim:
            // `txt:` or `mkd:`, and the text.
            guard taken.bytes.count >= 4, taken.bytes[3] == UInt8(ascii: ":") else {
                throw RESPMistake("a text without its format")
            }
            return .bytes(Array(taken.bytes[4...]))
        }
    }

    /// Begins the value of a whole line; returns it if it is complete, or an empty container.
    private mutating func begin() throws(RESPMistake) -> RESPValue? {
        guard let first = line.first else { throw RESPMistake("an empty line") }
        try take(Self.overhead + line.count)
        switch first {
        case UInt8(ascii: "+"): return .simple(rest)
        case UInt8(ascii: "-"): return .error(RESPError(rest))
        case UInt8(ascii: ":"): return .integer(try number())
        case UInt8(ascii: "$"): return try begin(.bytes)
        case UInt8(ascii: "!"): return try begin(.error)
        case UInt8(ascii: "="): return try begin(.verbatim)
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return try begin(.array, each: 1)
        case UInt8(ascii: "%"): return try begin(.map, each: 2)
        case UInt8(ascii: "|"): return try begin(.attribute, each: 2)
        case UInt8(ascii: ">"):
            guard stack.isEmpty else { throw RESPMistake("a push within a value") }
            return try begin(.push, each: 1)
        case UInt8(ascii: "_"):
            guard line.count == 1 else { throw RESPMistake("a null with a content") }
            return .null
        case UInt8(ascii: "#"):
            guard line.count == 2, line[1] == UInt8(ascii: "t") || line[1] == UInt8(ascii: "f") else {
                throw RESPMistake("a boolean that is neither t nor f")
            }
            return .boolean(line[1] == UInt8(ascii: "t"))
        case UInt8(ascii: ","): return .double(try double())
        case UInt8(ascii: "("): return .bigNumber(try bigNumber())
        default: throw RESPMistake("a line that begins with the byte \(first)")
        }
    }

    private mutating func begin(_ meaning: Bulk.Meaning) throws(RESPMistake) -> RESPValue? {
        guard let length = try length() else {
            guard case .bytes = meaning else { throw RESPMistake("a negative length") }
            return .null
        }
        try take(length)
        bulk = Bulk(meaning: meaning, left: length + 2)
        return nil
    }

    private mutating func begin(_ container: Container, each count: Int) throws(RESPMistake) -> RESPValue? {
        guard let length = try length() else {
            guard line[0] == UInt8(ascii: "*") else { throw RESPMistake("a negative length") }
            return .null
        }
        // So many elements cannot fit, whatever they are; fewer are counted as they arrive.
        guard length <= (limits.maximumSize - size) / Self.overhead / count else { throw tooLarge }
        if length == 0 {
            switch container {
            case .array: return .array([])
            case .map: return .map([])
            case .push: return .push([])
            case .attribute: return nil
            }
        }
        guard stack.count < limits.maximumDepth else {
            throw RESPMistake("values more than \(limits.maximumDepth) levels deep")
        }
        stack.append(Frame(container: container, left: length * count))
        return nil
    }

    private mutating func take(_ count: Int) throws(RESPMistake) {
        guard count <= limits.maximumSize - size else { throw tooLarge }
        size += count
    }

    private var tooLarge: RESPMistake { RESPMistake("a value above \(limits.maximumSize) bytes") }

    // MARK: Lines

    /// The line after its first byte.
    private var rest: String { String(decoding: line.dropFirst(), as: UTF8.self) }

    private func number() throws(RESPMistake) -> Int64 {
        // `Int64` accepts the same as the protocol: an optional sign, and digits.
        guard line.count <= 64, let number = Int64(rest) else { throw RESPMistake("a malformed number") }
        return number
    }

    /// The length in the line; `nil` for -1, which is RESP2's null.
    private func length() throws(RESPMistake) -> Int? {
        let number = try number()
        guard number >= -1, number <= Int64(limits.maximumSize) else {
            throw number < 0 ? RESPMistake("a negative length") : tooLarge
        }
        return number < 0 ? nil : Int(number)
    }

    private func double() throws(RESPMistake) -> Double {
        let text = rest
        switch text {
        case "inf": return .infinity
        case "-inf": return -.infinity
        case "nan": return .nan
        default:
            // Only decimal numbers, of those that Swift reads.
            let isDecimal = text.utf8.allSatisfy {
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || "+-.eE".utf8.contains($0)
            }
            guard isDecimal, text.utf8.count <= 512, let number = Double(text) else {
                throw RESPMistake("a malformed number")
            }
            return number
        }
    }

    private func bigNumber() throws(RESPMistake) -> String {
        let text = rest
        let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            throw RESPMistake("a malformed number")
        }
        return text
    }
}
