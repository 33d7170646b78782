import Cryptography
import Testing
import WSTransport

@testable import Broker

@Suite("JSON Web Tokens: tokens that must be refused")
struct JWTAttackTests {
    struct Attack: Sendable, CustomTestStringConvertible {
        let name: String
        let verdict: String
        let make: @Sendable (TokenSmith) throws -> String
        var testDescription: String { name }

        init(_ name: String, _ verdict: String, _ make: @escaping @Sendable (TokenSmith) throws -> String) {
            self.name = name
            self.verdict = verdict
            self.make = make
        }
    }

    private static func header(_ more: String) -> String { #"{"alg":"ES256","kid":"p256",\#(more)}"# }

    static let algorithms: [Attack] =
        ["none", "None", "NONE", "nOnE", "", "HS1", "es256", "ES256K", "ES512", "RSA-OAEP"].map { name in
            Attack("alg \(name)", "algorithm") { $0.token(header: #"{"alg":"\#(name)"}"#, signature: []) }
        } + [
            Attack("no alg", "algorithm") { $0.token(header: "{}", signature: []) },
            Attack("alg null", "algorithm") { $0.token(header: #"{"alg":null}"#, signature: []) },
            Attack("alg as a number", "header") { $0.token(header: #"{"alg":1}"#, signature: []) },
            Attack("alg as a list", "header") { $0.token(header: #"{"alg":["ES256"]}"#, signature: []) },
            Attack("HS256 with the PEM of the RSA key as the secret", "key") { smith in
                try smith.token(secret: Array(try #require(smith.pairs["rsa"]).pem.utf8))
            },
            Attack("HS256 with the DER of the RSA key", "key") { smith in
                try smith.token(secret: try #require(smith.pairs["rsa"]).der)
            },
            Attack("HS256 with the JWK of the RSA key, and its name", "key") { smith in
                try smith.token(
                    secret: Array("{\(try smith.members("rsa"))}".utf8), header: #"{"alg":"HS256","kid":"rsa"}"#)
            },
            Attack("HS256 with nothing", "key") { try $0.token(secret: []) },
            Attack("an RS256 signature, said to be PS256", "signature") {
                try $0.token(header: #"{"alg":"PS256","kid":"rsa"}"#, by: "rsa", .rs256)
            },
            Attack("an ES256 token that names the RSA key", "key") {
                try $0.token(header: #"{"alg":"ES256","kid":"rsa"}"#, by: "p256")
            },
            Attack("an ES384 signature, said to be ES256", "signature") {
                try $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, by: "p384", .es384)
            },
        ]

    private static let one = [UInt8](repeating: 0, count: 31) + [1]
    /// Of P-256 (FIPS 186-4 §D.1.2.3).
    private static let order: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD,
        0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ]

    private static func points(_ smith: TokenSmith, r: [UInt8], s: [UInt8]) -> String {
        smith.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: r + s)
    }

    static let signatures: [Attack] = [
        Attack("psychic: r and s are 0", "signature") {
            $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: [UInt8](repeating: 0, count: 64))
        },
        Attack("r is 0", "signature") { points($0, r: [UInt8](repeating: 0, count: 32), s: order) },
        Attack("s is 0", "signature") { points($0, r: one, s: [UInt8](repeating: 0, count: 32)) },
        Attack("r is the order of the curve", "signature") { points($0, r: order, s: one) },
        Attack("s is the order of the curve", "signature") { points($0, r: one, s: order) },
        Attack("63 bytes", "signature") {
            $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: [UInt8](repeating: 1, count: 63))
        },
        Attack("65 bytes", "signature") {
            $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: [UInt8](repeating: 1, count: 65))
        },
        Attack("as DER", "signature") {
            $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: [0x30, 6, 2, 1, 1, 2, 1, 1])
        },
        Attack("no signature", "signature") { $0.token(header: #"{"alg":"ES256","kid":"p256"}"#, signature: []) },
        Attack("of other claims", "signature") { smith in
            let right = try smith.token().split(separator: ".")
            return "\(right[0]).\(TokenSmith.part(TokenSmith.claims(["sub": "\"admin\""]))).\(right[2])"
        },
        Attack("by a key of the same kind that is nobody's", "signature") { smith in
            // The message differs from the one that the key has signed.
            let one = try smith.token().split(separator: ".")
            let other = try smith.token(TokenSmith.claims(["x": "1"])).split(separator: ".")
            return "\(one[0]).\(one[1]).\(other[2])"
        },
    ]

    static let headers: [Attack] =
        [
            #""jwk":{"kty":"oct","k":"AAAA"}"#, #""jku":"https://evil.test/keys""#, #""x5u":"https://evil.test/c""#,
            #""x5c":["AAAA"]"#, #""crit":["exp"]"#, #""crit":[]"#, #""b64":false"#, #""zip":"DEF""#, #""jku":null"#,
        ].map { member in Attack(member, "extension") { try $0.token(header: header(member)) } } + [
            Attack("typ of another kind", "type") { try $0.token(header: header(#""typ":"JOSE""#)) },
            Attack("typ of an encrypted token", "type") { try $0.token(header: header(#""typ":"JWE""#)) },
            Attack("alg twice", "header") { try $0.token(header: header(#""alg":"none""#)) },
            Attack("alg twice, once escaped", "header") { try $0.token(header: header(#""\u0061lg":"none""#)) },
            Attack("kid twice", "header") { try $0.token(header: header(#""kid":"rsa""#)) },
            Attack("kid as a number", "header") { try $0.token(header: #"{"alg":"ES256","kid":1}"#) },
            Attack("no object", "header") { try $0.token(header: #"["ES256"]"#) },
            Attack("broken", "header") { try $0.token(header: #"{"alg":"ES256""#) },
            Attack("something after it", "header") { try $0.token(header: #"{"alg":"ES256"}{}"#) },
            Attack("no UTF-8", "header") { smith in
                "\(Base64.encode([0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], alphabet: .url)).e30."
            },
            Attack("more than 1 KiB", "header") { smith in
                try smith.token(header: header(#""x":"\#(String(repeating: "x", count: 1024))""#))
            },
            Attack("kid is a path", "unknown key") { try $0.token(header: #"{"alg":"ES256","kid":"../../dev/null"}"#) },
            Attack("kid is SQL", "unknown key") {
                try $0.token(header: #"{"alg":"ES256","kid":"' OR '1'='1"}"#)
            },
            Attack("kid is long", "unknown key") {
                try $0.token(header: #"{"alg":"ES256","kid":"\#(String(repeating: "k", count: 900))"}"#)
            },
            Attack("kid is empty", "unknown key") { try $0.token(header: #"{"alg":"ES256","kid":""}"#) },
            Attack("kid of another issuer", "unknown key") { smith in
                try smith.token(
                    TokenSmith.claims(["iss": "\"other\""]), header: #"{"alg":"ES256","kid":"p256"}"#, by: "p256")
            },
            Attack("an issuer's token by another issuer's key", "unknown key") { smith in
                try smith.token(header: #"{"alg":"EdDSA","kid":"others"}"#, by: "ed25519")
            },
        ]

    static let forms: [Attack] = [
        Attack("nothing", "form") { _ in "" },
        Attack("dots", "form") { _ in "..x" },
        Attack("two parts", "form") { _ in "e30.e30" },
        Attack("four parts", "form") { "\(try $0.token()).e30" },
        Attack("five parts, as if encrypted", "form") { "\(try $0.token()).e30.e30" },
        Attack("padding", "form") { "\(try $0.token())=" },
        Attack("white space after it", "form") { "\(try $0.token()) " },
        Attack("white space before it", "form") { " \(try $0.token())" },
        Attack("a line end in it", "form") { try $0.token().replacing(".", with: ".\n", maxReplacements: 1) },
        Attack("bits left over", "form") { smith in
            let token = try smith.token()
            return token.dropLast() + (token.last == "A" ? "B" : "A") + "x"
        },
        Attack("the other alphabet", "form") { _ in "e30.e30.++//" },
        Attack("9 KiB", "size") {
            try $0.token(TokenSmith.claims(["x": "\"\(String(repeating: "x", count: 7000))\""]))
        },
    ]

    static let claims: [Attack] = [
        ("no object", "payload", #"["login"]"#), ("broken", "payload", "{"), ("empty", "issuer", "{}"),
        ("iss of nobody", "issuer", TokenSmith.claims(["iss": "\"Login\""])),
        ("iss with a slash", "issuer", TokenSmith.claims(["iss": "\"login/\""])),
        ("iss as a list", "issuer", TokenSmith.claims(["iss": #"["login"]"#])),
        ("iss twice", "payload", #"{"iss":"login","iss":"login","exp":1800000600,"aud":"broker","sub":"a"}"#),
        ("exp twice", "payload", #"{"iss":"login","exp":1,"exp":1800000600,"aud":"broker","sub":"a"}"#),
        ("sub twice", "payload", #"{"iss":"login","exp":1800000600,"aud":"broker","sub":"a","sub":"b"}"#),
        ("a nested name twice", "claims", TokenSmith.claims(["realm_access": #"{"roles":[],"roles":["admin"]}"#])),
        ("no exp", "no_expiry", TokenSmith.claims(["exp": nil])),
        ("exp null", "claims", TokenSmith.claims(["exp": "null"])),
        ("exp as a string", "claims", TokenSmith.claims(["exp": "\"1800000600\""])),
        ("exp 1e400", "claims", TokenSmith.claims(["exp": "1e400"])),
        ("exp 1e300", "claims", TokenSmith.claims(["exp": "1e300"])),
        ("exp −1", "claims", TokenSmith.claims(["exp": "-1"])),
        ("exp 0", "expired", TokenSmith.claims(["exp": "0"])),
        ("nbf as a string", "claims", TokenSmith.claims(["nbf": "\"1\""])),
        ("iat as a list", "claims", TokenSmith.claims(["iat": "[1]"])),
        ("no aud", "audience", TokenSmith.claims(["aud": nil])),
        ("another aud", "audience", TokenSmith.claims(["aud": "\"brokers\""])),
        ("a list of other aud", "audience", TokenSmith.claims(["aud": #"["a","BROKER"]"#])),
        ("an empty list of aud", "audience", TokenSmith.claims(["aud": "[]"])),
        ("aud as an object", "claims", TokenSmith.claims(["aud": #"{"broker":1}"#])),
        ("aud with a number", "claims", TokenSmith.claims(["aud": #"["broker",1]"#])),
        ("no sub", "subject", TokenSmith.claims(["sub": nil])),
        ("an empty sub", "subject", TokenSmith.claims(["sub": "\"\""])),
        ("sub as a number", "subject", TokenSmith.claims(["sub": "42"])),
        ("sub as a list", "subject", TokenSmith.claims(["sub": #"["a","b"]"#])),
        ("sub of 1,025 bytes", "subject", TokenSmith.claims(["sub": "\"\(String(repeating: "s", count: 1025))\""])),
        ("grants as a list", "grants", TokenSmith.claims(["broker": "[]"])),
        ("a filter that is none", "grants", TokenSmith.claims(["broker": ##"{"publish":["a/#/b"]}"##])),
        ("a filter as a number", "grants", TokenSmith.claims(["broker": #"{"deny":[1]}"#])),
        ("roles as a string", "grants", TokenSmith.claims(["broker": #"{"roles":"admin"}"#])),
    ].map { (name, verdict, claims) in Attack(name, verdict) { try $0.token(claims) } }

    @Test(arguments: algorithms + signatures + headers + forms + claims)
    func rejectsForgedAndMalformedTokens(_ attack: Attack) throws {
        let smith = try TokenSmith()
        var other = TokenSmith.issuer
        other.name = "other"
        let others = try JWTKeySet(json: Array(#"{"keys":[{"kid":"others",\#(try smith.members("ed25519"))}]}"#.utf8))
        let check = JWTCheck([
            JWTCheck.Judge(TokenSmith.issuer, keys: try smith.set()), JWTCheck.Judge(other, keys: others),
        ])
        #expect(check.judge(try smith.token(), now: TokenSmith.now).word == "known")
        #expect(check.judge(try attack.make(smith), now: TokenSmith.now).word == attack.verdict)
    }

    /// Only tokens that the issuer has signed do not count as guesses, which `limits.authentication_failures` limits.
    @Test func rejectionsBeforeTheSignatureCheckCountAsGuesses() {
        let unsigned: Set<JWTRejection> = [
            .size, .form, .header, .algorithm, .type, .extension_, .payload, .issuer, .key, .keysMissing, .signature,
        ]
        #expect(Set(JWTRejection.allCases.filter { !$0.isOfIssuer }) == unsigned)
    }

    /// The secret of one issuer does not work with the keys of another, and vice versa.
    @Test func doesNotMixTheSecretAndKeysOfIssuers() throws {
        let smith = try TokenSmith()
        let check = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: try JWTKeySet(secret: TokenSmith.secret))])
        #expect(check.judge(try smith.token(secret: TokenSmith.secret), now: TokenSmith.now).word == "known")
        #expect(check.judge(try smith.token(), now: TokenSmith.now).word == "key")
        #expect(
            check.judge(try smith.token(secret: Array(TokenSmith.secret.dropLast())), now: TokenSmith.now).word
                == "signature")
    }

    @Test func rejectsAlgorithmsThatTheIssuerDoesNotUse() throws {
        let smith = try TokenSmith()
        var issuer = TokenSmith.issuer
        issuer.algorithms = [.edDSA]
        let check = JWTCheck([JWTCheck.Judge(issuer, keys: try smith.set())])
        #expect(check.judge(try smith.token(), now: TokenSmith.now).word == "algorithm")
        #expect(check.judge(try smith.token(by: "ed25519"), now: TokenSmith.now).word == "known")
        // The algorithm that the set says is the key's only one.
        let set = try smith.set(["rsa"], more: #","alg":"PS256""#)
        let strict = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: set)])
        #expect(strict.judge(try smith.token(by: "rsa", .ps256), now: TokenSmith.now).word == "known")
        #expect(strict.judge(try smith.token(by: "rsa", .rs256), now: TokenSmith.now).word == "key")
    }
}
