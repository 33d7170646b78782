import Testing

@testable import WSTransportCoding

@Suite("MessagePack's format: each first byte, each boundary")
struct FormatTests {
    private static let decoder = MessagePackDecoder()
    private static let encoder = MessagePackEncoder()

    @Test func theVectorsCoverEveryFirstByte() {
        let first = Set(PackVector.all.map { $0.bytes[0] })
        #expect(first.isSuperset(of: Set(0xC0...0xDF as ClosedRange<UInt8>).subtracting([0xC1])))
        #expect(first.isSuperset(of: [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xE0, 0xFF]))
    }

    @Test(arguments: PackVector.all)
    func decodes(vector: PackVector) throws {
        let value = try Self.decoder.decode(MessagePackValue.self, from: vector.bytes)
        // Not a number is not equal to itself, so it is compared as it is written.
        if value != vector.value.value {
            #expect("\(value)".contains("nan"))
            #expect(try Self.encoder.encode(value) == Self.encoder.encode(vector.value.value))
        }
    }

    @Test(arguments: PackVector.all)
    func encodesInTheSmallestForm(vector: PackVector) throws {
        let bytes = try Self.encoder.encode(vector.value.value)
        #expect((bytes == vector.bytes) == !vector.isWider)
        #expect(bytes.count <= vector.bytes.count)
    }

    /// Every cut of the short ones, and cuts at the ends of the long ones.
    @Test(arguments: PackVector.all)
    func rejectsTruncatedInput(vector: PackVector) {
        let bytes = vector.bytes
        let cuts = bytes.count < 600 ? Array(bytes.indices) : Array(0..<8) + [bytes.count / 2, bytes.count - 1]
        for cut in cuts {
            let error = #expect(throws: DecodingError.self) {
                try Self.decoder.decode(MessagePackValue.self, from: Array(bytes[..<cut]))
            }
            #expect(error?.context.debugDescription.contains("the input ends") == true)
        }
    }

    @Test(arguments: PackVector.all)
    func rejectsTrailingBytes(vector: PackVector) {
        let error = #expect(throws: DecodingError.self) {
            try Self.decoder.decode(MessagePackValue.self, from: vector.bytes + [0xC0, 0x01])
        }
        #expect(
            error?.context.debugDescription == "At byte \(vector.bytes.count): 2 bytes are left behind the value.")
    }

    /// Every byte begins an item, but for one.
    @Test(arguments: 0...UInt8.max)
    func everyByteButC1BeginsAnItem(byte: UInt8) throws {
        let bytes = [byte] + [UInt8](repeating: 0, count: 20)
        guard byte != 0xC1 else {
            let fault = #expect(throws: MessagePackFault.self) { try MessagePackHeader.read(bytes, at: 0) }
            #expect(fault?.text == "At byte 0: the byte c1 begins no item.")
            return
        }
        // An item whose length exceeds these 20 bytes.
        let isLonger = (0xB5...0xBF).contains(byte) || (0x8B...0x8F).contains(byte)
        #expect(((try? MessagePackHeader.read(bytes, at: 0)) == nil) == isLonger)
    }

    @Test(arguments: PackVector.all.filter { $0.bytes.count < 70 })
    func decodesNestedItems(vector: PackVector) throws {
        let bytes = [0x93] + vector.bytes + [0x81, 0xA1, 0x6B] + vector.bytes + [0x07]
        let value = try Self.decoder.decode(MessagePackValue.self, from: bytes)
        let again = try Self.encoder.encode(value)
        let inner = try Self.encoder.encode(vector.value.value)
        #expect(again == [0x93] + inner + [0x81, 0xA1, 0x6B] + inner + [0x07])
    }
}

extension DecodingError {
    var context: Context {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
            .dataCorrupted(let context):
            context
        @unknown default: Context(codingPath: [], debugDescription: "another case")
        }
    }

    /// The coding path, `a.0.b`.
    var place: String {
        context.codingPath.map { $0.intValue.map { String($0) } ?? $0.stringValue }.joined(separator: ".")
    }
}
