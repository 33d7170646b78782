import Testing

@testable import Broker

@Suite("Configuration: damaged files end in errors, never in a trap")
struct ConfigurationMutationTests {
    /// SplitMix64: a generator with a seed, so that a failing case can be repeated.
    struct SeededGenerator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var result = state
            result = (result ^ (result >> 30)) &* 0xBF58_476D_1CE4_E5B9
            result = (result ^ (result >> 27)) &* 0x94D0_49BB_1331_11EB
            return result ^ (result >> 31)
        }
    }

    /// Fragments that are dangerous in YAML, or at the edge of a value.
    static let pieces = [
        "\0", "\n", "\t", " ", ":", ": ", "- ", "#", "[", "]", "{", "}", "\"", "'", "&a ", "*a", "!!int ", "|\n", ">\n",
        "? ",
        "---\n", "...\n", "%YAML 1.1\n", "<<", "~", "-1", "0", "9223372036854775807", "9223372036854775808TiB", "1d",
        "ä",
        "\u{FEFF}", "unlimited", "[[[[[[[[[[[[[[[[[[", "\\x00", "\u{85}", "\u{2028}",
    ].map { Array($0.utf8) }

    /// Reads `bytes`; whatever the outcome, errors have places inside the file and settings read back the same.
    static func check(_ bytes: [UInt8]) {
        do throws(ConfigurationErrors) {
            let settings = try ConfigurationReader.parse(bytes, file: "x.yaml")
            let written = SettingsWriter.yaml(settings)
            #expect(try ConfigurationReader.parse(Array(written.utf8), file: "y.yaml") == settings)
        } catch {
            #expect(!error.errors.isEmpty)
            #expect(error.errors.allSatisfy { 1...bytes.count + 1 ~= $0.line && 1...bytes.count + 1 ~= $0.column })
        }
    }

    @Test(arguments: 0..<300)
    func survivesMutations(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let whole = Array(
            try (seed % 2 == 0 ? ConfigurationFileTests.completeText() : ConfigurationReaderTests.changed).utf8)
        var bytes = whole
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            let start = Int.random(in: 0...bytes.count, using: &generator)
            let end = min(bytes.count, start + Int.random(in: 0...12, using: &generator))
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes.removeSubrange(start..<end)
            case 1: bytes.insert(contentsOf: Self.pieces.randomElement(using: &generator) ?? [], at: start)
            case 2: bytes.replaceSubrange(start..<end, with: Self.pieces.randomElement(using: &generator) ?? [])
            case 3: bytes.insert(contentsOf: bytes[start..<end], at: Int.random(in: 0...bytes.count, using: &generator))
            default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: start)
            }
        }
        Self.check(bytes)
    }

    @Test func survivesEveryTruncation() throws {
        let bytes = Array(ConfigurationReaderTests.changed.utf8)
        for count in 0...bytes.count { Self.check(Array(bytes[..<count])) }
    }

    @Test(arguments: ["[", "{", "- ", "? ", "a: {", "\"", "[[],", "&a [", "!a "])
    func survivesRepetition(piece: String) {
        Self.check(Array(String(repeating: piece, count: 20_000).utf8))
    }
}
