internal import COpenSSL

/// An error of OpenSSL: no memory, an unknown algorithm, or a parameter that it refuses.
package struct CryptographyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// OpenSSL's message.
    package let reason: String

    /// The error, in OpenSSL's words.
    package var description: String { "OpenSSL: \(reason)" }

    /// Makes an error with a text for people.
    package init(_ reason: String) { self.reason = reason }

    /// The error of the call that has just failed; empties the thread's queue of errors.
    static func last(_ otherwise: StaticString) -> CryptographyError {
        defer { ERR_clear_error() }
        let code = ERR_peek_error()
        guard code != 0, let words = unsafe tls_error_words(code) else {
            return CryptographyError(otherwise.description)
        }
        return CryptographyError(unsafe String(cString: words))
    }
}

/// The OpenSSL library.
enum Library {
    /// Whether it is initialised; it frees nothing when the program ends, because a thread may still be using it.
    static let isReady = OPENSSL_init_crypto(tls_init_no_atexit, nil) == 1
}
