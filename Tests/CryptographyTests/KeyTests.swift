import COpenSSL
import Testing
import WSTransport

@testable import Cryptography

@Suite("Keys: accepted and rejected")
struct KeyTests {
    struct FileCase: Decodable, Sendable, CustomTestStringConvertible {
        var testDescription: String { name }

        let name: String
        let kind: String?
        let words: String?
        let `public`: String
        let `private`: String?
    }

    static let files = Vectors.load("keys", as: FileCase.self)
    static let kinds: [String: VerificationKey.Kind] = [
        "rsa": .rsa, "p256": .p256, "p384": .p384, "ed25519": .ed25519,
    ]

    @Test(arguments: files.filter { $0.kind != nil })
    func readsKeyFilesAndSigns(_ file: FileCase) throws {
        let key = try #require(try VerificationKey.all(pem: file.public).first)
        #expect(key.kind == Self.kinds[file.kind ?? ""])
        let signing = try SigningKey(pem: try #require(file.private))
        #expect(signing.kind == key.kind)
        let message = "eyJhbGciOiJ9.e30"
        for algorithm in SignatureAlgorithm.allCases where key.fits(algorithm) {
            let signature = try signing.sign(message.utf8Span.span, by: algorithm)
            let isVerified = key.verifies(signature.span, of: message.utf8Span.span, by: algorithm)
            #expect(isVerified, "\(algorithm)")
            let isVerifiedForOthers = key.verifies(signature.span, of: "another".utf8Span.span, by: algorithm)
            #expect(!isVerifiedForOthers, "\(algorithm)")
        }
        #expect(throws: CryptographyError.self) { try signing.sign(message.utf8Span.span, by: .hs256) }
        // With the line ends of another system.
        #expect(try VerificationKey.all(pem: file.public.replacing("\n", with: "\r\n")).count == 1)
    }

    /// If something follows a key, another reader may see another key.
    @Test(arguments: files.filter { $0.kind != nil })
    func rejectsTrailingBytes(_ file: FileCase) throws {
        func longer(_ pem: String) throws -> String {
            let block = try #require(try PEMBlock.all(in: pem).first { $0.label != "EC PARAMETERS" })
            let body = Base64.encode(block.bytes + [0], alphabet: .standard)
            return "-----BEGIN \(block.label)-----\n\(body)\n-----END \(block.label)-----\n"
        }
        #expect(throws: KeyError.self) { try VerificationKey.all(pem: try longer(file.public)) }
        #expect(throws: KeyError.self) { try SigningKey(pem: try longer(try #require(file.private))) }
    }

    /// OpenSSL itself takes one of PSS without its leading zero.
    @Test func rejectsAnRSASignatureShorterThanItsModulus() throws {
        let file = try #require(Self.files.first { $0.kind == "rsa" })
        let key = try #require(try VerificationKey.all(pem: file.public).first)
        let signing = try SigningKey(pem: try #require(file.private))
        // One in 256 begins with a zero.
        let found = try (0..<8000).lazy.map { try signing.sign("a".utf8Span.span, by: .ps256) + [UInt8($0 & 1)] }
            .first { $0[0] == 0 }
        let signature = Array(try #require(found).dropLast())
        let short = Array(signature.dropFirst())
        let isVerified = key.verifies(signature.span, of: "a".utf8Span.span, by: .ps256)
        let isShortVerified = key.verifies(short.span, of: "a".utf8Span.span, by: .ps256)
        #expect(isVerified && !isShortVerified)
    }

    @Test(arguments: files.filter { $0.kind == nil })
    func rejectsUnsuitableKeyFiles(_ file: FileCase) throws {
        #expect(throws: KeyError(try #require(file.words))) { try VerificationKey.all(pem: file.public) }
    }

    @Test func readsSeveralKeysFromOneFile() throws {
        let all = Self.files.filter { $0.kind != nil }.map(\.public)
        #expect(try VerificationKey.all(pem: all.joined()).count == all.count)
        let many = String(repeating: all[1], count: 32)
        #expect(try VerificationKey.all(pem: many).count == 32)
        #expect(throws: KeyError("more than 32 keys")) { try VerificationKey.all(pem: many + all[1]) }
    }

    @Test(arguments: [
        ("", "expected a PEM file with a PUBLIC KEY or a CERTIFICATE"),
        ("ssh-ed25519 AAAA", "expected a PEM file with a PUBLIC KEY or a CERTIFICATE"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "a block of PEM does not end"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END CERTIFICATE-----\n", "a block of PEM does not end"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "a block of PEM holds no Base64, or is encrypted"),
        (
            "-----BEGIN PUBLIC KEY-----\nA: b\n-----END PUBLIC KEY-----\n",
            "a block of PEM holds no Base64, or is encrypted"
        ),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "this is no public key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "this is no certificate"),
        (
            "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
            "expected blocks PUBLIC KEY or CERTIFICATE"
        ),
    ])
    func rejectsMalformedPEM(text: String, words: String) {
        #expect(throws: KeyError(words)) { try VerificationKey.all(pem: text) }
    }

    @Test func rejectsShortSecretsAndKeyFiles() throws {
        #expect(throws: KeyError("a secret has 32 bytes at least")) {
            try VerificationKey(secret: [UInt8](repeating: 1, count: 31))
        }
        for text in [Self.files[0].public, "\n \(Self.files[0].public)", "\u{FEFF}\(Self.files[0].public)"] {
            #expect(throws: KeyError("a PEM file is no secret")) { try VerificationKey(secret: Array(text.utf8)) }
        }
        let known = KeyError("a public key is no secret")
        for file in Self.files where file.kind != nil {
            for block in try PEMBlock.all(in: file.public) {
                #expect(throws: known, "\(file.name) as DER") { try VerificationKey(secret: block.bytes) }
            }
        }
        let texts = [
            #" {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDqYAYKxCrfVS", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY",
        ]
        for text in texts {
            #expect(throws: known, "\(text)") { try VerificationKey(secret: Array(text.utf8)) }
        }
    }

    private static let size = KeyError("an RSA key has 2,048 to 8,192 bits")
    private static let exponent = KeyError("the exponent of an RSA key is odd, above 2 and has 8 bytes at most")

    @Test func refusesWeakAndSlowRSA() throws {
        let modulus = [0xC1] + [UInt8](repeating: 0x5B, count: 255)
        #expect(throws: Self.size) { try VerificationKey(modulus: Array(modulus.prefix(255)), exponent: [1, 0, 1]) }
        #expect(throws: Self.size) {
            try VerificationKey(modulus: [1] + modulus + modulus + modulus + modulus, exponent: [3])
        }
        #expect(throws: Self.size) { try VerificationKey(modulus: [], exponent: [1, 0, 1]) }
        let wrong: [[UInt8]] = [[], [0], [1], [2], [4], [1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1]]
        for exponent in wrong {
            #expect(throws: Self.exponent) { try VerificationKey(modulus: modulus, exponent: exponent) }
        }
        let inconsistent = KeyError("the numbers of the key do not fit together")
        #expect(throws: inconsistent, "a modulus with small factors") {
            try VerificationKey(modulus: [UInt8](repeating: 0xFF, count: 256), exponent: [1, 0, 1])
        }
        #expect(throws: inconsistent, "an even one") {
            try VerificationKey(modulus: Array(modulus.dropLast()) + [0x5A], exponent: [1, 0, 1])
        }
    }

