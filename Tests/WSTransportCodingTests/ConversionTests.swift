import Foundation
import Testing
import WSTransportCoding

@Suite("MessagePack: conversions between types and items")
struct ConversionTests {
    private static func decode<Value: Decodable>(_ type: Value.Type, _ digits: String) throws -> Value {
        try MessagePackDecoder().decode(type, from: PackVector.bytes(digits))
    }

    /// Each integer type at its borders, and one beyond.
    private func checkBorders<Number: FixedWidthInteger & Codable>(_ type: Number.Type) throws {
        for number in [Number.min, .min + 1, 0, 1, 31, 32, 33, 100, 127, .max - 1, .max] {
            let bytes = try MessagePackEncoder().encode(number)
            #expect(try MessagePackDecoder().decode(type, from: bytes) == number)
        }
        if let above = Int128(exactly: Number.max).map({ $0 + 1 }), UInt64(exactly: above) != nil {
            let bytes = try MessagePackEncoder().encode(above)
            #expect(throws: DecodingError.self) { try MessagePackDecoder().decode(type, from: bytes) }
        }
        if let below = Int128(exactly: Number.min).map({ $0 - 1 }), Int64(exactly: below) != nil {
            let bytes = try MessagePackEncoder().encode(below)
            #expect(throws: DecodingError.self) { try MessagePackDecoder().decode(type, from: bytes) }
        }
    }

    @Test func codesIntegersOfEveryWidth() throws {
        try checkBorders(Int8.self)
        try checkBorders(Int16.self)
        try checkBorders(Int32.self)
        try checkBorders(Int64.self)
        try checkBorders(Int.self)
        try checkBorders(UInt8.self)
        try checkBorders(UInt16.self)
        try checkBorders(UInt32.self)
        try checkBorders(UInt64.self)
        try checkBorders(UInt.self)
        #expect(try Self.decode(Int128.self, "d38000000000000000") == Int128(Int64.min))
        #expect(try Self.decode(UInt128.self, "cfffffffffffffffff") == UInt128(UInt64.max))
    }

    @Test(arguments: ["ca3f800000", "cb3ff0000000000000", "a131", "c3", "c0", "c40101", "91 01", "d6ff00000001"])
    func decodesIntegersFromIntegersOnly(digits: String) {
        #expect(throws: DecodingError.self) { try Self.decode(Int.self, digits) }
        #expect(throws: DecodingError.self) { try Self.decode(UInt8.self, digits) }
    }

    @Test func codesFloats() throws {
        #expect(try Self.decode(Double.self, "ca3fc00000") == 1.5)
        #expect(try Self.decode(Double.self, "03") == 3)
        #expect(try Self.decode(Double.self, "d3ffe0000000000000") == -9_007_199_254_740_992)
        #expect(throws: DecodingError.self) { try Self.decode(Double.self, "cf0020000000000001") }
        #expect(throws: DecodingError.self) { try Self.decode(Double.self, "d3ffdfffffffffffff") }
        #expect(throws: DecodingError.self) { try Self.decode(Double.self, "a131") }
        #expect(try Self.decode(Float.self, "cb3fb999999999999a") == 0.1)
        #expect(try Self.decode(Float.self, "ff") == -1)
        #expect(try Self.decode(Float.self, "cb7ff0000000000000") == .infinity)
        #expect(try Self.decode(Float.self, "cb7ff8000000000000").isNaN)
        #expect(throws: DecodingError.self) { try Self.decode(Float.self, "cb7e37e43c8800759c") }
        #expect(throws: DecodingError.self) { try Self.decode(Float.self, "ce01000001") }
        #expect(try MessagePackEncoder().encode(-0.0) == PackVector.bytes("cb8000000000000000"))
        #expect(try MessagePackEncoder().encode(Float(0.1)) == PackVector.bytes("ca3dcccccd"))
    }

    @Test func decodesStringsFromStringsOnly() throws {
        #expect(try Self.decode(String.self, "a0") == "")
        for digits in ["c40161", "01", "c0", "90", "d40561"] {
            #expect(throws: DecodingError.self) { try Self.decode(String.self, digits) }
        }
        #expect(try Self.decode(Bool.self, "c3"))
        for digits in ["00", "01", "c0", "a474727565"] {
            #expect(throws: DecodingError.self) { try Self.decode(Bool.self, digits) }
        }
    }

