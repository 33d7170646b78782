/// The credentials that a client presents.
package enum Credentials: Sendable, Equatable {
    /// No credentials: the client is anonymous.
    case nothing
    /// A token, from `Authorization: Bearer`, a subprotocol, a cookie, the query or a message.
    case bearer(String)
    /// A name and a password (RFC 7617).
    case basic(user: String, password: String)
    /// The cookie of a browser session (`/session`).
    case session(String)
    /// A client certificate that the TLS handshake accepted.
    case certificate(Certificate)
    /// The system user of the process at the other end of a Unix socket, by its number.
    case peer(UInt32)
    /// Credentials that cannot be parsed, or of an unsupported scheme.
    case malformed
    /// The admin socket, which only the owner of its file can open.
    case administrator

    /// The fields of a client certificate that identify a user.
    package struct Certificate: Sendable, Equatable {
        /// The SHA-256 of the certificate, 32 bytes.
        package var fingerprint: [UInt8] = []
        /// The names of the kind that the configuration selects.
        package var names: [String] = []
        /// The organizational units, from which roles are taken.
        package var units: [String] = []

        package init() {}
    }
}

/// Why credentials are not accepted; it never says whether a user exists.
package struct AuthenticationFailure: Error, Sendable, Equatable {
    package enum Reason: Sendable, Equatable {
        /// The credentials are wrong, expired or of an unknown kind.
        case invalid
        /// The credentials cannot be checked now.
        case unavailable
        /// Too many credentials of that user were checked lately.
        case limited
    }

    package let reason: Reason
    /// A sentence for people.
    package let message: String
    /// The reason, for the audit log and administrators only: a few words; `nil` if the message says enough.
    package private(set) var cause: String?

    /// Whether the credentials may have been guessed; expired and revoked ones were not.
    package let isGuess: Bool

    /// - Parameter isGuess: `nil` for `true` if the reason is `invalid`, else `false`.
    package init(_ reason: Reason, _ message: String, isGuess: Bool? = nil) {
        self.reason = reason
        self.message = message
        self.isGuess = isGuess ?? (reason == .invalid)
    }

    /// Compares what clients are told.
    package static func == (left: Self, right: Self) -> Bool {
        left.reason == right.reason && left.message == right.message
    }

    /// The same failure, with a reason for administrators only.
    package func because(_ cause: String) -> AuthenticationFailure {
        var failure = self
        failure.cause = cause
        return failure
    }

    /// The answer to every wrong credential, so that a client learns nothing from it.
    package static let wrong = AuthenticationFailure(.invalid, "The credentials are not valid.")
    /// The answer to the cookie of a session that has ended.
    package static let sessionOver = AuthenticationFailure(
        .invalid, "The session has ended: log in again.", isGuess: false)
    /// The answer to revoked credentials: the same as ``wrong``, but not a guess.
    package static let ended = AuthenticationFailure(.invalid, wrong.message, isGuess: false)
    /// The answer to an expired token.
    package static let expired = AuthenticationFailure(.invalid, "The token has expired.", isGuess: false)
    /// The answer if too many passwords of one user were tried.
    package static let limited = AuthenticationFailure(
        .limited, "Too many passwords of this user were tried: wait a few seconds.")
    /// The answer if too many checks are waiting.
    package static let busy = AuthenticationFailure(.unavailable, "Too many passwords are being checked; try again.")
}

/// Authenticates clients.
///
/// Shared by all reactors; called on their threads, which it must not block.
package protocol Authenticator: Sendable {
    /// Checks credentials, at once or on another thread.
    ///
    /// - Parameters:
    ///   - access: the access data in force on the caller's reactor.
    ///   - address: the client's address, without the port; `nil` if it has none.
    func authenticate(_ credentials: Credentials, _ access: Access, from address: () -> String?) -> Authentication
}

/// The result of an ``Authenticator``.
package enum Authentication: Sendable {
    case known(Principal)
    case refused(AuthenticationFailure)
    /// The check takes time: the closure starts it, and `reply` gets the result, on any thread.
    case pending(Beginning)

    /// Starts a check, which calls `reply` once.
    package typealias Beginning =
        @Sendable (_ reply: @escaping @Sendable (Result<Principal, AuthenticationFailure>) -> Void) -> Void
}

/// Authenticates no client: one without credentials is anonymous, and all credentials are refused.
///
/// Accepting them silently would look like a success.
package struct AnonymousOnly: Authenticator {
    package init() {}

    package func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication { credentials == .nothing ? .known(.anonymous) : .refused(.wrong) }
}

/// Authenticates every client of the admin socket as the administrator: the permissions of its file are the check.
package struct AdministratorsOnly: Authenticator {
    package init() {}

    package func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication { .known(.administrator) }
}
