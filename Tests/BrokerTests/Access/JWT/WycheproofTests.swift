import Foundation
import Testing
import WSTransport

@testable import Broker
@testable import Cryptography

/// Project Wycheproof's sets of whole tokens and of key sets (`json_web_signature_test`, `json_web_key_test`).
@Suite("JWT: Project Wycheproof's tokens and key sets")
struct WycheproofTests {
    struct Group: Decodable {
        let set: String
        /// A JSON Web Key set, as text.
        let keys: String
        let cases: [Case]
    }

    struct Case: Decodable {
        let number: Int
        let name: String
        let token: String
        let result: String
    }

    /// The verdicts that differ, and why.
    private static let differing: [String: String] = [
        // Valid there, refused here.
        "json_web_signature_test 346 Figure20": "the key is bound to PS256, and the token says PS384",
        "json_web_signature_test 350 Figure20": "the key is bound to PS256, and the token says PS384",
        "json_web_signature_test 347 Figure27": "P-521 is not accepted",
        "json_web_signature_test 351 Figure27": "P-521 is not accepted",
        "json_web_signature_test 372 InvalidCharacterInsertedInHeader": "no base64url",
        "json_web_signature_test 373 InvalidCharacterInsertedInPayload": "no base64url",
        "json_web_key_test 2 acceptsValid": "a secret in a key set",
        "json_web_key_test 13 long_key": "a secret in a key set",
        "json_web_key_test 14 long_key": "a secret in a key set",
        "json_web_key_test 15 long_key": "a secret in a key set",
        // Invalid there: the padding they are about is missing, so that each is, byte by byte, the valid token 357.
        "json_web_signature_test 367 invalidBase64Padding": "the token of 357",
        "json_web_signature_test 370 invalidBase64PaddingInPayload": "the token of 357",
    ]

    @Test func agreesWithEveryCase() throws {
        let groups = try Self.groups()
        let tokens = groups.filter { $0.set == "json_web_signature_test" }.flatMap(\.cases)
        #expect(tokens.count == 401 && groups.reduce(0) { $0 + $1.cases.count } == 427)
        #expect(Set(tokens.filter { [357, 367, 370].contains($0.number) }.map(\.token)).count == 1)
        var differences: [String] = []
        for group in groups {
            let keys = Self.keySet(of: group)
            for one in group.cases where Self.isAccepted(one.token, keys) != (one.result == "valid") {
                differences.append("\(group.set) \(one.number) \(one.name)")
            }
        }
        #expect(Set(differences) == Set(Self.differing.keys))
    }

    private static func groups() throws -> [Group] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appending(path: "CryptographyTests/Vectors/jws.json")
        return try JSONDecoder().decode([Group].self, from: try Data(contentsOf: file))
    }

    /// The keys as an issuer's set, or a lone secret of the first set as an issuer's secret; `nil` if they are refused.
    private static func keySet(of group: Group) -> JWTKeySet? {
        if let keys = try? JWTKeySet(json: Array(group.keys.utf8)) { return keys }
        guard group.set == "json_web_signature_test",
            let set = try? JSONDecoder().decode([String: [Secret]].self, from: Data(group.keys.utf8)),
            let text = set["keys"]?.first?.k, let secret = Base64.decode(text, alphabet: .url)
        else { return nil }
        return try? JWTKeySet(secret: secret)
    }

    private struct Secret: Decodable {
        let k: String
    }

    /// Whether a token's signature is accepted.
    ///
    /// The payloads are no claims, so the rest of the check does not apply.
    private static func isAccepted(_ text: String, _ keys: JWTKeySet?) -> Bool {
        guard let keys, let token = try? JSONWebToken(text),
            case .found(let key) = keys.key(id: token.keyID, for: token.algorithm)
        else { return false }
        return key.verifies(token.signature.span, of: token.message.utf8Span.span, by: token.algorithm)
    }
}
