import Testing
import WSTransport

@testable import Cryptography

/// A key as the members of a JSON Web Key (RFC 7517).
struct WebKey: Decodable, Sendable {
    var kty: String
    var crv: String?
    var n: String?
    var e: String?
    var x: String?
    var y: String?
    var k: String?

    func key() throws -> VerificationKey {
        func bytes(_ text: String?) throws -> [UInt8] {
            let text = try #require(text)
            return try #require(Base64.decode(text, alphabet: .url))
        }
        switch (kty, crv) {
        case ("oct", _): return try VerificationKey(secret: bytes(k))
        case ("RSA", _): return try VerificationKey(modulus: bytes(n), exponent: bytes(e))
        case ("EC", "P-256"): return try VerificationKey(x: bytes(x), y: bytes(y), on: .p256)
        case ("EC", "P-384"): return try VerificationKey(x: bytes(x), y: bytes(y), on: .p384)
        case ("OKP", "Ed25519"): return try VerificationKey(ed25519: bytes(x))
        default: throw KeyError("unknown")
        }
    }
}

@Suite("Signatures: the RFCs' vectors and edge cases")
struct SignatureTests {
    struct TokenCase: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { name }

        let name: String
        let algorithm: String
        let key: WebKey
        let token: String
    }

    static let tokens = Vectors.load("rfc", as: TokenCase.self)

    private func parts(_ token: String) throws -> (message: String, signature: [UInt8]) {
        let dot = try #require(token.lastIndex(of: "."))
        let signature = try #require(Base64.decode(token[token.index(after: dot)...], alphabet: .url))
        return (String(token[..<dot]), signature)
    }

    @Test(arguments: tokens.filter { $0.algorithm != "ES512" })
    func verifiesTheVectorsOfTheRFCs(_ vector: TokenCase) throws {
        let algorithm = try #require(SignatureAlgorithm(rawValue: vector.algorithm))
        let (message, signature) = try parts(vector.token)
        let key = try vector.key.key()
        #expect(verifies(key, signature, message, algorithm))
        for index in [0, signature.count / 2, signature.count - 1] {
            var other = signature
            other[index] ^= 1
            #expect(!verifies(key, other, message, algorithm))
        }
        for other in SignatureAlgorithm.allCases where other != algorithm {
            #expect(!verifies(key, signature, message, other), "the key may be for \(other), the signature is not")
        }
    }

    @Test func doesNotSupportP521() throws {
        #expect(Self.tokens.filter { $0.algorithm == "ES512" }.count == 2, "RFC 7515 A.4, RFC 7520 4.3")
        #expect(SignatureAlgorithm(rawValue: "ES512") == nil)
        #expect(SignatureAlgorithm(rawValue: "none") == nil)
    }

    private func verifies(
        _ key: VerificationKey, _ signature: [UInt8], _ message: String, _ algorithm: SignatureAlgorithm
    ) -> Bool {
        key.verifies(signature.span, of: message.utf8Span.span, by: algorithm)
    }

    struct EdgeGroup: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { "\(key.kty) \(key.crv ?? "")" }

        struct Edge: Decodable, Sendable {
            let name: String
            let algorithm: String
            let signature: String
            let isGood: Bool
        }

        let key: WebKey
        let message: String
        let cases: [Edge]
    }

    @Test(arguments: Vectors.load("signatures", as: EdgeGroup.self) + Vectors.load("edges", as: EdgeGroup.self))
    func agreesOnEdgeCases(_ group: EdgeGroup) throws {
        let key = try group.key.key()
        for edge in group.cases {
            let algorithm = try #require(SignatureAlgorithm(rawValue: edge.algorithm))
            let signature = try #require(Base64.decode(edge.signature, alphabet: .url))
            #expect(
                verifies(key, signature, group.message, algorithm) == edge.isGood, "\(edge.algorithm): \(edge.name)")
        }
    }

    /// Cases of Project Wycheproof: the same key, several signatures.
    struct WycheproofGroup: Decodable, Sendable {
        struct Case: Decodable, Sendable {
            let number: Int
            let message: String
            let signature: String
            let result: String
        }

        let set: String
        let algorithm: String
        let key: WebKey
        let cases: [Case]
    }

    /// Each signature that is `valid` is accepted, and no other.
    ///
    /// Of the `acceptable` ones: an AlgorithmIdentifier without its NULL is not a PKCS #1 signature by RFC 8017; an
    /// Ed25519 key of small order is refused as a key; one with a part of small order verifies as RFC 8032 §5.1.7 says.
    @Test func agreesWithProjectWycheproof() throws {
        let groups = Vectors.load("wycheproof", as: WycheproofGroup.self)
        #expect(Set(groups.map(\.algorithm)) == Set(SignatureAlgorithm.allCases.map(\.rawValue)))
        var refusedKeys = 0
        var differences: [String] = []
        for group in groups {
            // Secrets of fewer than 32 bytes are refused as keys, so they prove nothing about codes.
            guard let key = try? group.key.key() else {
                if group.key.kty == "oct" { continue }
                refusedKeys += 1
                if group.cases.contains(where: { $0.result == "valid" }) { differences.append("\(group.set): a key") }
                continue
            }
            let algorithm = try #require(SignatureAlgorithm(rawValue: group.algorithm))
            for one in group.cases {
                let message = try #require(Base64.decode(one.message, alphabet: .url))
                let signature = try #require(Base64.decode(one.signature, alphabet: .url))
                let isTaken = key.verifies(signature.span, of: message.span, by: algorithm)
                let isRight = one.result == "valid" || one.result == "acceptable" && group.key.kty == "OKP"
                if isTaken != isRight {
                    differences.append("\(group.set) \(one.number): \(one.result), taken: \(isTaken)")
                }
            }
        }
        #expect(differences == [])
        #expect(refusedKeys == 8, "the points of small order")
    }

    struct KeyCase: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { "\(key.kty) \(key.crv ?? ""), \(name)" }

        let name: String
        let key: WebKey
    }

    /// Points off their curve, of another curve, of small order, of the wrong length, or in another encoding.
    @Test(arguments: Vectors.load("refused", as: KeyCase.self))
    func rejectsInvalidKeys(_ one: KeyCase) {
        #expect(throws: KeyError.self) { try one.key.key() }
    }

    @Test func comparesTheWholeMAC() throws {
        let key = try VerificationKey(secret: [UInt8](repeating: 7, count: 32))
        let code = try SigningKey(secret: [UInt8](repeating: 7, count: 32)).sign("a".utf8Span.span, by: .hs256)
        #expect(verifies(key, code, "a", .hs256))
        #expect(!verifies(key, Array(code.dropLast()), "a", .hs256))
        #expect(!verifies(key, code + [0], "a", .hs256))
        #expect(!verifies(key, [], "a", .hs256))
        #expect(!verifies(key, code, "a", .hs512))
    }
}
