import Foundation
import Testing
import WSTransportCoding

@Suite("MessagePack: every shape that a Codable type can have")
struct CodableTests {
    /// Encodes, compares with `digits` where there are some, and decodes again.
    private static func roundTrip<Value: Codable>(_ value: Value, _ digits: String? = nil) throws -> Value {
        let bytes = try MessagePackEncoder().encode(value)
        if let digits { #expect(bytes == PackVector.bytes(digits)) }
        return try MessagePackDecoder().decode(Value.self, from: bytes)
    }

    private func check<Value: Codable & Equatable>(_ value: Value, _ digits: String? = nil) throws {
        #expect(try Self.roundTrip(value, digits) == value)
    }

    private struct Point: Codable, Hashable {
        var x: Int
        var y: Int?
        var labels: [String] = []
    }

    private enum Shape: Codable, Equatable {
        case nothing
        case circle(Double)
        case polygon(points: [Point], closed: Bool)
        indirect case both(Shape, Shape)
    }

    private enum Color: String, Codable { case red, blue }
    private enum Level: Int, Codable { case low = -1, high = 300 }

    @Test func codesStructures() throws {
        try check(Point(x: 1, y: nil), "82 a178 01 a66c6162656c73 90")
        try check(Point(x: -33, y: 128, labels: ["a", "ü"]), "83 a178 d0df a179 cc80 a66c6162656c73 92 a161 a2c3bc")
        try check([Point(x: 1), Point(x: 2, y: 3)])
        struct Nothing: Codable, Equatable {}
        try check(Nothing(), "80")
        try check([Nothing(), Nothing()], "92 80 80")
    }

    @Test func codesEnumerations() throws {
        try check(Shape.nothing, "81 a76e6f7468696e67 80")
        try check(Shape.circle(0.5), "81 a6636972636c65 81 a25f30 cb3fe0000000000000")
        try check(Shape.both(.polygon(points: [Point(x: 1)], closed: true), .both(.nothing, .circle(-0.0))))
        try check([Color.red, .blue], "92 a3726564 a4626c7565")
        try check([Level.low, .high], "92 ff cd012c")
        #expect(throws: DecodingError.self) { try MessagePackDecoder().decode(Color.self, from: [0xA1, 0x78]) }
    }

    @Test func codesOptionals() throws {
        try check([1, nil, 3] as [Int?], "93 01 c0 03")
        try check(nil as Int?, "c0")
        try check(["a": nil] as [String: Int?], "81 a161 c0")
        try check([[nil, [7]], nil] as [[[Int?]?]?])
        try check([nil, [1, 2]] as [[UInt8]?], "92 c0 c4020102")
    }

    @Test func codesDictionaries() throws {
        try check(["5": 1], "81 a135 01")
        try check(["05": 1, "5": 2, "": 3, "ü": 4])
        try check([5: 1], "81 05 01")
        try check([-129: "a", 70000: "b"])
        try check([1: [2: [3: true]]], "81 01 81 02 81 03 c3")
        try check([Point(x: 1): "a"], "92 82 a178 01 a66c6162656c73 90 a161")
        let digits = Dictionary(uniqueKeysWithValues: (0..<1000).map { ("\($0)", $0) })
        try check(digits)
        // Keys of the other kind are accepted, too: JavaScript has text only, and other languages do not.
        let text = PackVector.bytes("82 a135 01 a2 2d31 02")
        #expect(try MessagePackDecoder().decode([Int: Int].self, from: text) == [5: 1, -1: 2])
        let numbers = PackVector.bytes("82 05 01 cfffffffffffffffff 02")
        #expect(
            try MessagePackDecoder().decode([String: Int].self, from: numbers) == ["5": 1, "18446744073709551615": 2])
        #expect(throws: DecodingError.self) { try MessagePackDecoder().decode([Int: Int].self, from: numbers) }
    }

    @Test func codesIntegerKeys() throws {
        struct Compact: Codable, Equatable {
            var name: String
            var size: Int

            enum CodingKeys: Int, CodingKey {
                case name = 1
                case size = 200
            }
        }
        try check(Compact(name: "a", size: 2), "82 01 a161 ccc8 02")
        let byName = PackVector.bytes("82 a46e616d65 a161 a473697a65 02")
        #expect(try MessagePackDecoder().decode(Compact.self, from: byName) == Compact(name: "a", size: 2))
    }

