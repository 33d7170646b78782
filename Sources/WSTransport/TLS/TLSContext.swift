internal import CLinux
internal import COpenSSL
internal import Glibc
internal import Synchronization

/// A certificate chain and its private key, as PEM files or as the bytes of such files.
public struct TLSIdentity: Hashable, Sendable {
    /// The file of the certificate, followed by its intermediate certificates; empty if it is given as bytes.
    public let certificate: String
    /// The file of the private key, not encrypted; empty if it is given as bytes.
    public let key: String
    /// The content, if it is given as bytes; `nil` if files are named.
    let bytes: Bytes?

    /// The content of the two files.
    struct Bytes: Hashable, Sendable {
        let certificate: [UInt8]
        let key: [UInt8]
    }

    /// Creates an identity from files, which are read when a ``TLSContext`` is created.
    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
        bytes = nil
    }

    /// Creates an identity from the contents of such files, for example from a secret store.
    ///
    /// - Parameters:
    ///   - certificatePEM: the certificate, followed by its intermediate certificates, in PEM.
    ///   - keyPEM: its key in PEM, not encrypted.
    public init(certificatePEM: [UInt8], keyPEM: [UInt8]) {
        certificate = ""
        key = ""
        bytes = Bytes(certificate: certificatePEM, key: keyPEM)
    }
}

/// A version of TLS.
public enum TLSVersion: Sendable {
    /// RFC 5246.
    case tls12
    /// RFC 8446.
    case tls13

    fileprivate var number: Int32 { self == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION }
}

/// The certificates that a client accepts.
public enum TLSTrust: Hashable, Sendable {
    /// Certificates that the system trusts.
    case system
    /// Only certificates of the authorities in a PEM file.
    case file(String)
    /// Only certificates of the authorities in these bytes, which are PEM.
    case authorities([UInt8])
    /// All certificates.
    ///
    /// Neither the certificate nor its name is verified, so an attacker on the network can read and change the traffic.
    case anyone
}

/// The requirements on clients' certificates.
package struct TLSClientAuthorities: Hashable, Sendable {
    /// A PEM file; clients present a certificate of one of these, or of those in ``bytes``.
    ///
    /// Empty for no file.
    package var certificates: String
    /// Further authorities, which are PEM; `nil` for none.
    package var bytes: [UInt8]?
    /// A PEM file of revocation lists (RFC 5280 §5); `nil` if none are used.
    ///
    /// Each authority needs a list that is currently valid.
    package var revocations: String?
    /// Whether a client may connect without a certificate; one that it presents must be valid in any case.
    package var isOptional = false

    /// Makes requirements from the authorities in a PEM file.
    package init(_ certificates: String) { self.certificates = certificates }

    /// `nil` if neither a file nor bytes are given.
    init?(_ certificates: String?, _ bytes: [UInt8]?) {
        if certificates == nil && bytes == nil { return nil }
        self.certificates = certificates ?? ""
        self.bytes = bytes
    }
}

/// The configuration that TLS connections of one kind share: keys, authorities, versions, ciphers.
///
/// TLS 1.2 and 1.3, or only 1.3; `http/1.1` by ALPN (RFC 7301); no renegotiation, no compression, no early data. Files
/// are read once: after a change, create a new context; existing connections keep the old one. Any thread.
@safe public final class TLSContext: Sendable {
    // OpenSSL counts references and locks the context; nothing changes it after `init`.
    nonisolated(unsafe) let handle: OpaquePointer
    private let names: ServerNames?
    /// The protocols that a server accepts by ALPN; its callback has a pointer to them.
    private let protocols: ApplicationProtocols
    /// The context that has replaced this one; `nil` if none has.
    private let successor = Mutex<TLSContext?>(nil)
    /// The store where a client's sessions find a ticket, and put the next one.
    let tickets = TLSTicketStore()

    private init(
        _ handle: OpaquePointer, names: ServerNames?, _ protocols: ApplicationProtocols = .http
    ) {
        unsafe self.handle = handle
        self.names = names
        self.protocols = protocols
    }

    deinit { unsafe SSL_CTX_free(handle) }

