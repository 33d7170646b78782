import Cryptography
import Foundation
import Testing
import WSTransport

@testable import Broker

/// Makes tokens, valid and forged ones, and the key sets to check them with.
struct TokenSmith {
    /// The time of all tests, in Unix seconds.
    static let now: Int64 = 1_800_000_000

    private struct KeyFile: Decodable {
        let name: String
        let `public`: String
        let `private`: String?
    }

    /// A pair of keys, by its name in the key set.
    struct Pair {
        let key: SigningKey
        let pem: String
        /// The public key as DER.
        let der: [UInt8]
    }

    let pairs: [String: Pair]
    static let secret = [UInt8](0..<64)

    init() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = try Data(contentsOf: folder.appending(path: "CryptographyTests/Vectors/keys.json"))
        var pairs: [String: Pair] = [:]
        for each in try JSONDecoder().decode([KeyFile].self, from: file)
        where ["rsa", "p256", "p384", "ed25519"].contains(each.name) {
            let lines = each.public.split(separator: "\n").filter { !$0.hasPrefix("-") }
            let der = try #require(Data(base64Encoded: lines.joined()))
            pairs[each.name] = Pair(
                key: try SigningKey(pem: try #require(each.private)), pem: each.public, der: Array(der))
        }
        self.pairs = pairs
    }

    /// The members of a key as JSON, without braces.
    func members(_ name: String) throws -> String {
        let der = try #require(pairs[name]).der
        func text(_ bytes: ArraySlice<UInt8>) -> String { Base64.encode(Array(bytes), alphabet: .url) }
        switch name {
        // A modulus of 2,048 bits begins after 33 bytes of DER; the exponent is at the end.
        case "rsa": return #""kty":"RSA","n":"\#(text(der[33..<289]))","e":"\#(text(der.suffix(3)))""#
        case "p256":
            return #""kty":"EC","crv":"P-256","x":"\#(text(der.suffix(64).prefix(32)))","y":"\#(text(der.suffix(32)))""#
        case "p384":
            return #""kty":"EC","crv":"P-384","x":"\#(text(der.suffix(96).prefix(48)))","y":"\#(text(der.suffix(48)))""#
        default: return #""kty":"OKP","crv":"Ed25519","x":"\#(text(der.suffix(32)))""#
        }
    }

    /// A set of all keys, each with its name as `kid`.
    func set(_ names: [String] = ["rsa", "p256", "p384", "ed25519"], more: String = "") throws -> JWTKeySet {
        let keys = try names.map { #"{"kid":"\#($0)",\#(try members($0))\#(more)}"# }
        return try JWTKeySet(json: Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8))
    }

    static let issuer: JWTIssuer = {
        var issuer = JWTIssuer("login", audience: "broker", algorithms: Set(SignatureAlgorithm.allCases))
        issuer.rolesClaim = "realm_access.roles"
        issuer.grantsClaim = "broker"
        issuer.mayGrant = [TopicFilter(unchecked: "#", isLiteral: false)]
        return issuer
    }()

    /// The claims of a valid token, and more; a name that is given again replaces the first.
    static func claims(_ more: KeyValuePairs<String, String?> = [:]) -> String {
        var members: [(String, String)] = [
            ("iss", "\"login\""), ("aud", "\"broker\""), ("sub", "\"alice\""), ("iat", "\(now - 60)"),
            ("exp", "\(now + 600)"),
        ]
        for (name, value) in more {
            members.removeAll { $0.0.utf8.elementsEqual(name.utf8) }
            if let value { members.append((name, value)) }
        }
        return "{\(members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ","))}"
    }

    /// A token with a header and claims as they are given, signed by a key.
    func token(
        _ claims: String = claims(), header: String? = nil, by name: String = "p256",
        _ algorithm: SignatureAlgorithm? = nil
    ) throws -> String {
        let key = try #require(pairs[name]).key
        let algorithm = algorithm ?? key.algorithm
        let header = header ?? #"{"alg":"\#(algorithm.rawValue)","kid":"\#(name)"}"#
        let message = "\(Self.part(header)).\(Self.part(claims))"
        return "\(message).\(Base64.encode(try key.sign(message.utf8Span.span, by: algorithm), alphabet: .url))"
    }

    /// A token with the signature that is given.
    func token(header: String, _ claims: String = claims(), signature: [UInt8]) -> String {
        "\(Self.part(header)).\(Self.part(claims)).\(Base64.encode(signature, alphabet: .url))"
    }

    /// A token signed with a secret, whatever it is.
    func token(secret: [UInt8], header: String = #"{"alg":"HS256"}"#) throws -> String {
        let message = "\(Self.part(header)).\(Self.part(Self.claims()))"
        let code = try HashFunction.sha256.authenticate(message.utf8Span.span, key: secret.span)
        return "\(message).\(Base64.encode(code, alphabet: .url))"
    }

    static func part(_ text: String) -> String { Base64.encode(Array(text.utf8), alphabet: .url) }
}

extension JWTCheck.Verdict {
    /// In one word, for tests.
    var word: String {
        switch self {
        case .known: "known"
        case .rejected(let reason, _): reason.rawValue
        case .unknownKey: "unknown key"
        }
    }
}
