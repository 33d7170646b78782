import Foundation
import Testing
import WSTransport

@Suite("TLS: trusted peers and usable files")
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

    /// RFC 9525 §6.3 and §6.4: a `*` stands for a whole first level, and a common name is not a server's name.
    @Test(arguments: [
        ("a.example", nil, "a.example"), ("b.example", "IP:127.0.0.1", "b.example"),
        ("partial", "DNS:l*.login.example", "left.login.example"),
        ("middle", "DNS:l*t.login.example", "left.login.example"),
        ("deep", "DNS:*.login.example", "a.b.login.example"), ("bare", "DNS:*.login.example", "login.example"),
        ("later", "DNS:a.*.example", "a.login.example"),
    ])
    func rejectsASimilarName(name: String, names: String?, host: String) throws {
        let server = try TLSContext.server(Self.authority().sign(name, names))
        let pair = try TLSPair(server: server, host: host).shakeHands()
        #expect(pair.client.failure == .untrusted("hostname mismatch") && !pair.client.isEstablished)
    }

    /// An authority with the same name as the right one, but another key.
    @Test func refusesAnUnknownAuthority() throws {
        let other = try TestAuthority()
        let pair = try TLSPair(client: .client(other.trust)).shakeHands()
        #expect(pair.client.failure == .untrusted("unable to get local issuer certificate"))
        #expect(!pair.client.isEstablished)
    }

    @Test func rejectsAServerUnknownToTheSystem() throws {
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
        // A resumed session would have a certificate that has not been checked since.
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

    @Test func presentsTheCertificateForTheRequestedName() throws {
        let authority = try Self.authority()
        let others = [
            try authority.sign("first", "DNS:first.example"), try authority.sign("wild", "DNS:*.second.example"),
        ]
        let server = try TLSContext.server(TestAuthority.server.get(), others: others)
        for host in ["localhost", "first.example", "a.second.example", "127.0.0.1"] {
            #expect(try TLSPair(server: server, host: host).shakeHands().client.isEstablished, "\(host)")
        }
        // No certificate has that name: the first one is presented, and does not match either.
        let pair = try TLSPair(server: server, host: "third.example").shakeHands()
        #expect(pair.client.failure == .untrusted("hostname mismatch"))
    }

    // MARK: Files

    @Test func namesTheUnusableFile() throws {
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

    // MARK: Bytes, versions, protocols

    @Test func acceptsBytesInsteadOfFiles() throws {
        let authority = try Self.authority()
        let files = try TestAuthority.server.get()
        func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
        let (leaf, key) = (try bytes(files.certificate), try bytes(files.key))
        let root = try bytes(authority.path("ca.pem"))
        let server = try TLSContext.server(TLSIdentity(certificatePEM: leaf + root, keyPEM: key))
        let client = try TLSContext.client(.authorities(root))
        #expect(try TLSPair(client: client, server: server).shakeHands().client.isEstablished)
        let other = try TestAuthority()
        let stranger = try TLSContext.client(.authorities(bytes(other.path("ca.pem"))))
        let refused = try TLSPair(client: stranger, server: server).shakeHands()
        #expect(refused.client.failure == .untrusted("self-signed certificate in certificate chain"))
        let locked = try authority.sign("bytes", "DNS:bytes")
        try authority.openssl("pkey", "-in", "bytes.key", "-aes128", "-passout", "pass:secret", "-out", "sealed.key")
        let rows: [(certificate: [UInt8], key: [UInt8], role: TLSFileError.Role)] = [
            ([], key, .certificate), (Array("none".utf8), key, .certificate),
            (leaf + root.prefix(200), key, .certificate),
            (leaf, [], .key), (leaf, leaf, .key), (leaf, try bytes(locked.key), .key),
            (try bytes(locked.certificate), try bytes(authority.path("sealed.key")), .key),
        ]
        for row in rows {
            do throws(TLSFileError) {
                _ = try TLSContext.server(TLSIdentity(certificatePEM: row.certificate, keyPEM: row.key))
                Issue.record("\(row.role) was accepted")
            } catch {
                #expect(error.role == row.role && !error.reason.isEmpty && error.path.isEmpty, "\(error)")
            }
        }
    }

    /// Authorities as bytes, of a client and of a server: which are malformed, and why.
    @Test func namesMalformedAuthorities() throws {
        let authority = try Self.authority()
        let files = try TestAuthority.server.get()
        let root = Array(try Data(contentsOf: URL(filePath: authority.path("ca.pem"))))
        let key = Array(try Data(contentsOf: URL(filePath: files.key)))
        let garbled = "-----BEGIN CERTIFICATE-----\nno*Base64\n-----END CERTIFICATE-----\n"
        let rows: [(bytes: [UInt8], reason: String)] = [
            ([], "there is no certificate in PEM"), (key, "there is no certificate in PEM"),
            (Array("none".utf8), "there is no certificate in PEM"),
            (root + root.prefix(200), "certificate 2: bad end line"),
            (Array(garbled.utf8), "certificate 1: bad base64 decode"),
            (root + root + Array(garbled.utf8), "certificate 3: bad base64 decode"),
        ]
        for row in rows {
            let trusted = TLSFileError(role: .authorities, path: "", reason: row.reason)
            #expect(throws: trusted) { try TLSContext.client(.authorities(row.bytes)) }
            #expect("\(trusted)" == "the authorities: \(row.reason)")
            let required = TLSFileError(role: .clientCA, path: "", reason: row.reason)
            #expect(throws: required) { try TLSContext.server(files, clientAuthoritiesPEM: row.bytes) }
            #expect("\(required)" == "the authorities of clients: \(row.reason)")
        }
    }

    /// A server with its clients' authorities as bytes, alone and beside a file.
    @Test func acceptsClientsOfAuthoritiesInBytes() throws {
        let (authority, other) = (try Self.authority(), try TestAuthority(named: "another authority"))
        let root = Array(try Data(contentsOf: URL(filePath: authority.path("ca.pem"))))
        let files = try TestAuthority.server.get()
        let known = try authority.sign("known-client", "DNS:client")
        let stranger = try other.sign("strange-client", "DNS:client")
        let rows: [(String?, Bool)] = [(nil, false), (other.path("ca.pem"), true)]
        for (file, isStrangerFine) in rows {
            let server = try TLSContext.server(files, clientAuthorities: file, clientAuthoritiesPEM: root)
            let clients: [(TLSIdentity?, Bool)] = [(known, true), (stranger, isStrangerFine), (nil, false)]
            for (identity, isFine) in clients {
                let client = try TLSContext.client(authority.trust, identity: identity)
                let pair = try TLSPair(client: client, server: server).shakeHands()
                #expect(pair.server.isEstablished == isFine)
            }
        }
    }

    @Test func rejectsVersionsBelowTheMinimum() throws {
        let server = try TLSContext.server(TestAuthority.server.get(), minimumVersion: .tls13)
        #expect(try TLSPair(server: server).shakeHands().server.isEstablished)
        let pair = try TLSPair(server: server)
        #expect(TLSPair.feed(pair.server, Self.hello12[...]).isEmpty)
        #expect(pair.server.failure == .failed("unsupported protocol"))
        // With the default, its version is not the problem: it offers no cipher.
        let lenient = try TLSPair().server
        #expect(TLSPair.feed(lenient, Self.hello12[...]).isEmpty)
        #expect(lenient.failure == .failed("no shared cipher"))
    }

    /// A ClientHello of TLS 1.2 (RFC 5246 §7.4.1.2) with two ciphers that are not accepted.
    private static let hello12: [UInt8] = {
        let body = [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0, 4, 0xC0, 0x13, 0, 0x2F, 1, 0]
        return [22, 3, 1, 0, UInt8(body.count + 4), 1, 0, 0, UInt8(body.count)] + body
    }()

    /// RFC 7301 §3.2.
    @Test(arguments: [
        (["a", "http/1.1"], ["http/1.1"], true), (["x"], ["y", "x"], true), (["x"], ["y"], false),
        ([], ["http/1.1"], true), (["x"], [], true), (["xy"], ["x"], false),
    ])
    func negotiatesAnApplicationProtocol(offered: [String], accepted: [String], isFine: Bool) throws {
        let client = try TLSContext.client(Self.authority().trust, applicationProtocols: offered)
        let server = try TLSContext.server(TestAuthority.server.get(), applicationProtocols: accepted)
        let pair = try TLSPair(client: client, server: server).shakeHands()
        #expect(pair.client.isEstablished == isFine && pair.server.isEstablished == isFine)
        #expect(isFine || pair.server.failure == .failed("no application protocol"))
    }

    @Test(arguments: ["", String(repeating: "x", count: 256)])
    func rejectsInvalidProtocolNames(name: String) throws {
        let reason = "a protocol's name is 1 to 255 bytes long: \(name)"
        #expect(throws: TLSFileError(role: .applicationProtocols, path: "", reason: reason)) {
            try TLSContext.client(applicationProtocols: [name])
        }
    }
}
