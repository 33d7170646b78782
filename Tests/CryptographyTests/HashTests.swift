import Testing

@testable import Cryptography

@Suite("SHA-2, HMAC, PBKDF2 and scrypt, by the RFCs' vectors; random bytes; comparison")
struct HashTests {
    struct HashCase: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { "\(function), \(name)" }

        let name: String
        let function: String
        let key: String?
        let message: String
        let code: String
    }

    struct ScryptCase: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { name }

        let name: String
        let password: String
        let salt: String
        let logarithm: Int
        let blockSize: Int
        let parallelism: Int
        let key: String
    }

    static let functions: [String: HashFunction] = ["sha256": .sha256, "sha384": .sha384, "sha512": .sha512]

    @Test(arguments: Vectors.load("hashes", as: HashCase.self))
    func computesDigestsAndMACs(_ vector: HashCase) throws {
        let function = try #require(Self.functions[vector.function])
        let message = Vectors.bytes(vector.message)
        let code = Vectors.bytes(vector.code)
        #expect(code.count == function.digestSize)
        if let key = vector.key.map(Vectors.bytes) {
            let made = try function.authenticate(message.span, key: key.span)
            #expect(made == code)
        } else {
            let made = try function.digest(of: message.span)
            #expect(made == code)
        }
    }

    @Test(arguments: Vectors.load("scrypt", as: ScryptCase.self))
    func derivesKeysByScrypt(_ vector: ScryptCase) throws {
        let cost = try #require(
            Scrypt(logarithm: vector.logarithm, blockSize: vector.blockSize, parallelism: vector.parallelism))
        let key = Vectors.bytes(vector.key)
        let made = try cost.stretch(
            vector.password.utf8Span.span, salt: vector.salt.utf8Span.span, count: key.count)
        #expect(made == key)
    }

    /// The fourth of RFC 7914 takes 1 GiB.
    @Test(arguments: [
        (20, 8, 1), (0, 8, 1), (21, 1, 1), (16, 1, 1), (-1, 8, 1), (10, 0, 1), (10, 65, 1), (10, 8, 0), (10, 8, 65),
        (17, 8, 5),
        (Int.max, 8, 1), (10, Int.max, 1), (10, 8, Int.min),
    ])
    func rejectsExcessiveScryptCosts(logarithm: Int, blockSize: Int, parallelism: Int) {
        #expect(Scrypt(logarithm: logarithm, blockSize: blockSize, parallelism: parallelism) == nil)
    }

    @Test(arguments: [(14, 64, 1), (17, 8, 4), (15, 1, 4), (1, 1, 64)])
    func acceptsAffordableScryptCosts(logarithm: Int, blockSize: Int, parallelism: Int) throws {
        let cost = Scrypt(logarithm: logarithm, blockSize: blockSize, parallelism: parallelism)
        #expect(try #require(cost).memory <= 128 << 20)
    }

    @Test func derivesKeysByPBKDF2() throws {
        let key = try HashFunction.sha512.stretch(
            "password".utf8Span.span, salt: "salt".utf8Span.span, iterations: 2, count: 64)
        #expect(
            key
                == Vectors.bytes(
                    "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c"
                        + "f76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e"))
        #expect(throws: CryptographyError.self) {
            try HashFunction.sha512.stretch("a".utf8Span.span, salt: "b".utf8Span.span, iterations: 0, count: 64)
        }
    }

    @Test func randomBytesDiffer() throws {
        #expect(try Secret.random(0) == [])
        let all = try (0..<100).map { _ in try Secret.random(16) }
        #expect(Set(all).count == 100 && all.allSatisfy { $0.count == 16 })
        #expect(throws: CryptographyError.self) { try Secret.random(-1) }
    }

    @Test func comparesWholeSecrets() {
        let secret: [UInt8] = [1, 2, 3, 4]
        func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool { Secret.areEqual(one.span, other.span) }
        #expect(areEqual(secret, [1, 2, 3, 4]))
        #expect(areEqual([], []))
        for other: [UInt8] in [[0, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3], [1, 2, 3, 4, 0], []] {
            #expect(!areEqual(secret, other))
        }
    }
}
