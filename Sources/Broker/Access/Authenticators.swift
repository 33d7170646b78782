internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// Checks each kind of credentials: passwords, tokens, login cookies, certificates and system users.
package final class CredentialChecks: Authenticator {
    package let passwords: PasswordChecks
    package let sessions: BrowserSessions
    private let peers = PeerNames()

    package init(_ passwords: PasswordChecks, _ sessions: BrowserSessions = BrowserSessions()) {
        self.passwords = passwords
        self.sessions = sessions
    }

    package func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication {
        switch credentials {
        case .nothing: return .known(.anonymous)
        case .administrator: return .known(.administrator)
        case .malformed: return .refused(.wrong)
        case .bearer(let token): return bearer(token, access, address)
        case .basic(let user, let password): return basic(user, password, access, address)
        case .session(let value):
            let found = sessions.principal(of: value, access, now: .now, time: Self.now)
            return found.map(Authentication.known) ?? .refused(.sessionOver)
        case .certificate(let certificate): return self.certificate(certificate, access)
        case .peer(let number): return peer(number, access)
        }
    }

    // MARK: Tokens

    private func bearer(_ text: String, _ access: Access, _ address: () -> String?) -> Authentication {
        if let token = OpaqueToken(text) {
            let now = Self.now
            if let found = access.users.principal(for: token, from: address, now: now) { return .known(found) }
            let cause = access.users.rejection(of: token, from: address, now: now)
            return .refused(access.users.failure(of: token, now: now).because(cause))
        }
        guard OpaqueToken.isJWT(text), let webTokens = access.webTokens else {
            return .refused(.wrong.because("not a token of this broker"))
        }
        return webTokens.authenticate(text) { access.users.isRevoked($0) }
    }

    // MARK: Passwords

    private func basic(
        _ user: String, _ password: String, _ access: Access, _ address: () -> String?
    ) -> Authentication {
        let hash = access.users.password(of: user)
        if passwords.remembers(user, password, hash, now: .now) {
            return access.users.principal(forPasswordOf: user).map(Authentication.known) ?? .refused(.wrong)
        }
        let cause = access.users.rejection(ofPasswordOf: user)
        let address = address()
        return .pending { [passwords] reply in
            passwords.check(user, password, hash, from: address, memory: access.options.credentialCache) { outcome in
                switch outcome {
                // The password may have changed during the check; the caller looks the principal up again when the
                // reply arrives.
                case .right:
                    let found = access.users.principal(forPasswordOf: user)
                    reply(found.map { .success($0) } ?? .failure(.wrong))
                case .wrong: reply(.failure(.wrong.because(cause)))
                case .unavailable: reply(.failure(.busy))
                case .limited: reply(.failure(.limited))
                }
            }
        }
    }

    // MARK: Certificates and peers

    private func certificate(_ certificate: Credentials.Certificate, _ access: Access) -> Authentication {
        guard let identity = access.options.certificates else { return .known(.anonymous) }
        let tied = access.users.user(ofCertificate: certificate.fingerprint)
        // A certificate with several names identifies no user, because the client would choose which.
        let named = identity.user != .fingerprint && certificate.names.count == 1 ? certificate.names.first : nil
        guard let user = tied ?? named, Principal.isName(user) else {
            return .refused(.wrong.because("not exactly one name in the certificate"))
        }
        let roles = identity.roles == .none ? [] : certificate.units.filter(Principal.isName).exact
        return .init(
            known: .certificate, user, own: roles, access, tie: tied == nil ? nil : certificate.fingerprint,
            stamp: certificate.fingerprint.hashValue)
    }

    private func peer(_ number: UInt32, _ access: Access) -> Authentication {
        func known(_ name: String?) -> Authentication {
            guard let name, Principal.isName(name) else { return .refused(.wrong) }
            return .init(known: .peer, name, own: [], access, stamp: Int(number))
        }
        if let name = peers.remembered(number) { return known(name) }
        return .pending { [peers] reply in
            peers.find(number) { name in
                guard let name, Principal.isName(name),
                    case .known(let principal) = Authentication(
                        known: .peer, name, own: [], access, stamp: Int(number))
                else { return reply(.failure(.wrong)) }
                reply(.success(principal))
            }
        }
    }

    /// Unix seconds.
    private static var now: Int64 { WallClock.unixMilliseconds / 1000 }
}

extension Authentication {
    /// Creates the principal of a user that was authenticated without a secret.
    fileprivate init(
        known kind: Principal.Kind, _ user: String, own roles: Set<ExactText>, _ access: Access, tie: [UInt8]? = nil,
        stamp: Int
    ) {
        guard !access.users.isDisabled(user) else {
            self = .refused(.wrong.because("the user is disabled"))
            return
        }
        let all = roles.union(access.users.roles(of: user))
        self = .known(Principal(kind, user: user, roles: all, ownRoles: roles, tie: tie, stamp: stamp))
    }
}

/// The names of this machine's users.
///
/// They are looked up on a separate thread, because the user database may be a remote server. Any thread.
private final class PeerNames: Sendable {
    private let known = Mutex<[UInt32: (name: String, until: MonotonicTime)]>([:])
    private let pool = WorkerPool(name: "names", maximumThreads: 1, maximumWaiting: 64)
    /// In nanoseconds.
    private static let life: Int64 = 60_000_000_000
    private static let most = 1024

    func remembered(_ number: UInt32) -> String? {
        known.withLock { known in
            guard let found = known[number], found.until > .now else { return nil }
            return found.name
        }
    }

    func find(_ number: UInt32, _ reply: @escaping @Sendable (String?) -> Void) {
        let isTaken = pool.run { [self] in
            let name = Self.name(of: number)
            if let name {
                known.withLock { known in
                    if known.count >= Self.most { known = [:] }
                    known[number] = (name, MonotonicTime.now.advanced(byNanoseconds: Self.life))
                }
            }
            reply(name)
        }
        if !isTaken { reply(nil) }
    }

    private static func name(of number: UInt32) -> String? {
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>?
        var space = [CChar](repeating: 0, count: 16 << 10)
        guard unsafe getpwuid_r(number, &entry, &space, space.count, &found) == 0, unsafe found != nil,
            let name = unsafe entry.pw_name
        else { return nil }
        return unsafe String(cString: name)
    }
}