    /// Creates a server's context.
    ///
    /// - Parameters:
    ///   - identity: the certificate for clients that request no name, or a name that no certificate has.
    ///   - others: certificates for clients that request one of their names (RFC 6066 §3).
    ///   - clientAuthorities: a PEM file; clients must present a certificate of one of these authorities. `nil` to
    ///     request none.
    ///   - clientAuthoritiesPEM: the content of such a file; a certificate of an authority in either is accepted.
    ///   - minimumVersion: clients that offer only older versions are refused.
    ///   - applicationProtocols: the protocols to accept by ALPN, the preferred one first; a client that offers only
    ///     others is refused. If empty, a client's offer is ignored.
    ///
    /// Throws ``TLSFileError`` if a certificate, a key or an authority cannot be used.
    public static func server(
        _ identity: TLSIdentity, others: [TLSIdentity] = [], clientAuthorities: String? = nil,
        clientAuthoritiesPEM: [UInt8]? = nil, minimumVersion: TLSVersion = .tls12,
        applicationProtocols: [String] = ["http/1.1"]
    ) throws(TLSFileError) -> TLSContext {
        try server(
            identity, others: others, clients: TLSClientAuthorities(clientAuthorities, clientAuthoritiesPEM),
            Terms(minimumVersion, try ApplicationProtocols(applicationProtocols)))
    }

    /// The requirements on the other side, for clients and servers alike.
    private struct Terms {
        var minimumVersion: TLSVersion
        var protocols: ApplicationProtocols

        init(_ minimumVersion: TLSVersion = .tls12, _ protocols: ApplicationProtocols = .http) {
            self.minimumVersion = minimumVersion
            self.protocols = protocols
        }
    }

    /// The same.
    ///
    /// - Parameter clients: the requirements on clients' certificates; `nil` if none is requested.
    package static func server(
        _ identity: TLSIdentity, others: [TLSIdentity], clients: TLSClientAuthorities?
    ) throws(TLSFileError) -> TLSContext {
        try server(identity, others: others, clients: clients, Terms())
    }

    private static func server(
        _ identity: TLSIdentity, others: [TLSIdentity], clients: TLSClientAuthorities?, _ terms: Terms
    ) throws(TLSFileError) -> TLSContext {
        let handle = try unsafe makeServer(identity, clients, terms)
        guard !others.isEmpty else { return unsafe TLSContext(handle, names: nil, terms.protocols) }
        let names = ServerNames(try unsafe makeAll(others, clients, terms, freeing: handle))
        unsafe tls_context_set_name_callback(
            handle, { session, _, names in unsafe ServerNames.select(session, names) },
            Unmanaged.passUnretained(names).toOpaque())
        return unsafe TLSContext(handle, names: names, terms.protocols)
    }

    private static func makeAll(
        _ identities: [TLSIdentity], _ clients: TLSClientAuthorities?, _ terms: Terms, freeing first: OpaquePointer
    ) throws(TLSFileError) -> [TLSContext] {
        var made: [TLSContext] = []
        do throws(TLSFileError) {
            for identity in identities {
                made.append(unsafe TLSContext(try makeServer(identity, clients, terms), names: nil, terms.protocols))
            }
        } catch {
            unsafe SSL_CTX_free(first)
            throw error
        }
        return made
    }

    /// Whether one of a server's certificates is for the host `name`.
    package func isFor(_ name: String) -> Bool {
        let isMine =
            if let certificate = unsafe SSL_CTX_get0_certificate(handle) {
                unsafe X509_check_host(certificate, name, 0, 0, nil) == 1
            } else {
                false
            }
        return isMine || names?.isFor(name) ?? false
    }

    /// The time until the first of a server's certificates expires, in seconds, below 0 if one has; `nil` if it cannot
    /// be read.
    package var secondsLeft: Int? { allSecondsLeft.compactMap(\.self).min() }

    /// The time until each of a server's certificates expires, in the order in which they were given.
    package var allSecondsLeft: [Int?] { [unsafe Self.secondsLeft(of: handle)] + (names?.secondsLeft ?? []) }

