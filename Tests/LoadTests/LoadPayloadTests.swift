import Testing

@testable import Load

@Suite("A load's payload")
struct LoadPayloadTests {
    private static func read(_ bytes: [UInt8], size: Int) -> LoadPayload? {
        bytes.withUnsafeBytes { LoadPayload($0, size: size) }
    }

    @Test(arguments: [32, 33, 64, 1024])
    func roundTrips(size: Int) {
        let payload = LoadPayload(publisher: 4711, number: 1_000_003, due: 123_456_789_012_345)
        let bytes = payload.encode(size: size)
        #expect(bytes.count == size)
        #expect(Self.read(bytes, size: size) == payload)
    }

    @Test func hasAMinimumSize() {
        let bytes = LoadPayload(publisher: 0, number: 0, due: 0).encode(size: 1)
        #expect(bytes.count == LoadPayload.minimumSize && Self.read(bytes, size: 1) != nil)
    }

    @Test func rejectsAnyChangedByte() {
        let payload = LoadPayload(publisher: 1, number: 2, due: 3)
        let bytes = payload.encode(size: 48)
        for index in bytes.indices {
            var other = bytes
            other[index] = UInt8(ascii: "!")
            #expect(Self.read(other, size: 48) == nil, "byte \(index)")
        }
        #expect(Self.read(bytes, size: 49) == nil && Self.read(Array(bytes.dropLast()), size: 48) == nil)
    }

    @Test func needsNoJSONEscapes() {
        let bytes = LoadPayload(publisher: 1, number: 2, due: 3).encode(size: 200)
        #expect(bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C })
    }
}
