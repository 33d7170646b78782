// fuzz: Sources/Broker/RESP

// Any bytes are answers of a server, or a mistake, however they are cut; what was read and is written as RESP3 is read as the
// same. The first byte says where the pieces end.

#if canImport(Broker)
    @testable import Broker
#endif

private let limits: RESPReader.Limits = {
    var limits = RESPReader.Limits()
    (limits.maximumSize, limits.maximumDepth, limits.maximumLine) = (4096, 4, 64)
    return limits
}()

private func read(_ input: ArraySlice<UInt8>, pieces length: Int) -> (values: [RESPValue], mistake: String?) {
    var reader = RESPReader(limits: limits)
    var values: [RESPValue] = []
    var rest = input
    do throws(RESPMistake) {
        while !rest.isEmpty {
            let piece = Array(rest.prefix(length))
            rest = rest.dropFirst(length)
            var offset = 0
            while let value = try reader.next(piece.span, &offset) { values.append(value) }
            precondition(offset == piece.count, "bytes that are not taken")
            precondition(
                reader.heldBytes <= limits.maximumSize + 2 * limits.maximumLine + 4096, "more than may be held")
        }
    } catch {
        precondition(!error.description.isEmpty, "a mistake without words")
        return (values, error.description)
    }
    return (values, nil)
}

private func line(_ kind: Unicode.Scalar, _ text: String) -> [UInt8] {
    [UInt8(ascii: kind)] + Array(text.utf8) + [13, 10]
}

private func written(_ value: RESPValue) -> [UInt8] {
    switch value {
    case .simple(let text): line("+", text)
    case .error(let error): line("!", String(error.description.utf8.count)) + Array(error.description.utf8) + [13, 10]
    case .integer(let number): line(":", String(number))
    case .bytes(let bytes): line("$", String(bytes.count)) + bytes + [13, 10]
    case .null: line("_", "")
    case .array(let values): line("*", String(values.count)) + values.flatMap(written)
    case .map(let values): line("%", String(values.count / 2)) + values.flatMap(written)
    case .push(let values): line(">", String(values.count)) + values.flatMap(written)
    case .boolean(let isTrue): line("#", isTrue ? "t" : "f")
    case .double(let number): line(",", number.isNaN ? "nan" : "\(number)")
    case .bigNumber(let text): line("(", text)
    }
}

func fuzzRESP(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = input[1...]
    let whole = read(bytes, pieces: max(1, bytes.count))
    let pieces = read(bytes, pieces: Int(first) + 1)
    precondition(whole.mistake == pieces.mistake, "another mistake")
    let again = whole.values.map(written)
    precondition(again == pieces.values.map(written), "other values")
    var reader = RESPReader()
    for (value, bytes) in zip(whole.values, again) {
        var offset = 0
        guard let same = try? reader.next(bytes.span, &offset) else { preconditionFailure("not what was read") }
        precondition(offset == bytes.count && written(same) == bytes, "not what was written")
        precondition(value == same || bytes.contains(UInt8(ascii: "n")), "another value")
    }
}