    private static func secondsLeft(of handle: OpaquePointer) -> Int? {
        guard let certificate = unsafe SSL_CTX_get0_certificate(handle) else { return nil }
        var (days, seconds): (Int32, Int32) = (0, 0)
        guard unsafe ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(certificate)) == 1 else { return nil }
        return Int(days) * 86_400 + Int(seconds)
    }

    /// Creates a client's context, which verifies the server and its name.
    ///
    /// - Parameters:
    ///   - trust: the certificates to accept.
    ///   - identity: the certificate for servers that request one; `nil` for none.
    ///   - minimumVersion: servers that support only older versions are refused.
    ///   - applicationProtocols: the protocols to offer by ALPN, the preferred one first; empty to offer none.
    ///
    /// Throws ``TLSFileError`` if a certificate, a key or an authority cannot be used.
    public static func client(
        _ trust: TLSTrust = .system, identity: TLSIdentity? = nil, minimumVersion: TLSVersion = .tls12,
        applicationProtocols: [String] = ["http/1.1"]
    ) throws(TLSFileError) -> TLSContext {
        let protocols = try ApplicationProtocols(applicationProtocols)
        let handle = try unsafe make(TLS_client_method(), minimumVersion)
        do throws(TLSFileError) {
            switch trust {
            case .system:
                let isDone = unsafe SSL_CTX_set_default_verify_paths(handle) == 1
                if !isDone { throw failure(.authorities, "") }
            case .file(let path):
                try requireFile(.authorities, path)
                let isDone = unsafe SSL_CTX_load_verify_file(handle, path) == 1
                if !isDone { throw failure(.authorities, path) }
            case .authorities(let bytes): try unsafe accept(bytes, .authorities, handle)
            case .anyone: break
            }
            if let identity { try unsafe use(identity, handle) }
        } catch {
            unsafe SSL_CTX_free(handle)
            throw error
        }
        unsafe SSL_CTX_set_verify(handle, trust == .anyone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        unsafe tls_context_set_session_cache(
            handle, Int(SSL_SESS_CACHE_CLIENT) | Int(tls_session_cache_no_internal))
        unsafe SSL_CTX_sess_set_new_cb(handle) { session, ticket in unsafe TLSSession.keep(ticket, of: session) }
        if !protocols.wire.isEmpty {
            _ = unsafe SSL_CTX_set_alpn_protos(handle, protocols.wire, UInt32(protocols.wire.count))
        }
        return unsafe TLSContext(handle, names: nil)
    }

    private static func makeServer(
        _ identity: TLSIdentity, _ clients: TLSClientAuthorities?, _ terms: Terms
    ) throws(TLSFileError) -> OpaquePointer {
        let handle = try unsafe make(TLS_server_method(), terms.minimumVersion)
        do throws(TLSFileError) {
            try unsafe use(identity, handle)
            if let clients { try unsafe require(clients, handle) }
        } catch {
            unsafe SSL_CTX_free(handle)
            throw error
        }
        // Resumption by tickets only: a session costs the server nothing between connections.
        unsafe tls_context_set_session_cache(handle, Int(SSL_SESS_CACHE_OFF))
        _ = unsafe SSL_CTX_set_num_tickets(handle, clients == nil ? 1 : 0)
        // A resumed session would bring a certificate that has not been verified again.
        if clients != nil { _ = unsafe SSL_CTX_set_options(handle, tls_no_tickets) }
        // Sessions make their own records after the handshake, and need their traffic secrets for it.
        unsafe SSL_CTX_set_keylog_callback(handle) { session, line in unsafe TLSSession.noteSecret(line, of: session) }
        let name = ApplicationProtocols.http.wire
        _ = unsafe SSL_CTX_set_session_id_context(handle, name, UInt32(name.count))
        guard !terms.protocols.wire.isEmpty else { return unsafe handle }
        unsafe SSL_CTX_set_alpn_select_cb(
            handle,
            { _, chosen, length, offered, count, ours in
                unsafe ApplicationProtocols.choose(chosen, length, offered, count, ours)
            }, Unmanaged.passUnretained(terms.protocols).toOpaque())
        return unsafe handle
    }

    /// Whether OpenSSL is initialised; it frees nothing when the program ends, because a thread may be in a handshake
    /// then.
    private static let isReady = OPENSSL_init_ssl(tls_init_no_atexit, nil) == 1

    private static func make(
        _ method: @autoclosure () -> OpaquePointer?, _ minimumVersion: TLSVersion
    ) throws(TLSFileError) -> OpaquePointer {
        guard isReady else { throw failure(.certificate, "") }
        TLSErrorQueue.clear()
        guard let handle = unsafe SSL_CTX_new(method()) else { throw failure(.certificate, "") }
        _ = unsafe tls_context_set_minimum_version(handle, minimumVersion.number)
        // RFC 9325 §4.2: forward secrecy and authenticated encryption. TLS 1.3 has nothing else.
        _ = unsafe SSL_CTX_set_cipher_list(handle, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL")
        _ = unsafe SSL_CTX_set_options(handle, tls_no_compression | tls_no_renegotiation)
        unsafe tls_context_set_mode(handle, Int(SSL_MODE_RELEASE_BUFFERS))
        // There is no one to ask for the password of a key.
        unsafe SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
        return unsafe handle
    }

    private static func use(_ identity: TLSIdentity, _ handle: OpaquePointer) throws(TLSFileError) {
        TLSErrorQueue.clear()
        if let bytes = identity.bytes { return try unsafe use(bytes, handle) }
        try requireFile(.certificate, identity.certificate)
        try requireFile(.key, identity.key)
        let hasCertificate = unsafe SSL_CTX_use_certificate_chain_file(handle, identity.certificate) == 1
        guard hasCertificate else { throw failure(.certificate, identity.certificate) }
        let hasKey = unsafe SSL_CTX_use_PrivateKey_file(handle, identity.key, SSL_FILETYPE_PEM) == 1
        guard hasKey else { throw failure(.key, identity.key) }
        let isPair = unsafe SSL_CTX_check_private_key(handle) == 1
        guard isPair else { throw failure(.key, identity.key) }
    }

    private static func use(_ bytes: TLSIdentity.Bytes, _ handle: OpaquePointer) throws(TLSFileError) {
        let hasCertificate = unsafe bytes.certificate.withUnsafeBytes {
            unsafe tls_context_use_certificate_bytes(handle, $0.baseAddress, $0.count) == 1
        }
        guard hasCertificate else { throw failure(.certificate, "") }
        let hasKey = unsafe bytes.key.withUnsafeBytes {
            unsafe tls_context_use_key_bytes(handle, $0.baseAddress, $0.count) == 1
        }
        guard hasKey, unsafe SSL_CTX_check_private_key(handle) == 1 else { throw failure(.key, "") }
    }

    private static func require(_ clients: TLSClientAuthorities, _ handle: OpaquePointer) throws(TLSFileError) {
        TLSErrorQueue.clear()
        let path = clients.certificates
        if !path.isEmpty || clients.bytes == nil {
            try requireFile(.clientCA, path)
            let isLoaded = unsafe SSL_CTX_load_verify_file(handle, path) == 1
            guard isLoaded, let names = unsafe SSL_load_client_CA_file(path) else { throw failure(.clientCA, path) }
            unsafe SSL_CTX_set_client_CA_list(handle, names)
        }
        if let bytes = clients.bytes { try unsafe accept(bytes, .clientCA, handle) }
        if let revocations = clients.revocations { try unsafe look(at: revocations, handle) }
        let demand = clients.isOptional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | demand, nil)
    }

    /// Accepts certificates of the authorities in `bytes`.
    private static func accept(
        _ bytes: [UInt8], _ role: TLSFileError.Role, _ handle: OpaquePointer
    ) throws(TLSFileError) {
        TLSErrorQueue.clear()
        var count: Int32 = 0
        let isDone = unsafe bytes.withUnsafeBytes {
            unsafe tls_context_trust_bytes(handle, $0.baseAddress, $0.count, role == .clientCA ? 1 : 0, &count) == 1
        }
        guard !isDone else { return }
        let isMissing = bytes.isEmpty || count == 0 && !TLSErrorQueue.isMalformed
        let words = "certificate \(count + 1): \(TLSErrorQueue.words(TLSErrorQueue.first))"
        let reason = isMissing ? "there is no certificate in PEM" : words
        throw TLSFileError(role: role, path: "", reason: reason)
    }

    private static func look(at revocations: String, _ handle: OpaquePointer) throws(TLSFileError) {
        try requireFile(.clientCRL, revocations)
        let store = unsafe SSL_CTX_get_cert_store(handle)
        let lookup = unsafe X509_STORE_add_lookup(store, X509_LOOKUP_file())
        // It accepts only lists; the result is their number.
        guard unsafe lookup != nil, unsafe X509_load_crl_file(lookup, revocations, X509_FILETYPE_PEM) > 0 else {
            throw failure(.clientCRL, revocations)
        }
        _ = unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK))
    }

    // MARK: Accepted certificates

    /// From now on, certificates of clients that this context has accepted are checked by another one.
    package func giveWay(to other: TLSContext) { successor.withLock { $0 = other } }

    /// Whether another context is in use now.
    var isSuperseded: Bool { successor.withLock { $0 != nil } }

    /// The context that is in use now.
    private var latest: TLSContext {
        var found = self
        while let next = found.successor.withLock({ $0 }) { found = next }
        return found
    }

    /// Why a client's certificate would no longer be accepted; `nil` if it would be.
    func objection(to certificate: OpaquePointer, _ chain: OpaquePointer?) -> String? {
        TLSErrorQueue.clear()
        defer { TLSErrorQueue.clear() }
        let store = unsafe SSL_CTX_get_cert_store(latest.handle)
        guard let judgement = unsafe X509_STORE_CTX_new() else { return nil }
        defer { unsafe X509_STORE_CTX_free(judgement) }
        guard unsafe X509_STORE_CTX_init(judgement, store, certificate, chain) == 1,
            unsafe X509_STORE_CTX_set_default(judgement, "ssl_client") == 1
        else { return nil }
        if unsafe X509_verify_cert(judgement) == 1 { return nil }
        let code = Int(unsafe X509_STORE_CTX_get_error(judgement))
        guard let words = unsafe X509_verify_cert_error_string(code) else { return "error \(code)" }
        return unsafe String(cString: words)
    }

    /// Checked first, because opening a pipe without a writer would block; a missing file is left to OpenSSL, which
    /// reports it.
    private static func requireFile(_ role: TLSFileError.Role, _ path: String) throws(TLSFileError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG, status.st_mode & S_IFMT != S_IFDIR
        else { return }
        throw TLSFileError(role: role, path: path, reason: "no regular file")
    }

    private static func failure(_ role: TLSFileError.Role, _ path: String) -> TLSFileError {
        TLSFileError(role: role, path: path, reason: TLSErrorQueue.words(TLSErrorQueue.first))
    }
}

