import Foundation
import Testing
import WSTransport

@Suite("TLS: which peers are trusted, and which files can be used")
struct TLSTrustTests {
    static func authority() throws -> TestAuthority { try TestAuthority.shared.get() }

    @Test(arguments: ["localhost", "127.0.0.1", "LOCALHOST"])
    func acceptsTheRightName(host: String) throws {
        #expect(try TLSPair(host: host).shakeHands().client.isEstablished)
    }

    @Test(arguments: [
        ("example.com", "hostname mismatch"), ("127.0.0.2", "IP address mismatch"), ("::1", "IP address mismatch"),
        ("localhost.example.com", "hostname mismatch"),
    ])
    func refusesAWrongName(host: String, reason: String) throws {
        let pair = try TLSPair(host: host).shakeHands()
        #expect(pair.client.failure == .untrusted(reason) && !pair.client.isEstablished)
        #expect(pair.server.failure == .refusedByPeer("sslv3 alert bad certificate"))
    }

    /// RFC 9525 §6.3 and §6.4: a `*` stands for a whole first level, and a common name is no name of a server.
    @Test(arguments: [
        ("a.example", nil, "a.example"), ("b.example", "IP:127.0.0.1", "b.example"),
        ("partial", "DNS:l*.login.example", "left.login.example"),
        ("middle", "DNS:l*t.login.example", "left.login.example"),
        ("deep", "DNS:*.login.example", "a.b.login.example"), ("bare", "DNS:*.login.example", "login.example"),
        ("later", "DNS:a.*.example", "a.login.example"),
    ])
    func refusesANameThatOnlyLooksAlike(name: String, names: String?, host: String) throws {
        let server = try TLSContext.server(Self.authority().sign(name, names))
        let pair = try TLSPair(server: server, host: host).shakeHands()
        #expect(pair.client.failure == .untrusted("hostname mismatch") && !pair.client.isEstablished)
    }

    /// Of the same name as the right one, but with another key.
    @Test func refusesAnUnknownAuthority() throws {
        let other = try TestAuthority()
        let pair = try TLSPair(client: .client(other.trust)).shakeHands()
        #expect(pair.client.failure == .untrusted("unable to get local issuer certificate"))
        #expect(!pair.client.isEstablished)
    }

    @Test func refusesAServerThatTheSystemDoesNotKnow() throws {
        let pair = try TLSPair(client: .client(.system)).shakeHands()
        #expect(pair.client.failure == .untrusted("unable to get local issuer certificate"))
    }

    @Test func refusesAnExpiredCertificate() throws {
        let expired = try Self.authority().sign("expired", "DNS:localhost", days: -1)
        let pair = try TLSPair(server: .server(expired)).shakeHands()
        #expect(pair.client.failure == .untrusted("certificate has expired"))
        #expect(pair.server.failure == .refusedByPeer("sslv3 alert certificate expired"))
    }

    // MARK: Client certificates

    private static func demanding() throws -> TLSContext {
        try .server(TestAuthority.server.get(), clientAuthorities: authority().path("ca.pem"))
    }

    @Test func acceptsAClientWithACertificate() throws {
        let identity = try Self.authority().sign("client", "DNS:client")
        let client = try TLSContext.client(Self.authority().trust, identity: identity)
        let server = try Self.demanding()
        let pair = try TLSPair(client: client, server: server).shakeHands()
        #expect(pair.server.isEstablished)
        // A resumed session would bring a certificate that nobody has looked at since.
        #expect(pair.client.ticket == nil)
    }

    @Test func refusesAClientWithoutACertificate() throws {
        let pair = try TLSPair(server: Self.demanding()).shakeHands()
        #expect(pair.server.failure == .untrusted("peer did not return a certificate") && !pair.server.isEstablished)
        #expect(pair.client.failure == .refusedByPeer("tlsv13 alert certificate required"))
    }

    @Test func refusesAClientOfAnotherAuthority() throws {
        let other = try TestAuthority()
        let stranger = try other.sign("stranger", "DNS:client")
        let client = try TLSContext.client(Self.authority().trust, identity: stranger)
        let pair = try TLSPair(client: client, server: Self.demanding()).shakeHands()
        guard case .untrusted = pair.server.failure else {
            Issue.record("\(String(describing: pair.server.failure))")
            return
        }
    }

    // MARK: Several names

    @Test func showsTheCertificateOfTheNameAskedFor() throws {
        let authority = try Self.authority()
        let others = [
            try authority.sign("first", "DNS:first.example"), try authority.sign("wild", "DNS:*.second.example"),
        ]
        let server = try TLSContext.server(TestAuthority.server.get(), others: others)
        for host in ["localhost", "first.example", "a.second.example", "127.0.0.1"] {
            #expect(try TLSPair(server: server, host: host).shakeHands().client.isEstablished, "\(host)")
        }
        // No certificate has that name: the first one is shown, and does not have it either.
        let pair = try TLSPair(server: server, host: "third.example").shakeHands()
        #expect(pair.client.failure == .untrusted("hostname mismatch"))
    }

    // MARK: Files

    @Test func saysWhichFileIsBroken() throws {
        let authority = try Self.authority()
        let good = try TestAuthority.server.get()
        let other = try authority.sign("other", "DNS:other")
        let broken = authority.path("broken.pem")
        try Data("no certificate".utf8).write(to: URL(filePath: broken))
        try authority.openssl("pkey", "-in", "other.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
        let rows: [(certificate: String, key: String, authorities: String?, role: TLSFileError.Role)] = [
            (authority.path("none.pem"), good.key, nil, .certificate), (broken, good.key, nil, .certificate),
            (good.certificate, authority.path("none.key"), nil, .key), (good.certificate, broken, nil, .key),
            (good.certificate, other.key, nil, .key), (other.certificate, authority.path("locked.key"), nil, .key),
            (good.certificate, good.key, broken, .clientCA), (good.certificate, good.key, "/no/such", .clientCA),
        ]
        for row in rows {
            do throws(TLSFileError) {
                _ = try TLSContext.server(
                    TLSIdentity(certificate: row.certificate, key: row.key), clientAuthorities: row.authorities)
                Issue.record("\(row) was accepted")
            } catch {
                #expect(error.role == row.role && !error.reason.isEmpty && !error.path.isEmpty, "\(error)")
            }
        }
        #expect(throws: TLSFileError(role: .certificate, path: "/no/such", reason: "No such file or directory")) {
            try TLSContext.server(TLSIdentity(certificate: "/no/such", key: good.key))
        }
        #expect(throws: TLSFileError.self) { try TLSContext.client(.file(broken)) }
    }
}
