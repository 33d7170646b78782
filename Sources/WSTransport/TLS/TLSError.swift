internal import COpenSSL

/// Why a TLS connection failed, in OpenSSL's words.
public enum TLSError: Error, Equatable, Sendable {
    /// The peer's certificate was missing or not accepted, such as `certificate has expired`.
    case untrusted(String)
    /// The peer sent an alert, such as `tlsv1 alert unknown ca` (RFC 8446 §6.2).
    case refusedByPeer(String)
    /// The peer does not speak TLS, or violated the protocol, such as `unsupported protocol`.
    case failed(String)
}

extension TLSError: CustomStringConvertible {
    /// A phrase for people.
    public var description: String {
        switch self {
        case .untrusted(let reason): "the certificate is not accepted: \(reason)"
        case .refusedByPeer(let reason): "the other side refused: \(reason)"
        case .failed(let reason): "TLS failed: \(reason)"
        }
    }
}

/// A PEM file, or the bytes given in its place, cannot be used.
public struct TLSFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the file is used for.
    public enum Role: String, Sendable {
        case certificate
        case key
        case clientCA = "client_ca"
        case clientCRL = "client_crl"
        case authorities
        case applicationProtocols = "application_protocols"
    }

    /// What the file is used for.
    public let role: Role
    /// The path as given by the caller; empty for the system's authorities, and for bytes.
    public let path: String
    /// What is wrong, mostly in OpenSSL's words; for authorities as bytes also the number of the certificate.
    public let reason: String

    /// Creates an error.
    public init(role: Role, path: String, reason: String) {
        self.role = role
        self.path = path
        self.reason = reason
    }

    /// The file, or what was given in its place, and the reason.
    public var description: String {
        guard path.isEmpty else { return "\(path): \(reason)" }
        return switch role {
        case .certificate: "the certificate: \(reason)"
        case .key: "the key: \(reason)"
        case .clientCA: "the authorities of clients: \(reason)"
        case .clientCRL: "the revocation lists: \(reason)"
        case .authorities: "the authorities: \(reason)"
        case .applicationProtocols: reason
        }
    }
}

/// The errors that OpenSSL collects for each thread.
enum TLSErrorQueue {
    /// Clears the errors of earlier calls, which would be taken for those of the next one.
    ///
    /// There are hardly ever any, and to clear takes several times as long as to look.
    static func clear() { if ERR_peek_error() != 0 { ERR_clear_error() } }

    /// The oldest error, which caused the others; 0 if there is none.
    static var first: UInt { UInt(ERR_peek_error()) }

    /// Whether the oldest error is one of PEM that has begun.
    static var isMalformed: Bool { first != 0 && ERR_GET_REASON(first) != PEM_R_NO_START_LINE }

    /// The description of an error, from OpenSSL or the system.
    static func words(_ code: UInt) -> String {
        guard code != 0 else { return "the connection ended" }
        guard let words = unsafe tls_error_words(code) else { return "error \(code)" }
        return unsafe String(cString: words)
    }

    /// Why a call on a connection failed.
    ///
    /// - Parameter verification: the result of `SSL_get_verify_result`.
    static func error(verification: Int) -> TLSError {
        let code = first
        let reason = ERR_GET_REASON(code)
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            guard let words = unsafe X509_verify_cert_error_string(verification) else { return .untrusted(words(code)) }
            return .untrusted(unsafe String(cString: words))
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return .untrusted(words(code))
        case SSL_R_WRONG_VERSION_NUMBER: return .failed("what came is no TLS (\(words(code)))")
        case let alert where alert >= SSL_AD_REASON_OFFSET && ERR_GET_LIB(code) == ERR_LIB_SSL:
            return .refusedByPeer(words(code))
        default: return .failed(words(code))
        }
    }
}
