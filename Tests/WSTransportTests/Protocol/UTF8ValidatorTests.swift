import Testing

@testable import WSTransport

/// Bytes and the number of the first one that makes the text invalid; 0 for valid text, one more than the bytes
/// if only the end is missing.
struct UTF8Vector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    let failsAfter: Int

    var testDescription: String { name }
}

@Suite("RFC 3629; RFC 6455 §8.1: UTF-8, rejected as early as possible")
struct UTF8ValidatorTests {
    static let vectors: [UTF8Vector] = Vectors.load("utf8")

    @Test(arguments: vectors)
    func failsAtTheFirstInvalidByte(_ vector: UTF8Vector) {
        let bytes = Vectors.bytes(vector.bytes)
        var validator = UTF8Validator()
        let failure = bytes.firstIndex { byte in !validator.append([byte]) }
        if vector.failsAfter == 0 {
            #expect(failure == nil && validator.isComplete)
        } else if vector.failsAfter > bytes.count {
            #expect(failure == nil && !validator.isComplete)
        } else {
            #expect(failure == vector.failsAfter - 1)
        }
    }

    @Test(arguments: vectors)
    func failsWhereverTheInputIsSplit(_ vector: UTF8Vector) {
        let bytes = Vectors.bytes(vector.bytes)
        for end in 0...bytes.count {
            let isPossible = vector.failsAfter == 0 || end < vector.failsAfter
            for cut in 0...end {
                var validator = UTF8Validator()
                let accepted = validator.append(Array(bytes[..<cut])) && validator.append(Array(bytes[cut..<end]))
                #expect(accepted == isPossible, "\(end) bytes cut at \(cut)")
            }
        }
    }

    @Test func agreesWithTheStandardLibraryOnAllPairs() {
        for first in UInt8.min ... .max {
            for second in UInt8.min ... .max {
                let bytes = [0x61, first, second]
                let isValid = String(validating: bytes, as: UTF8.self) != nil
                if UTF8Validator.isValid(bytes) != isValid { Issue.record("\(bytes)") }
            }
        }
    }

    @Test(arguments: 0..<100)
    func agreesWithTheStandardLibraryOnRandomBytes(seed: UInt64) {
        var random = SplitMix(seed: seed)
        // Bytes at the borders of what is allowed, so that many sequences are nearly valid.
        let borders: [UInt8] = [
            0x00, 0x61, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1,
            0xF4, 0xF5,
        ]
        for _ in 0..<2_000 {
            let padding = [UInt8](repeating: 0x61, count: Int.random(in: 0...40, using: &random))
            let tail = (0..<Int.random(in: 1...6, using: &random)).map { _ in borders.randomElement(using: &random) ?? 0
            }
            let bytes = padding + tail + padding.prefix(3)
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            if UTF8Validator.isValid(bytes) != isValid { Issue.record("\(bytes)") }
        }
    }

    /// The first and last scalars of each length and beside the surrogates, and sequences that miss them narrowly.
    static let borders: [[UInt8]] =
        [
            0x00, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF,
            0x40000, 0xFFFFF, 0x100000, 0x10FFFF,
        ].compactMap { Unicode.Scalar($0 as UInt32) }.map { Array(String($0).utf8) } + [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2, 0x7F], [0xC2, 0xC0], [0xDF, 0xBF, 0x80],
            [0xE0, 0x9F, 0xBF], [0xE1, 0x80, 0x7F], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xEF, 0xBF, 0xC0],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF1, 0x80, 0x80, 0x7F], [0xF1, 0x80, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFF],
            [0xC2], [0xE0, 0xA0], [0xEF], [0xF0, 0x90], [0xF4, 0x8F, 0xBF],
        ]

    @Test(arguments: ["a", "ж", "温", "🙂"])
    func agreesWithTheScalarLoopAtEveryBoundary(_ filler: String) {
        let text = Array(String(repeating: filler, count: 100).utf8)
        let width = filler.utf8.count
        for border in Self.borders {
            // A vector is 32 bytes: the border lies in the first, the second and third, and across each of their ends.
            for ahead in 0...100 / width {
                for padding in [0, 1, 30, 70] {
                    let between: [UInt8] = padding == 1 ? [0x61] : []
                    let bytes = text.prefix(ahead * width) + between + border + text.prefix(padding * width)
                    checkAgainstScalarLoop(Array(bytes), cut: bytes.count)
                }
            }
        }
    }

    @Test(arguments: 0..<50)
    func agreesWithTheScalarLoopOnFaultyAndTruncatedText(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let alphabet = Self.borders + ["e", "ß", "я", "ก", "語", "한", "🚀"].map { Array($0.utf8) }
        for _ in 0..<200 {
            let (valid, all) = (alphabet.filter { UTF8Validator.isValid($0) }, alphabet)
            var bytes = (0..<Int.random(in: 1...80, using: &random)).flatMap { _ in
                valid.randomElement(using: &random) ?? []
            }
            switch Int.random(in: 0...3, using: &random) {
            case 0: bytes.insert(contentsOf: all.randomElement(using: &random) ?? [], at: bytes.count / 2)
            case 1: bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...0xFF, using: &random)
            case 2: bytes.remove(at: Int.random(in: bytes.indices, using: &random))
            default: break
            }
            for _ in 0..<4 { checkAgainstScalarLoop(bytes, cut: Int.random(in: 0...bytes.count, using: &random)) }
        }
    }

    private func checkAgainstScalarLoop(_ bytes: [UInt8], cut: Int) {
        var validator = UTF8Validator()
        var reference = UTF8Validator()
        for piece in [bytes[..<cut], bytes[cut...]] {
            let isTaken = validator.append(Array(piece))
            let isRight = reference.appendByScalars(Array(piece))
            guard isTaken == isRight, !isTaken || validator.isComplete == reference.isComplete else {
                Issue.record("\(bytes) cut at \(cut)")
                return
            }
            guard isTaken else { return }
        }
    }
}

extension UTF8Validator {
    mutating func append(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { append($0) } }

    mutating func appendByScalars(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            buffer.baseAddress.map { appendByScalars($0, from: 0, count: buffer.count) } ?? true
        }
    }

    static func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { isValid($0) } }
}