    @Test func rejectsPointsNotOnTheCurve() throws {
        let zero = [UInt8](repeating: 0, count: 32)
        #expect(throws: KeyError("this is no public key")) { try VerificationKey(x: zero, y: zero, on: .p256) }
        let length = KeyError("the coordinates have the wrong length for their curve")
        #expect(throws: length) { try VerificationKey(x: Array(zero.dropLast()), y: zero, on: .p256) }
        #expect(throws: length) { try VerificationKey(x: zero, y: zero + [0], on: .p256) }
        #expect(throws: length) { try VerificationKey(x: zero, y: zero, on: .p384) }
        #expect(throws: length) { try VerificationKey(x: zero, y: zero, on: .rsa) }
        #expect(throws: KeyError("an Ed25519 key has 32 bytes")) { try VerificationKey(ed25519: zero + [0]) }
    }

    @Test func writesDER() {
        #expect(DER.integer([]) == [2, 1, 0])
        #expect(DER.integer([0, 0, 0x7F]) == [2, 1, 0x7F])
        #expect(DER.integer([0x80]) == [2, 2, 0, 0x80])
        #expect(DER.sequence([UInt8](repeating: 1, count: 0x7F)).prefix(2) == [0x30, 0x7F])
        #expect(DER.sequence([UInt8](repeating: 1, count: 0x80)).prefix(3) == [0x30, 0x81, 0x80])
        #expect(DER.sequence([UInt8](repeating: 1, count: 0x100)).prefix(4) == [0x30, 0x82, 1, 0])
    }

    @Test(
        arguments: [
            ([], nil), ([0x30, 0], nil), ([0x30, 6, 2, 1, 1, 2, 1, 2], [0, 1, 0, 2]),
            ([0x30, 6, 2, 1, 1, 2, 1, 2, 0], nil),
            ([0x30, 7, 2, 1, 1, 2, 1, 2], nil), ([0x30, 6, 2, 1, 1, 3, 1, 2], nil), ([0x30, 6, 2, 4, 1, 2, 1, 2], nil),
            ([0x30, 7, 2, 1, 1, 2, 2, 0, 0x80], [0, 1, 0, 0x80]), ([0x30, 8, 2, 3, 1, 1, 1, 2, 1, 2], nil),
        ] as [([UInt8], [UInt8]?)])
    func parsesDERSignatures(der: [UInt8], numbers: [UInt8]?) {
        #expect(DER.numbers(ofSignature: der, size: 2) == numbers)
    }

    /// A TLS connection on the same thread would mistake an old error for its own.
    @Test func leavesOpenSSLsErrorQueueEmpty() throws {
        _ = try? VerificationKey.all(pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        _ = try? SigningKey(pem: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        let key = try #require(try VerificationKey.all(pem: Self.files[0].public).first)
        for signature in [[1, 2, 3], [UInt8](repeating: 0xFF, count: 256)] {
            _ = key.verifies(signature.span, of: signature.span, by: .rs256)
            _ = key.verifies(signature.span, of: signature.span, by: .ps256)
        }
        #expect(ERR_peek_error() == 0)
    }
}