/// Names of protocols for ALPN, the best first.
private final class ApplicationProtocols: Sendable {
    /// Each name preceded by its length.
    let wire: [UInt8]

    /// The list of nearly all contexts.
    static let http = ApplicationProtocols(wire: [8] + Array("http/1.1".utf8))

    private init(wire: [UInt8]) { self.wire = wire }

    init(_ names: [String]) throws(TLSFileError) {
        var wire: [UInt8] = []
        for name in names {
            guard let length = UInt8(exactly: name.utf8.count), length > 0 else {
                throw TLSFileError(
                    role: .applicationProtocols, path: "", reason: "a protocol's name is 1 to 255 bytes long: \(name)")
            }
            wire.append(length)
            wire += name.utf8
        }
        self.wire = wire
    }

    /// RFC 7301 §3.2: selects the best of the offered protocols; refuses a client that offers only others, with an
    /// alert.
    ///
    /// - Parameter ours: the server's protocols, passed without counting a reference.
    static func choose(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ length: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ count: UInt32, _ ours: UnsafeMutableRawPointer?
    ) -> Int32 {
        guard let offered = unsafe offered, let ours = unsafe ours else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        let wire = unsafe Unmanaged<ApplicationProtocols>.fromOpaque(ours).takeUnretainedValue().wire
        let names = unsafe UnsafeBufferPointer(start: offered, count: Int(count))
        for wanted in ranges(of: wire[...]) {
            for range in unsafe ranges(of: names[...]) where unsafe names[range].elementsEqual(wire[wanted]) {
                unsafe chosen?.pointee = offered + range.lowerBound
                unsafe length?.pointee = UInt8(range.count)
                return SSL_TLSEXT_ERR_OK
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    /// The ranges of the names in a list; an incomplete name is left out.
    private static func ranges(of list: some RandomAccessCollection<UInt8>) -> [Range<Int>] {
        let bytes = Array(list)
        var (found, index): ([Range<Int>], Int) = ([], 0)
        while index < bytes.count, index + 1 + Int(bytes[index]) <= bytes.count {
            found.append(index + 1..<index + 1 + Int(bytes[index]))
            index += 1 + Int(bytes[index])
        }
        return found
    }
}

/// A server's certificates for clients that request a name.
private final class ServerNames: Sendable {
    private let contexts: [TLSContext]

    init(_ contexts: [TLSContext]) { self.contexts = contexts }

    func isFor(_ name: String) -> Bool { contexts.contains { $0.isFor(name) } }

    /// The seconds until each certificate expires.
    var secondsLeft: [Int?] { contexts.map(\.secondsLeft) }

    /// Selects the certificate for the name that `session` requests, if there is one.
    static func select(_ session: OpaquePointer?, _ names: UnsafeMutableRawPointer?) -> Int32 {
        guard let names = unsafe names, let asked = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name) else {
            return SSL_TLSEXT_ERR_NOACK
        }
        let all = unsafe Unmanaged<ServerNames>.fromOpaque(names).takeUnretainedValue()
        for context in all.contexts {
            guard let certificate = unsafe SSL_CTX_get0_certificate(context.handle) else { continue }
            if unsafe X509_check_host(certificate, asked, 0, 0, nil) == 1 {
                unsafe SSL_set_SSL_CTX(session, context.handle)
                break
            }
        }
        return SSL_TLSEXT_ERR_OK
    }
}
