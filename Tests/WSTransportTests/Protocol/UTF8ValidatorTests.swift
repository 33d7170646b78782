import Testing

@testable import WSTransport

/// Bytes and the number of the first one that no valid text begins with; 0 for valid text, one more than the bytes
/// where only the end is missing.
struct UTF8Vector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    let failsAfter: Int

    var testDescription: String { name }
}

@Suite("RFC 3629; RFC 6455 §8.1: UTF-8, refused as early as can be")
struct UTF8ValidatorTests {
    static let vectors: [UTF8Vector] = Vectors.load("utf8")

    @Test(arguments: vectors)
    func failsAtTheFirstByteThatIsWrong(_ vector: UTF8Vector) {
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
    func failsWithAnyPieceThatHoldsTheWrongByte(_ vector: UTF8Vector) {
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
}

extension UTF8Validator {
    mutating func append(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { append($0) } }

    static func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { isValid($0) } }
}