    @Test func codesSuperclasses() throws {
        class Animal: Codable {
            var legs = 4
        }
        final class Dog: Animal {
            var name = "Rex"
            private enum CodingKeys: CodingKey { case name }

            override init() { super.init() }

            required init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                name = try container.decode(String.self, forKey: .name)
                try super.init(from: container.superDecoder())
            }

            override func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: CodingKeys.self)
                try super.encode(to: container.superEncoder())
                try container.encode(name, forKey: .name)
            }
        }
        let dog = Dog()
        dog.legs = 3
        let back = try Self.roundTrip(dog, "82 a57375706572 81 a46c656773 03 a46e616d65 a3526578")
        #expect(back.legs == 3 && back.name == "Rex")
        let error = #expect(throws: DecodingError.self) {
            try MessagePackDecoder().decode(Dog.self, from: PackVector.bytes("81 a46e616d65 a0"))
        }
        #expect(error?.context.debugDescription == "The map has no key \"super\".")
    }

    /// Containers that are open side by side, and filled by turns.
    private struct Woven: Codable, Equatable {
        var left: [Int]
        var right: [String: Int]

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(left: [Int], right: [String: Int]) {
            self.left = left
            self.right = right
        }

        func encode(to encoder: any Encoder) throws {
            var outer = encoder.unkeyedContainer()
            try outer.encodeNil()
            var numbers = outer.nestedUnkeyedContainer()
            var names = outer.nestedContainer(keyedBy: Key.self)
            for (number, name) in zip(left, right.keys.sorted()) {
                try numbers.encode(number)
                var inner = names.nestedUnkeyedContainer(forKey: Key(stringValue: name))
                try inner.encode(right[name])
            }
            var last = outer.superEncoder().singleValueContainer()
            try last.encode(left.count)
            _ = outer.superEncoder()
            #expect(outer.count == 5 && numbers.count == left.count && encoder.codingPath.isEmpty)
        }

        init(from decoder: any Decoder) throws {
            var outer = try decoder.unkeyedContainer()
            #expect(outer.count == 5)
            #expect(try !outer.decodeNil() == false)
            var numbers = try outer.nestedUnkeyedContainer()
            let names = try outer.nestedContainer(keyedBy: Key.self)
            let count = try outer.superDecoder().singleValueContainer().decode(Int.self)
            left = try (0..<count).map { _ in try numbers.decode(Int.self) }
            #expect(numbers.isAtEnd && numbers.currentIndex == count)
            right = [:]
            for key in names.allKeys {
                var inner = try names.nestedUnkeyedContainer(forKey: key)
                right[key.stringValue] = try inner.decode(Int.self)
                #expect(inner.codingPath.map(\.stringValue) == ["Index 2", key.stringValue])
            }
            #expect(try outer.decode([String: Int].self) == [:] && outer.isAtEnd)
            #expect(throws: DecodingError.self) { try outer.decode(Int.self) }
            #expect(throws: DecodingError.self) { try outer.decodeNil() }
        }
    }

    @Test func codesContainersFilledAlternately() throws {
        try check(
            Woven(left: [1, 2], right: ["a": 10, "b": 11]), "95 c0 92 01 02 82 a161 91 0a a162 91 0b 02 80")
    }

    @Test func passesUserInfoToNestedTypes() throws {
        struct Tagged: Codable {
            var found: String
            static let key = CodingUserInfoKey(rawValue: "tag")

            init() { found = "" }
            init(from decoder: any Decoder) throws {
                found = try decoder.singleValueContainer().decode(String.self)
                found += Self.key.flatMap { decoder.userInfo[$0] as? String } ?? ""
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(Self.key.flatMap { encoder.userInfo[$0] as? String } ?? "")
            }
        }
        let key = try #require(Tagged.key)
        var encoder = MessagePackEncoder()
        encoder.userInfo[key] = "out"
        let bytes = try encoder.encode([["a": [Tagged()]]])
        #expect(bytes == PackVector.bytes("91 81 a161 91 a36f7574"))
        var decoder = MessagePackDecoder()
        decoder.userInfo[key] = "-in"
        #expect(try decoder.decode([[String: [Tagged]]].self, from: bytes)[0]["a"]?[0].found == "out-in")
    }

    @Test func passesOnErrorsOfATypesOwnCoding() {
        struct Refusing: Codable {
            struct Refusal: Error {}
            init() {}
            init(from decoder: any Decoder) throws { throw Refusal() }
            func encode(to encoder: any Encoder) throws { throw Refusal() }
        }
        #expect(throws: Refusing.Refusal.self) { try MessagePackEncoder().encode(["a": [Refusing()]]) }
        #expect(throws: Refusing.Refusal.self) { try MessagePackDecoder().decode([Refusing].self, from: [0x91, 0xC0]) }
    }

    /// Types that misuse their encoder get an error, and end no process.
    @Test func rejectsMisuseOfTheEncoder() {
        struct Twice: Encodable {
            enum Key: CodingKey { case a }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(1, forKey: .a)
                try container.encode(2, forKey: .a)
            }
        }
        struct Torn: Encodable {
            func encode(to encoder: any Encoder) throws {
                var array = encoder.unkeyedContainer()
                try array.encode(1)
                var single = encoder.singleValueContainer()
                try? single.encode(2)
            }
        }
        final class Endless: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                try container.encode(self)
            }
        }
        #expect(throws: EncodingError.self) { try MessagePackEncoder().encode([Twice()]) }
        #expect(throws: EncodingError.self) { try MessagePackEncoder().encode(["a": Torn()]) }
        #expect(throws: EncodingError.self) { try MessagePackEncoder().encode(Endless()) }
        let error = #expect(throws: EncodingError.self) { try MessagePackEncoder().encode(["a": [1, UInt128.max]]) }
        guard case .invalidValue(_, let context) = error else { return #expect(Bool(false), "no error") }
        #expect(context.codingPath.map(\.stringValue) == ["a", "Index 1"])
        #expect(context.debugDescription.contains("does not fit in the 64 bits"))
    }
}
