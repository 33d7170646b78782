internal import COpenSSL

/// OpenSSL could not do what it was asked for: no memory, no such algorithm, a parameter that it refuses.
package struct CryptographyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// OpenSSL's words.
    package let reason: String

    /// What went wrong, as OpenSSL says it.
    package var description: String { "OpenSSL: \(reason)" }

    /// An error for people.
    package init(_ reason: String) { self.reason = reason }

    /// The error of the call that has just failed; the thread's queue of errors is empty afterwards.
    static func last(_ otherwise: StaticString) -> CryptographyError {
        defer { ERR_clear_error() }
        let code = ERR_peek_error()
        guard code != 0, let words = unsafe tls_error_words(code) else {
            return CryptographyError(otherwise.description)
        }
        return CryptographyError(unsafe String(cString: words))
    }
}

/// OpenSSL's library of algorithms.
enum Library {
    /// Set up to free nothing when the program ends: a thread may be at work then.
    static let isReady = OPENSSL_init_crypto(tls_init_no_atexit, nil) == 1
}
