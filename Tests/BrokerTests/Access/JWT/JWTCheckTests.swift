import Cryptography
import Testing
import WSTransport

@testable import Broker

@Suite("JSON Web Tokens: time, names, roles and grants; key sets")
struct JWTCheckTests {
    private func judge(
        _ claims: String, now: Int64 = TokenSmith.now, _ issuer: JWTIssuer = TokenSmith.issuer
    ) throws -> JWTCheck.Verdict {
        let smith = try TokenSmith()
        return JWTCheck([JWTCheck.Judge(issuer, keys: try smith.set())]).judge(try smith.token(claims), now: now)
    }

    private func principal(
        _ claims: String, _ issuer: JWTIssuer = TokenSmith.issuer
    ) throws -> Principal {
        guard case .known(let principal, issuer: 0) = try judge(claims, issuer) else {
            throw JWTRejection.claims
        }
        return principal
    }

    @Test(arguments: SignatureAlgorithm.allCases.filter { $0.kind != .secret })
    func acceptsEachAlgorithm(_ algorithm: SignatureAlgorithm) throws {
        let smith = try TokenSmith()
        let names: [VerificationKey.Kind: String] = [.rsa: "rsa", .p256: "p256", .p384: "p384", .ed25519: "ed25519"]
        let token = try smith.token(by: try #require(names[algorithm.kind]), algorithm)
        let check = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: try smith.set())])
        #expect(check.judge(token, now: TokenSmith.now).word == "known")
    }

    /// The leeway is 30 s, the longest life a day.
    @Test(
        arguments: [
            ("exp", 0, 29, "known"), ("exp", 0, 30, "expired"), ("exp", 0, 31, "expired"), ("exp", 0, -1, "known"),
            ("nbf", 30, 0, "known"), ("nbf", 31, 0, "early"), ("nbf", -1, 0, "known"),
            ("iat", 30, 0, "known"), ("iat", 31, 0, "future"),
            ("exp", 86_400 - 60, 0, "known"), ("exp", 86_400 - 59, 0, "lifetime"),
        ] as [(String, Int64, Int64, String)])
    func checksTheTimesOfATokenExactly(claim: String, offset: Int64, later: Int64, verdict: String) throws {
        let more: KeyValuePairs<String, String?> = [claim: "\(TokenSmith.now + offset)"]
        #expect(try judge(TokenSmith.claims(more), now: TokenSmith.now + later).word == verdict)
    }

    @Test func acceptsFractionalTimesAndAMissingIssueTime() throws {
        #expect(try judge(TokenSmith.claims(["exp": "\(TokenSmith.now).5"]), now: TokenSmith.now + 30).word == "known")
        #expect(try judge(TokenSmith.claims(["iat": nil])).word == "known")
        #expect(try judge(TokenSmith.claims(["iat": nil, "exp": "\(TokenSmith.now + 86_401)"])).word == "lifetime")
    }

    @Test func readsTheUser() throws {
        let known = try principal(TokenSmith.claims(["jti": "\"t1\""]))
        #expect(known.kind == .jwt && known.user == "alice" && known.token == "t1")
        #expect(known.expires == TokenSmith.now + 600 + 30)
        #expect(known.claims["sub"] == ["alice"] && known.claims["exp"] == nil)
        #expect(try principal(TokenSmith.claims(["aud": #"["other","broker"]"#])).user == "alice")
        // Rules with {user} do not apply to this name, but it authenticates.
        #expect(try principal(TokenSmith.claims(["sub": ##""a/#""##])).user == "a/#")
        var issuer = TokenSmith.issuer
        issuer.userClaim = "profile.mail"
        let claims = TokenSmith.claims(["profile": #"{"mail":"a@example.com"}"#])
        #expect(try principal(claims, issuer).user == "a@example.com")
    }

    @Test func readsRolesAndClaimsByPath() throws {
        let known = try principal(
            TokenSmith.claims([
                "realm_access": #"{"roles":["sensor","a/b",""]}"#, "tenant": "\"t1\"", "number": "7",
                "list": #"["x",2,true,null,{}]"#, "flag": "true", "https://example.com/role": "\"r\"",
            ]))
        #expect(known.roles == ["sensor"])
        #expect(known.claims["tenant"] == ["t1"] && known.claims["number"] == ["7"])
        #expect(known.claims["list"] == ["x", "2"] && known.claims["flag"] == nil)
        #expect(known.claims["https://example.com/role"] == ["r"])
        // One role as a string.
        var issuer = TokenSmith.issuer
        issuer.rolesClaim = "role"
        #expect(try principal(TokenSmith.claims(["role": "\"sensor\""]), issuer).roles == ["sensor"])
        #expect(try principal(TokenSmith.claims(["role": #"["sensor",1]"#]), issuer).roles == [])
    }

    /// A user that can choose one of the two could choose the other with it.
    @Test func ignoresAnAmbiguousClaim() throws {
        let known = try principal(TokenSmith.claims(["a": #"{"b":"x"}"#, "a.b": "\"y\""]))
        #expect(known.claims["a.b"] == nil)
    }

    /// A list of one is a list, and nothing below a member without a name is a claim of the token.
    @Test func theUserIsATopLevelString() throws {
        #expect(try judge(TokenSmith.claims(["sub": #"["alice"]"#])).word == "subject")
        #expect(try judge(TokenSmith.claims(["sub": nil, "": #"{"sub":"alice"}"#])).word == "subject")
        let nested = try principal(TokenSmith.claims(["": #"{"tenant":"x","":{"tenant":"y"}}"#]))
        #expect(nested.claims["tenant"] == nil && nested.claims[".tenant"] == ["x"])
        #expect(nested.claims["..tenant"] == ["y"])
    }

    @Test func claimsAndRolesAreComparedByBytes() throws {
        let known = try principal(
            TokenSmith.claims([
                "\u{E9}": "\"one\"", "e\u{301}": "\"two\"",
                "realm_access": "{\"roles\":[\"\u{E9}\",\"e\u{301}\"]}",
            ]))
        #expect(known.claims["\u{E9}"] == ["one"] && known.claims["e\u{301}"] == ["two"])
        #expect(known.roles == ["\u{E9}", "e\u{301}"])
    }

    /// One of the two might deny what the other allows.
    @Test func rejectsAmbiguousGrants() throws {
        var issuer = TokenSmith.issuer
        issuer.grantsClaim = "a.b"
        let (one, two) = (##"{"publish":["#"]}"##, ##"{"deny":["#"]}"##)
        #expect(try principal(TokenSmith.claims(["a.b": one]), issuer).carried?.publish.count == 1)
        #expect(try principal(TokenSmith.claims(["a": "{\"b\":\(one)}"]), issuer).carried?.publish.count == 1)
        let both = TokenSmith.claims(["a.b": one, "a": "{\"b\":\(two)}"])
        let check = JWTCheck([JWTCheck.Judge(issuer, keys: try TokenSmith().set())])
        #expect(check.judge(try TokenSmith().token(both), now: TokenSmith.now).word == "grants")
    }

    @Test func aTokenNeverExceedsWhatItsIssuerMayGrant() throws {
        var issuer = TokenSmith.issuer
        issuer.mayGrant = [try TopicFilter("t/#")]
        let known = try principal(
            TokenSmith.claims([
                "broker":
                    ##"{"publish":["t/a","u/a","#"],"subscribe":["t/+/x","+/a"],"deny":["secret/#"],"roles":["r"]}"##
            ]), issuer)
        let carried = try #require(known.carried)
        #expect(carried.publish.map(\.text) == ["t/a"] && carried.subscribe.map(\.text) == ["t/+/x"])
        #expect(carried.denyPublish.map(\.text) == ["secret/#"] && carried.denySubscribe.map(\.text) == ["secret/#"])
        #expect(known.roles == ["r"])
        issuer.grantsClaim = ""
        #expect(try principal(TokenSmith.claims(["broker": #"{"publish":["t/a"]}"#]), issuer).carried == nil)
        // # of a token is not $SYS.
        let all = try principal(TokenSmith.claims(["broker": ##"{"subscribe":["#","$SYS/#"]}"##]))
        #expect(all.carried?.subscribe.map(\.text) == ["#"])
    }

    /// The broker's limits may be higher than the defaults.
    @Test func keepsLongFiltersOfAToken() throws {
        let (deep, wide) = (
            String(repeating: "a/", count: 100) + "b", Array(repeating: "+", count: 20).joined(separator: "/")
        )
        let known = try principal(TokenSmith.claims(["broker": #"{"publish":["\#(deep)"],"deny":["\#(wide)"]}"#]))
        #expect(known.carried?.publish.map(\.text) == [deep] && known.carried?.denyPublish.map(\.text) == [wide])
        let access = AccessRules([])
        #expect(try AccessExplanation(access, Subject(known), .publish, deep).isAllowed)
        #expect(try !AccessExplanation(access, Subject(known), .publish, "a/b").isAllowed)
    }

    @Test func doesNotExpandPlaceholdersInATokensGrants() throws {
        let known = try principal(TokenSmith.claims(["broker": #"{"publish":["{user}/x"]}"#]))
        let filters = known.carried?.publish.flatMap { $0.filters(for: Subject(known)) }.map(\.name)
        #expect(filters == ["{user}/x"])
    }

    // MARK: Keys

    @Test func aTokenWithoutKeyIDNeedsExactlyOneMatchingKey() throws {
        let smith = try TokenSmith()
        let check = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: try smith.set())])
        #expect(check.judge(try smith.token(header: #"{"alg":"ES256"}"#), now: TokenSmith.now).word == "known")
        let twice = try JWTKeySet(
            json: Array(
                #"{"keys":[{"kid":"a",\#(try smith.members("p256"))},{"kid":"b",\#(try smith.members("p256"))}]}"#.utf8)
        )
        let unclear = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: twice)])
        #expect(unclear.judge(try smith.token(header: #"{"alg":"ES256"}"#), now: TokenSmith.now).word == "key")
        let none = JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: nil)])
        #expect(none.judge(try smith.token(), now: TokenSmith.now).word == "keys_missing")
        // Keys of a PEM file have no names.
        let pem = try JWTKeySet(file: Array(try #require(smith.pairs["p256"]).pem.utf8))
        #expect(
            JWTCheck([JWTCheck.Judge(TokenSmith.issuer, keys: pem)]).judge(try smith.token(), now: TokenSmith.now).word
                == "known")
    }

    @Test func skipsUnsuitableKeys() throws {
        let smith = try TokenSmith()
        let good = #"{"kid":"p256",\#(try smith.members("p256"))}"#
        let bad = [
            #"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#,
            #"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            #"{"kty":"RSA","n":"A+B","e":"AQAB"}"#, #"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#, "{}",
            #"{\#(try smith.members("p256")),"use":"enc"}"#, #"{\#(try smith.members("p256")),"key_ops":["sign"]}"#,
            #"{\#(try smith.members("p256")),"alg":"RS256"}"#, #"{\#(try smith.members("p256")),"alg":"ECDH-ES"}"#,
            #"{\#(try smith.members("p256")),"d":"AAAA"}"#, #"{\#(try smith.members("rsa")),"p":"AAAA"}"#,
            #"{\#(try smith.members("rsa")),"dq":null}"#, #"{\#(try smith.members("p256")),"k":"AAAA"}"#,
            #"{"kty":"oct"}"#, #"{\#(try smith.members("p256")),"kid":1}"#,
            #"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
        ]
        let set = try JWTKeySet(json: Array(#"{"keys":[\#((bad + [good]).joined(separator: ","))]}"#.utf8))
        #expect(set.count == 1 && set.ignored.count == bad.count)
        for key in bad {
            #expect(throws: JWTKeySet.Mistake.self) { try JWTKeySet(json: Array(#"{"keys":[\#(key)]}"#.utf8)) }
        }
    }

    @Test func rejectsMalformedKeySets() throws {
        let key = #"{"kid":"p256",\#(try TokenSmith().members("p256"))}"#
        let many = Array(repeating: key, count: 33)
        let wrong = [
            "", "{}", "[]", #"{"keys":{}}"#, #"{"keys":[]}"#, #"{"keys":[1]}"#, #"{"keys":[\#(key)]"#,
            #"{"keys":[\#(key)]}x"#, #"{"keys":[\#(many.joined(separator: ","))]}"#,
            #"{"keys":[\#(key)],"keys":[]}"#, String(repeating: " ", count: 256 << 10) + #"{"keys":[\#(key)]}"#,
        ]
        for text in wrong {
            #expect(throws: JWTKeySet.Mistake.self, "\(text.prefix(40))") { try JWTKeySet(json: Array(text.utf8)) }
        }
        #expect(try JWTKeySet(json: Array(#"{"keys":[\#(many.dropLast().joined(separator: ","))]}"#.utf8)).count == 32)
    }
}
