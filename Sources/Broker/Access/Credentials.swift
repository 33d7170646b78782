/// What a client presents to say who asks.
package enum Credentials: Sendable, Equatable {
    /// Nothing: the client is anonymous.
    case nothing
    /// A token, by `Authorization: Bearer`, a subprotocol, a cookie, the query or a message.
    case bearer(String)
    /// A name and a password (RFC 7617).
    case basic(user: String, password: String)
    /// The cookie of a login at `/session`.
    case session(String)
    /// A client certificate that the listener has accepted.
    case certificate(Certificate)
    /// The user of the process at the other end of a socket in the file system, by its number.
    case peer(UInt32)
    /// What cannot be read, or a scheme that is not known here.
    case malformed
    /// The administrator's socket, which only the owner of its file reaches.
    case administrator

    /// What a client certificate says.
    package struct Certificate: Sendable, Equatable {
        /// The SHA-256 of the certificate, 32 bytes.
        package var fingerprint: [UInt8] = []
        /// The names of the kind that the configuration asks for.
        package var names: [String] = []
        /// The organizational units.
        package var units: [String] = []

        package init() {}
    }
}

/// Why credentials are not accepted; nothing here says whether a user exists.
package struct AuthenticationFailure: Error, Sendable, Equatable {
    package enum Reason: Sendable, Equatable {
        /// They are wrong, expired or of an unknown kind.
        case invalid
        /// They cannot be examined now.
        case unavailable
        /// Too many of that user's were examined lately.
        case limited
    }

    package let reason: Reason
    /// A sentence for people.
    package let message: String
    /// Why, for the audit log and administrators alone: a word or two; `nil`: the message says it.
    package private(set) var cause: String?

    /// Whether they may be somebody's guess: what was right once, and has expired or is revoked, is none.
    package let isGuess: Bool

    /// - Parameter isGuess: `nil`: where they are invalid.
    package init(_ reason: Reason, _ message: String, isGuess: Bool? = nil) {
        self.reason = reason
        self.message = message
        self.isGuess = isGuess ?? (reason == .invalid)
    }

    /// Whether clients are told the same.
    package static func == (left: Self, right: Self) -> Bool {
        left.reason == right.reason && left.message == right.message
    }

    /// The same, with what only administrators are told.
    package func because(_ cause: String) -> AuthenticationFailure {
        var failure = self
        failure.cause = cause
        return failure
    }

    /// What is said of every wrong credential, so that nothing can be learnt from the answer.
    package static let wrong = AuthenticationFailure(.invalid, "The credentials are not valid.")
    /// What is said of a login's cookie that stands for nobody any more.
    package static let sessionOver = AuthenticationFailure(
        .invalid, "The session is over: log in again.", isGuess: false)
    /// The same of what was right once.
    package static let ended = AuthenticationFailure(.invalid, wrong.message, isGuess: false)
    /// What is said of a token whose time is over.
    package static let expired = AuthenticationFailure(.invalid, "The token has expired.", isGuess: false)
    /// What is said where too many passwords of one user were tried.
    package static let limited = AuthenticationFailure(
        .limited, "Too many passwords of this user were tried: wait a few seconds.")
    /// What is said where too many checks wait.
    package static let busy = AuthenticationFailure(.unavailable, "Too many passwords are being checked; try again.")
}

/// Finds out who asks.
///
/// Shared by all reactors, and called on theirs, which it must not block.
package protocol Authenticator: Sendable {
    /// Examines credentials, at once or by another thread.
    ///
    /// - Parameters:
    ///   - access: what holds now, on the caller's reactor.
    ///   - address: the client's, without the port; `nil`: it has none.
    func authenticate(_ credentials: Credentials, _ access: Access, from address: () -> String?) -> Authentication
}

/// What an ``Authenticator`` answers.
package enum Authentication: Sendable {
    case known(Principal)
    case refused(AuthenticationFailure)
    /// It takes a while: the closure begins it, and what it is given is called once with the outcome, on any thread.
    case pending(@Sendable (_ reply: @escaping @Sendable (Result<Principal, AuthenticationFailure>) -> Void) -> Void)
}

/// Knows nobody: a client without credentials is anonymous, and any others are refused, as silence would look like a
/// success.
package struct AnonymousOnly: Authenticator {
    package init() {}

    package func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication { credentials == .nothing ? .known(.anonymous) : .refused(.wrong) }
}

/// The administrator's socket: its file's permissions have said already who asks.
package struct AdministratorsOnly: Authenticator {
    package init() {}

    package func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication { .known(.administrator) }
}
