package import Cryptography

extension Settings.Access {
    /// A login server whose tokens are accepted.
    package struct JWT: Sendable, Equatable {
        /// The `iss` of its tokens.
        package var issuer = ""
        /// A value that the `aud` of its tokens must contain.
        package var audience = ""
        /// `file:PATH` or the URL of a key set; `nil` if a secret is used.
        package var keys: String?
        /// `file:PATH`, `env:NAME` or the secret itself; `nil` if keys are used.
        package var secret: SecretText?
        /// The accepted algorithms; empty for ES256, EdDSA, RS256 and PS256 with keys, HS256 with a secret.
        package var algorithms: [SignatureAlgorithm] = []
        package var leeway = Duration.seconds(30)
        package var maximumLifetime = Duration.seconds(86_400)
        package var userClaim = "sub"
        package var rolesClaim = ""
        package var grantsClaim = ""
        package var mayGrant = ["#"]
        package var refresh = Duration.seconds(600)
        /// A PEM file of authorities for the URL; `nil` for those of the system.
        package var ca: String?

        package init() {}
    }
}

extension Settings.Access.JWT {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(initial: Self(), members: names + keyMembers + claimMembers) { jwt, section, decoder in
            func fail(_ message: String) { decoder.fail(section.mark, section.path, message) }
            if jwt.issuer.isEmpty || jwt.audience.isEmpty { fail("expected issuer and audience") }
            // An invalid value has its own error.
            if section.value(of: "keys") != nil, jwt.keys == nil { return }
            switch (jwt.keys, jwt.secret) {
            case (nil, nil): fail("expected keys or secret, found none of them")
            case (_?, _?): fail("expected keys or secret, found both of them")
            case (_?, nil):
                if jwt.algorithms.contains(where: { $0.kind == .secret }) {
                    fail("expected no HS256, HS384 or HS512 with keys: they take a secret")
                }
            case (nil, let secret?):
                if jwt.algorithms.contains(where: { $0.kind != .secret }) {
                    fail("expected only HS256, HS384 or HS512 with a secret")
                }
                if secret.isShorter(than: 32) { fail("expected a secret of 32 bytes at least") }
            }
        }
    }

    /// The algorithms that tokens may be signed with.
    package var acceptedAlgorithms: [SignatureAlgorithm] {
        if !algorithms.isEmpty { return algorithms }
        return secret == nil ? [.es256, .edDSA, .rs256, .ps256] : [.hs256]
    }

    private static func text(_ expected: String) -> ConfigurationValue<String> {
        .text(expected) { !$0.isEmpty && $0.utf8.count <= 1024 }
    }

    private static var names: [Setting<Self>] {
        [
            Setting(
                "issuer", \.issuer, text("the tokens' iss"), "The tokens' `iss`, compared byte by byte.",
                traits: .init(example: "https://login.example.com")),
            Setting(
                "audience", \.audience, text("one of the tokens' aud"), "A value that the tokens' `aud` must contain.",
                traits: .init(example: "broker")),
        ]
    }

    private static var keyMembers: [Setting<Self>] {
        let place = ConfigurationValue<String>.text(
            "file:PATH, https://… or, on this machine, http://127.0.0.1:PORT/…"
        ) { text in
            if text.hasPrefix("file:") { return text.utf8.count > 5 }
            return JWTKeySource.isAddress(text)
        }
        return [
            Setting(
                optional: "keys", \.keys, place,
                "A JWK set, or a PEM file of public keys or certificates; files are watched, URLs are fetched.",
                traits: .init(example: "https://login.example.com/certs")),
            Setting(
                optional: "secret", \.secret, .secret,
                "A shared secret of at least 32 bytes that signs the tokens, instead of keys.",
                traits: .init(example: "file:/run/secrets/jwt", isSecret: true)),
            Setting(
                optional: "ca", \.ca, .path, "A PEM file of the authorities that verify the server of the URL.",
                traits: .init(example: "/etc/broker/ca.pem")),
            Setting(
                "refresh", \.refresh, .duration(.seconds(30) ... .seconds(86_400)),
                "How often keys are fetched; an unknown key causes a fetch, too, at most every 30 s.",
                traits: .init(example: "10m")),
            Setting(
                values: "algorithms", \.algorithms, of: .choice,
                expected: "a list of algorithms such as [ES256, EdDSA]",
                "The accepted algorithms; empty: ES256, EdDSA, RS256 and PS256 with keys, HS256 with a secret.",
                traits: .init(example: "[ES256, EdDSA]")),
        ]
    }

    private static var claimMembers: [Setting<Self>] {
        let path = ConfigurationValue<String>.text("the path of a claim") { $0.utf8.count <= 256 }
        return [
            Setting(
                "leeway", \.leeway, .duration(.zero ... .seconds(300)), "The largest accepted clock difference.",
                traits: .init(example: "30s")),
            Setting(
                "maximum_lifetime", \.maximumLifetime, .duration(.seconds(60) ... .seconds(31_536_000)),
                "The longest lifetime of a token, from `iat` to `exp`; a token without `exp` is refused.",
                traits: .init(example: "24h")),
            Setting(
                "user_claim", \.userClaim, .text("the path of a claim") { 1...256 ~= $0.utf8.count },
                "The claim that names the user.", traits: .init(example: "sub")),
            Setting(
                "roles_claim", \.rolesClaim, path,
                "The claim with roles, such as realm_access.roles; \"\": tokens give no roles.",
                traits: .init(example: "realm_access.roles")),
            Setting(
                "grants_claim", \.grantsClaim, path,
                """
                The claim with an object of publish, subscribe, retain, deny (lists of filters) and roles; "": tokens \
                carry no rights.
                """, traits: .init(example: "broker")),
            Setting(
                values: "may_grant", \.mayGrant, of: .filter(example: "t/#"), expected: "a list of topic filters",
                "Filters that limit what that claim may allow; its roles are not limited.",
                traits: .init(example: "[\"apps/#\"]")),
        ]
    }
}

extension ConfigurationValue where Value == SecretText {
    /// A secret, or where it is stored.
    static var secret: Self {
        Self(
            expected: "file:PATH, env:NAME or a secret", read: { $0.text.isEmpty ? nil : SecretText($0.text) },
            write: { .text($0.description) })
    }
}
