import Testing
import WSTransportCoding

@Suite("Hostile MessagePack: every fault has a byte and a place")
struct HostileInputTests {
    private struct Reading: Codable, Equatable {
        var name: String
        var values: [UInt8?]
    }

    private static func error(_ digits: String, depth: Int? = nil) -> DecodingError? {
        var decoder = MessagePackDecoder()
        if let depth { decoder.maximumDepth = depth }
        return #expect(throws: DecodingError.self) {
            try decoder.decode(MessagePackValue.self, from: PackVector.bytes(digits))
        }
    }

    @Test(arguments: [
        ("", "", "At byte 0: the input ends where an item must begin."),
        ("c1", "", "At byte 0: the byte c1 begins no item."),
        ("93 01 c1 02", "1", "At byte 2: the byte c1 begins no item."),
        ("82 a161 01 a162 92 c0 c1", "b.1", "At byte 8: the byte c1 begins no item."),
        ("81 07 81 ff cd01", "7.-1", "At byte 4: the input ends within the 3 bytes of a header: 2 are there."),
        ("92 01", "", "At byte 0: the input ends within an array of 2: 1 bytes are left."),
        ("92 01 92 c0 91", "1.1", "At byte 4: the input ends within an array of 1: 0 bytes are left."),
        ("81 a161", "a", "At byte 3: the input ends where an item must begin."),
        ("d904 6162", "", "At byte 0: the input ends within a str of 4 bytes: 2 bytes are left."),
        ("91 a2c328", "0", "At byte 1: a str of 2 bytes that are not UTF-8."),
        ("81 a2c328 01", "", "At byte 1: a str of 2 bytes that are not UTF-8."),
        ("a3eda080", "", "At byte 0: a str of 3 bytes that are not UTF-8."),
        ("a2c080", "", "At byte 0: a str of 2 bytes that are not UTF-8."),
        ("a4f4908080", "", "At byte 0: a str of 4 bytes that are not UTF-8."),
        ("81 a161 a1ff", "a", "At byte 3: a str of 1 bytes that are not UTF-8."),
        ("81 c0 c1", "nil", "At byte 2: the byte c1 begins no item."),
        ("c0 c0", "", "At byte 1: 1 bytes are left behind the value."),
        ("c7", "", "At byte 0: the input ends within the 2 bytes of a header: 1 are there."),
        ("c703", "", "At byte 0: the input ends within the 3 bytes of a header: 2 are there."),
        ("d8ff 00*15", "", "At byte 0: the input ends within an ext of type -1 and 16 bytes: 15 bytes are left."),
    ])
    func reportsTheByteAndThePath(digits: String, place: String, text: String) {
        let error = Self.error(digits)
        #expect(error?.place == place)
        #expect(error?.context.debugDescription == text)
    }

    /// Lengths that exceed the input, alone and inside valid items.
    @Test(arguments: [
        "dbffffffff", "c6ffffffff", "c9ffffffff01", "ddffffffff", "dfffffffff", "dd00ffffff c0*1000", "dcffff c0*100",
        "deffff c0*100", "df7fffffff c0*100", "c9fffffffe7f 00*100", "db80000000 61*100",
    ])
    func trustsNoAnnouncedLength(digits: String) {
        let alone = Self.error(digits)
        #expect(alone?.context.debugDescription.hasPrefix("At byte 0: the input ends within a") == true)
        let inside = Self.error("93 01 81 a161 \(digits)")
        #expect(inside?.place == "1.a")
        #expect(inside?.context.debugDescription.hasPrefix("At byte 5: the input ends within a") == true)
    }

    @Test(arguments: ["91", "81 a161", "81 01", "dc0001", "dd00000001", "de0001a0", "df00000001 c0"])
    func enforcesTheDepthLimit(opening: String) throws {
        let once = PackVector.bytes(opening)
        func nested(_ count: Int) -> [UInt8] { Array(repeatElement(once, count: count).joined()) + [0xC0] }
        for (limit, decoder) in [(512, MessagePackDecoder()), (3, Self.decoder(3)), (1, Self.decoder(1))] {
            let value = try decoder.decode(MessagePackValue.self, from: nested(limit))
            var encoder = MessagePackEncoder()
            encoder.maximumDepth = limit
            #expect(try decoder.decode(MessagePackValue.self, from: encoder.encode(value)) == value)
            encoder.maximumDepth = limit - 1
            #expect(throws: EncodingError.self) { try encoder.encode(value) }
            let error = #expect(throws: DecodingError.self) {
                try decoder.decode(MessagePackValue.self, from: nested(limit + 1))
            }
            #expect(
                error?.context.debugDescription
                    == "At byte \(limit * once.count): more than \(limit) arrays and maps within one another.")
            #expect(error?.context.codingPath.count == limit)
        }
        // However much there is of it, and closed or not.
        #expect(throws: DecodingError.self) {
            try MessagePackDecoder().decode(MessagePackValue.self, from: nested(100_000))
        }
    }

    private static func decoder(_ depth: Int) -> MessagePackDecoder {
        var decoder = MessagePackDecoder()
        decoder.maximumDepth = depth
        return decoder
    }

    @Test func emptyContainersCountAsALevel() {
        #expect(Self.error("90", depth: 0)?.context.debugDescription.contains("more than 0") == true)
        #expect(Self.error("91 80", depth: 1)?.place == "0")
        #expect(throws: Never.self) { try Self.decoder(0).decode(Int.self, from: [7]) }
    }

    /// A type that holds itself, as deep as the limit allows: it neither ends the process nor is it refused.
    @Test func decodesARecursiveTypeUpToTheLimit() throws {
        final class Box: Codable {
            var inner: Box?
        }
        let open = Array(repeatElement(PackVector.bytes("81 a5696e6e6572"), count: 511).joined())
        let box = try MessagePackDecoder().decode(Box.self, from: open + [0x80])
        #expect(try MessagePackEncoder().encode(box) == open + [0x80])
        #expect(throws: DecodingError.self) {
            try MessagePackDecoder().decode(Box.self, from: PackVector.bytes("81 a5696e6e6572") + open + [0x80])
        }
    }

    @Test(arguments: [
        (
            "82 a46e616d65 a161 a676616c756573 92 01 cd0100", "values.1",
            "At byte 17: the integer 256 does not fit in UInt8."
        ),
        ("82 a46e616d65 a161 a676616c756573 92 01 ff", "values.1", "At byte 17: the integer -1 does not fit in UInt8."),
        ("82 a46e616d65 a161 a676616c756573 92 01 c3", "values.1", "At byte 17: expected an integer, found true."),
        ("82 a46e616d65 c0 a676616c756573 90", "name", "At byte 6: expected a str, found nil."),
        ("82 a46e616d65 c40161 a676616c756573 90", "name", "At byte 6: expected a str, found a bin of 1 bytes."),
        ("82 a46e616d65 a161 a676616c756573 80", "values", "At byte 15: expected an array, found a map of 0."),
        ("81 a46e616d65 a161", "", "The map has no key \"values\"."),
        ("82 a46e616d65 a161 a46e616d65 a162", "", "At byte 8: the key \"name\" stands there twice."),
        ("82 a46e616d65 a161 c3 c0", "", "At byte 8: expected a str or an integer as the key, found true."),
        ("82 01 c0 a131 c0", "", "At byte 3: the key \"1\" stands there twice."),
        ("93 01 02 03", "", "At byte 0: expected a map, found an array of 3."),
        ("c0", "", "At byte 0: expected a map, found nil."),
    ])
    func reportsWhatTheTypeExpects(digits: String, place: String, text: String) throws {
        let error = #expect(throws: DecodingError.self) {
            try MessagePackDecoder().decode(Reading.self, from: PackVector.bytes(digits))
        }
        #expect(error?.place == place)
        #expect(error?.context.debugDescription == text)
    }

    /// Skipped items are not decoded, but must be valid nevertheless.
    @Test func validatesSkippedItems() throws {
        struct Little: Decodable { var wanted: Int }
        let well = "82 a178 93 91 91 c4020102 81 a179 de0000 d90161 a677616e746564 07"
        #expect(try MessagePackDecoder().decode(Little.self, from: PackVector.bytes(well)).wanted == 7)
        for (index, byte) in PackVector.bytes(well).enumerated() where [0xC4, 0xDE, 0xD9].contains(byte) {
            var bytes = PackVector.bytes(well)
            bytes[index] = 0xC1
            let error = #expect(throws: DecodingError.self) {
                try MessagePackDecoder().decode(Little.self, from: bytes)
            }
            #expect(error?.context.debugDescription == "At byte \(index): the byte c1 begins no item.")
        }
    }
}
