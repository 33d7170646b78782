import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 4648 §4, §5, §10: Base64")
struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func agreesWithTheVectorsOfTheRFC(plain: String, encoded: String) {
        let bytes = Array(plain.utf8)
        #expect(Base64.encode(bytes) == encoded)
        #expect(Base64.decode(encoded) == bytes)
        let unpadded = encoded.filter { $0 != "=" }
        #expect(Base64.encode(bytes, alphabet: .url) == unpadded)
        #expect(Base64.decode(unpadded, alphabet: .url) == bytes)
    }

    @Test func supportsEachAlphabet() {
        #expect(Base64.encode([0xFB, 0xEF, 0xFF]) == "++//")
        #expect(Base64.encode([0xFB, 0xEF, 0xFF], alphabet: .url) == "--__")
        #expect(Base64.encode([0xFB, 0xEF, 0xFF, 0], alphabet: .unpadded) == "++//AA")
        #expect(Base64.decode("++//AA", alphabet: .unpadded) == [0xFB, 0xEF, 0xFF, 0])
        #expect(Base64.decode("++//AA==", alphabet: .unpadded) == nil)
        #expect(Base64.decode("--__", alphabet: .url) == [0xFB, 0xEF, 0xFF])
        #expect(Base64.decode("--__") == nil)
        #expect(Base64.decode("++//", alphabet: .url) == nil)
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zm9v=", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Z=m9", "Zg==Zg==",
        "Zmé=",
    ])
    func rejectsMalformedText(text: String) {
        #expect(Base64.decode(text) == nil)
        #expect(Base64.byteCount(text.utf8Span.span) == nil)
    }

    @Test(arguments: ["Zg==", "Zh", "Zm9", "A", "AAAAA"])
    func rejectsPaddingInTheURLAlphabet(text: String) {
        #expect(Base64.decode(text, alphabet: .url) == nil)
    }

    @Test(arguments: 0..<70)
    func agreesWithFoundation(count: Int) {
        var random = SplitMix(seed: UInt64(count))
        let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
        #expect(Base64.byteCount(Base64.encode(bytes).utf8Span.span) == count)
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
}
