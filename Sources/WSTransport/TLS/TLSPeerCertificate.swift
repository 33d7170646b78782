internal import COpenSSL

/// The fields of a peer's certificate, which the TLS handshake has verified.
public struct TLSPeerCertificate: Sendable, Equatable {
    /// The SHA-256 of the certificate, 32 bytes.
    public private(set) var fingerprint: [UInt8] = []
    /// The common names of the subject.
    public private(set) var commonNames: [String] = []
    /// The organizational units of the subject.
    public private(set) var organizationalUnits: [String] = []
    /// The alternative names that are DNS names.
    public private(set) var dnsNames: [String] = []
    /// The alternative names that are e-mail addresses.
    public private(set) var mailAddresses: [String] = []
    /// The alternative names that are URIs.
    public private(set) var uris: [String] = []

    init?(_ certificate: OpaquePointer) {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        guard unsafe X509_digest(certificate, EVP_sha256(), &digest, &count) == 1, count == 32 else { return nil }
        fingerprint = digest
        let subject = unsafe X509_get_subject_name(certificate)
        commonNames = unsafe Self.entries(NID_commonName, of: subject)
        organizationalUnits = unsafe Self.entries(NID_organizationalUnitName, of: subject)
        unsafe addAlternatives(of: certificate)
        ERR_clear_error()
    }

    private static func entries(_ kind: Int32, of name: OpaquePointer?) -> [String] {
        var found: [String] = []
        var place: Int32 = -1
        while true {
            place = unsafe X509_NAME_get_index_by_NID(name, kind, place)
            guard place >= 0, let entry = unsafe X509_NAME_get_entry(name, place) else { return found }
            if let text = unsafe text(of: X509_NAME_ENTRY_get_data(entry)) { found.append(text) }
        }
    }

    private mutating func addAlternatives(of certificate: OpaquePointer) {
        guard let names = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return }
        defer { unsafe tls_general_names_free(names) }
        let count = unsafe tls_general_names_count(names)
        for number in 0..<count {
            var kind: Int32 = 0
            guard let value = unsafe tls_general_name(names, number, &kind), let text = unsafe Self.text(of: value)
            else { continue }
            switch kind {
            case GEN_DNS: dnsNames.append(text)
            case GEN_EMAIL: mailAddresses.append(text)
            case GEN_URI: uris.append(text)
            default: break
            }
        }
    }

    /// The text as UTF-8; `nil` if it is not valid, or contains a NUL, where other programs would end it.
    private static func text(of value: UnsafePointer<ASN1_STRING>?) -> String? {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = unsafe ASN1_STRING_to_UTF8(&bytes, value)
        guard count >= 0, let bytes = unsafe bytes else { return nil }
        defer { unsafe tls_free(bytes) }
        let text = unsafe String(validating: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
        return text?.utf8.contains(0) == false ? text : nil
    }
}

extension TLSSession {
    /// The peer's certificate; `nil` if it has presented none, or the handshake is under way.
    package var peerCertificate: TLSPeerCertificate? {
        guard isEstablished, let certificate = unsafe SSL_get1_peer_certificate(handle) else { return nil }
        defer { unsafe X509_free(certificate) }
        return unsafe TLSPeerCertificate(certificate)
    }

    /// Whether the peer has presented a certificate.
    var hasPeerCertificate: Bool {
        guard isEstablished else { return false }
        return unsafe SSL_get0_peer_certificate(handle) != nil
    }

    /// Why the client's certificate would no longer be accepted; `nil` if it still would be, or if there is none.
    var objection: String? {
        guard isEstablished, let certificate = unsafe SSL_get0_peer_certificate(handle) else { return nil }
        return unsafe context.objection(to: certificate, SSL_get_peer_cert_chain(handle))
    }
}