    @Test func codesBytes() throws {
        #expect(try MessagePackEncoder().encode([1, 2] as [UInt8]) == PackVector.bytes("c4020102"))
        #expect(try MessagePackEncoder().encode(Data([1, 2])) == PackVector.bytes("c4020102"))
        #expect(try MessagePackEncoder().encode(["a": Data()]) == PackVector.bytes("81 a161 c400"))
        #expect(try MessagePackEncoder().encode([1, 2] as [Int8]) == PackVector.bytes("92 01 02"))
        #expect(try Self.decode([UInt8].self, "c4020102") == [1, 2])
        #expect(try Self.decode([UInt8].self, "92 01 ccff") == [1, 255])
        #expect(try Self.decode(Data.self, "c4020102") == Data([1, 2]))
        #expect(try Self.decode(Data.self, "92 01 ccff") == Data([1, 255]))
        #expect(throws: DecodingError.self) { try Self.decode([UInt8].self, "92 01 cd0100") }
        #expect(throws: DecodingError.self) { try Self.decode([UInt8].self, "a161") }
        #expect(throws: DecodingError.self) { try Self.decode([Int].self, "c4020102") }
    }

    @Test(arguments: [
        (0.0, "d6ff00000000"), (1_500_000_000, "d6ff59682f00"), (0.5, "d7ff7735940000000000"),
        (-0.5, "c70cff1dcd6500ffffffffffffffff"), (4_294_967_296, "d7ff0000000100000000"),
        (17_179_869_184, "c70cff000000000000000400000000"), (-1, "c70cff00000000ffffffffffffffff"),
    ])
    func codesDates(seconds: Double, digits: String) throws {
        let date = Date(timeIntervalSince1970: seconds)
        #expect(try MessagePackEncoder().encode(date) == PackVector.bytes(digits))
        #expect(try Self.decode(Date.self, digits) == date)
    }

    @Test func codesFractionalSeconds() throws {
        var generator = SeededGenerator(state: 1)
        for _ in 0..<500 {
            let date = Date(timeIntervalSinceReferenceDate: .random(in: -3e9...3e9, using: &generator))
            let back = try MessagePackDecoder().decode(Date.self, from: MessagePackEncoder().encode(date))
            #expect(abs(back.timeIntervalSince(date)) < 1e-9)
        }
        for strange in [Double.nan, .infinity, -.infinity, 1e300] {
            #expect(throws: EncodingError.self) {
                try MessagePackEncoder().encode(Date(timeIntervalSinceReferenceDate: strange))
            }
        }
        for digits in ["00", "cb41d954fc40000000", "a161", "d7ff ee6b280000000000", "d5ff0000", "d60100000000"] {
            #expect(throws: DecodingError.self) { try Self.decode(Date.self, digits) }
        }
        #expect(throws: DecodingError.self) { try Self.decode(Date.self, "c70cff 00000000 7fffffffffffffff") }
    }

    @Test func codesTimestampsAndExtensions() throws {
        let last = MessagePackTimestamp(seconds: .max, nanoseconds: 999_999_999)
        let digits = "c70cff 3b9ac9ff 7fffffffffffffff"
        #expect(try MessagePackEncoder().encode(last) == PackVector.bytes(digits))
        #expect(try Self.decode(MessagePackTimestamp.self, digits) == last)
        #expect(try Self.decode(MessagePackValue.self, digits).timestamp == last)
        #expect(try Self.decode(MessagePackValue.self, "d5ff0000").timestamp == nil, "it has no such form")
        #expect(throws: EncodingError.self) {
            try MessagePackEncoder().encode(MessagePackTimestamp(seconds: 0, nanoseconds: 1_000_000_000))
        }
        let own = MessagePackExtension(type: 5, bytes: [1, 2, 3])
        #expect(try Self.decode([MessagePackExtension].self, "91 c70305010203") == [own])
        #expect(throws: DecodingError.self) { try Self.decode(MessagePackExtension.self, "c403010203") }
    }

    @Test func codesURLs() throws {
        let url = try #require(URL(string: "https://example.com/a?b=c"))
        let bytes = try MessagePackEncoder().encode([url])
        #expect(bytes == [0x91, 0xB9] + Array("https://example.com/a?b=c".utf8))
        #expect(try MessagePackDecoder().decode([URL].self, from: bytes) == [url])
        #expect(throws: DecodingError.self) { try Self.decode(URL.self, "a0") }
    }

    /// JSON to MessagePack and back, through the value that may be anything.
    @Test func convertsBetweenJSONAndMessagePack() throws {
        let json = #"{"a":[1,-2,2.5,"ü",null,true,18446744073709551615],"b":{"c":{}}}"#
        let value = try JSONDecoder().decode(MessagePackValue.self, from: Data(json.utf8))
        #expect(
            value["a"]
                == .array([
                    .integer(1), .integer(-2), .double(2.5), .text("ü"), .null, .bool(true), .unsigned(.max),
                ]))
        let packed = try MessagePackDecoder().decode(MessagePackValue.self, from: MessagePackEncoder().encode(value))
        #expect(packed == value && value["z"] == nil && MessagePackValue.null["a"] == nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        #expect(String(decoding: try encoder.encode(packed), as: UTF8.self) == json)
        let odd = MessagePackValue.map([.init(key: .bool(true), value: .null)])
        #expect(throws: EncodingError.self) { try encoder.encode(odd) }
    }
}
