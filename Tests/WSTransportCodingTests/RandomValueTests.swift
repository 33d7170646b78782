import Testing
import WSTransportCoding

@Suite("MessagePack: random values")
struct RandomValueTests {
    private static func value(_ generator: inout SeededGenerator, levels: Int) -> MessagePackValue {
        func bytes(_ generator: inout SeededGenerator) -> [UInt8] {
            let count = Int.random(in: 0...Int.random(in: 0...300, using: &generator), using: &generator)
            return (0..<count).map { _ in .random(in: 0...255, using: &generator) }
        }
        /// A number of any length, so that each form comes up.
        func word(_ generator: inout SeededGenerator) -> UInt64 {
            generator.next() >> UInt64.random(in: 0...63, using: &generator)
        }
        switch Int.random(in: 0...(levels > 0 ? 11 : 8), using: &generator) {
        case 0: return .null
        case 1: return .bool(.random(using: &generator))
        case 2:
            let word = word(&generator)
            return Int64(exactly: word).map(MessagePackValue.integer) ?? .unsigned(word)
        case 3: return .integer(-1 - Int64(word(&generator) >> 1))
        case 4: return .float(.random(in: -1e9...1e9, using: &generator))
        case 5: return .double(.random(in: -1e18...1e18, using: &generator))
        case 6:
            let scalars = bytes(&generator).compactMap { Unicode.Scalar(UInt32($0) * 400) }
            return .text(String(String.UnicodeScalarView(scalars)))
        case 7: return .binary(bytes(&generator))
        case 8:
            return .extended(
                MessagePackExtension(type: .random(in: -128...127, using: &generator), bytes: bytes(&generator)))
        case 9, 10:
            return .array(
                (0..<Int.random(in: 0...20, using: &generator)).map { _ in value(&generator, levels: levels - 1) })
        default:
            return .map(
                (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                    MessagePackValue.Member(
                        key: value(&generator, levels: 0), value: value(&generator, levels: levels - 1))
                })
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let value = Self.value(&generator, levels: 4)
        let bytes = try MessagePackEncoder().encode(value)
        #expect(try MessagePackDecoder().decode(MessagePackValue.self, from: bytes) == value)
        // As a member of a type, too.
        let members = ["a": [value], "b": [], "c": [value, value]]
        let packed = try MessagePackEncoder().encode(members)
        #expect(try MessagePackDecoder().decode([String: [MessagePackValue]].self, from: packed) == members)
    }

    /// One byte changed: another value or an error, and nothing else.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func surviveDamage(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let bytes = try MessagePackEncoder().encode(Self.value(&generator, levels: 3))
        for _ in 0..<50 {
            var damaged = bytes
            damaged[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            do {
                let value = try MessagePackDecoder().decode(MessagePackValue.self, from: damaged)
                #expect(try MessagePackEncoder().encode(value).count <= damaged.count)
            } catch let error as DecodingError {
                #expect(error.context.debugDescription.hasPrefix("At byte "))
            }
        }
    }
}
