// fuzz: Sources/Broker/Access Sources/Broker/JSON Sources/Broker/Topics
// modules: WSTransport Cryptography

// Any bytes are a token that is refused for a reason, or one that its key has signed; any bytes are a key set or none:
// RFC 7515, RFC 7517, RFC 7519.
//
// The first byte says what the rest is: 0 a token, 1 a key set, others the claims of a token that is signed with the
// right secret, after a byte that says where its header ends.

import Cryptography
import WSTransport

#if canImport(Broker)
    @testable import Broker
#endif

private let secret = [UInt8](0..<32)

private let issuer: JWTIssuer = {
    var issuer = JWTIssuer("login", audience: "broker", algorithms: Set(SignatureAlgorithm.allCases))
    issuer.rolesClaim = "a.roles"
    issuer.grantsClaim = "broker"
    issuer.mayGrant = [TopicFilter(unchecked: "t/#", isLiteral: false)]
    return issuer
}()

private func judge(_ token: String, _ keys: JWTKeySet?) -> JWTCheck.Verdict {
    JWTCheck([JWTCheck.Judge(issuer, keys: keys)]).judge(token, now: 1_800_000_000)
}

private func look(at verdict: JWTCheck.Verdict, of token: String) {
    guard case .known(let principal, let number) = verdict else { return }
    precondition(number == 0 && principal.kind == .jwt, "another issuer")
    precondition(principal.user.map { 1...1024 ~= $0.utf8.count } ?? false, "no user")
    precondition(principal.expires ?? 0 > 1_800_000_000, "it has expired")
    precondition(token.split(separator: ".", omittingEmptySubsequences: false).count == 3, "no three parts")
    let filters = (principal.carried?.publish ?? []) + (principal.carried?.subscribe ?? [])
    for filter in filters { precondition(filter.text.hasPrefix("t/") || filter.text == "t", "more than it may grant") }
}

func fuzzToken(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let rest = Array(input.dropFirst())
    switch first {
    case 0:
        let token = String(decoding: rest, as: UTF8.self)
        let verdict = judge(token, try? JWTKeySet(secret: secret))
        look(at: verdict, of: token)
        // It is not signed: without a key nothing is known.
        if case .known = judge(token, nil) { preconditionFailure("believed without a key") }
    case 1:
        guard let set = try? JWTKeySet(json: rest) else { return }
        precondition(1...JWTKeySet.maximumKeys ~= set.count, "a set without keys, or with many")
        for part in ["eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJSUzI1NiJ9"] {
            let token = "\(part).eyJpc3MiOiJsb2dpbiJ9.\(String(repeating: "A", count: 86))"
            if case .known = judge(token, set) { preconditionFailure("believed without a signature") }
        }
    default:
        let cut = min(Int(first), rest.count)
        let header = cut < 8 ? Array(#"{"alg":"HS256"}"#.utf8) : Array(rest[..<cut])
        let claims = cut < 8 ? rest : Array(rest[cut...])
        let message = "\(Base64.encode(header, alphabet: .url)).\(Base64.encode(claims, alphabet: .url))"
        guard let key = try? SigningKey(secret: secret),
            let signature = try? key.sign(message.utf8Span.span, by: .hs256), let set = try? JWTKeySet(secret: secret)
        else { return }
        let token = "\(message).\(Base64.encode(signature, alphabet: .url))"
        look(at: judge(token, set), of: token)
    }
}
