/// What a request presents to say who asks.
package enum Credentials: Sendable, Equatable {
    /// Nothing: the client is anonymous.
    case nothing
    /// A token, by `Authorization: Bearer`, a subprotocol or the query.
    case bearer(String)
    /// A name and a password (RFC 7617).
    case basic(user: String, password: String)
    /// What cannot be read, or a scheme that is not known here.
    case malformed
    /// The administrator's socket, which only the owner of its file reaches.
    case administrator
}

/// Why credentials are not accepted; nothing here says whether a user exists.
package struct AuthenticationFailure: Error, Sendable, Equatable {
    package enum Reason: Sendable, Equatable {
        /// They are wrong, expired or of an unknown kind.
        case invalid
        /// They cannot be examined now.
        case unavailable
    }

    package let reason: Reason
    /// A sentence for people.
    package let message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

/// Finds out who asks.
///
/// Shared by all reactors, and called on theirs, which it must not block.
package protocol Authenticator: Sendable {
    /// Examines credentials, at once or by another thread.
    ///
    /// - Parameter address: the client's, without the port; `nil`: it has none.
    func authenticate(_ credentials: Credentials, from address: () -> String?) -> Authentication
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

    package func authenticate(_ credentials: Credentials, from address: () -> String?) -> Authentication {
        guard credentials == .nothing else {
            return .refused(AuthenticationFailure(.invalid, "Users and tokens are not available in this version."))
        }
        return .known(.anonymous)
    }
}

/// The administrator's socket: its file's permissions have said already who asks.
package struct AdministratorsOnly: Authenticator {
    package init() {}

    package func authenticate(_ credentials: Credentials, from address: () -> String?) -> Authentication {
        .known(.administrator)
    }
}
