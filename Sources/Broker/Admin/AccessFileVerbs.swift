package import Cryptography
internal import WSTransport

/// A request about the users file; the broker and `brokerctl --file` share this code.
package protocol AccessFileRequest: AdminRequest {
    /// Whether the request changes the file.
    static var isChange: Bool { get }

    /// Carries out the request; throws a sentence if that is not possible, and then the file is not changed.
    ///
    /// May take long, because passwords are hashed: not for reactors.
    ///
    /// - Parameter now: Unix seconds.
    func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer
}

extension AccessFileRequest {
    package static var isChange: Bool { true }

    /// Carries out the request on a file on disk, completely or not at all.
    ///
    /// Not for reactors.
    package func apply(toFile path: String) throws(AccessFileErrors) -> Answer {
        let now = WallClock.unixMilliseconds / 1000
        guard Self.isChange else {
            var file = try AccessFile.read(path, isKept: false)
            return try apply(to: &file, now: now)
        }
        return try AccessFile.update(path) { (file) throws(AccessFileErrors) in try apply(to: &file, now: now) }
    }
}

// MARK: Users

extension ListUsersRequest: AccessFileRequest {
    package static var isChange: Bool { false }

    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        let tokens = Dictionary(grouping: file.tokens, by: \.user.exact).mapValues(\.count)
        let chosen = file.users.filter { one in user.map { one.name.utf8.elementsEqual($0.utf8) } ?? true }
        return AdminList(page: chosen, after: after) { UserSummary($0, tokens: tokens[$0.name.exact] ?? 0) }
    }
}

extension AdminList {
    /// Creates one page of a list, with the position of the next page.
    fileprivate init<Entry>(page all: [Entry], after: Int, _ summary: (Entry) -> Element) {
        let start = min(max(0, after), all.count)
        let page = all[start...].prefix(AdminDesk.maximumRows)
        self.init(page.map(summary), next: page.endIndex < all.count ? String(page.endIndex) : nil)
    }
}

extension UserSummary {
    fileprivate init(_ user: AccessUser, tokens: Int) {
        self.init()
        self.user = user.name
        roles = user.roles
        password = user.password.map { $0.isWeak ? "weak" : "yes" } ?? "-"
        hasCertificate = user.certificate != nil
        self.tokens = tokens
        isDisabled = user.isDisabled
    }
}

extension AddUserRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        var new = AccessUser(user)
        new.roles = roles
        new.created = now
        // Checked before the password is hashed, which takes long.
        var trial = file
        try trial.add(new)
        new.password = try password.map(PasswordHash.init(new:))
        try file.add(new)
        return AdminDone()
    }
}

extension SetPasswordRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        try file.change(user: user) { (user) throws(AccessFileErrors) in user.password = try PasswordHash(new: password)
        }
        return AdminDone()
    }
}

extension PasswordHash {
    /// The maximum length of a password, in bytes.
    package static let maximumLength = 1024

    /// The hash of a new password.
    fileprivate init(new password: String) throws(AccessFileErrors) {
        guard 1...Self.maximumLength ~= password.utf8.count else {
            throw AccessFileErrors("", "expected a password of 1 to \(Self.maximumLength) bytes")
        }
        do throws(CryptographyError) { self = try PasswordHash.make(for: password) } catch {
            throw AccessFileErrors("", error.description)
        }
    }
}

extension RemoveUserRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        Answer(tokens: try file.remove(user: user))
    }
}

extension DisableUserRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        // A user of a login server has no entry yet, and gets one in order to be disabled.
        if !isEnabling, file.place(ofUser: user) == nil { try file.add(AccessUser(user)) }
        try file.change(user: user) { (user) throws(AccessFileErrors) in user.isDisabled = !isEnabling }
        return AdminDone()
    }
}

extension SetRolesRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        for change in changes where !Self.isChange(change) {
            throw AccessFileErrors("", "expected +ROLE or -ROLE, found \(change)")
        }
        var roles: [String] = []
        try file.change(user: user) { (user) throws(AccessFileErrors) in
            for change in changes {
                let role = String(change.dropFirst())
                user.roles.removeAll { $0.utf8.elementsEqual(role.utf8) }
                if change.first == "+" { user.roles.append(role) }
            }
            roles = user.roles
        }
        return Answer(roles: roles)
    }

    /// Whether a text is `+ROLE` or `-ROLE`.
    package static func isChange(_ text: String) -> Bool {
        (text.first == "+" || text.first == "-") && Principal.isName(String(text.dropFirst()))
    }
}

// MARK: Tokens

extension ListTokensRequest: AccessFileRequest {
    package static var isChange: Bool { false }

    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        AdminList(page: file.tokens, after: after) { TokenSummary($0) }
    }
}

extension TokenSummary {
    fileprivate init(_ token: AccessToken) {
        self.init()
        id = token.id
        user = token.user
        publish = token.limits?.publish
        subscribe = token.limits?.subscribe
        admin = token.admin.map(\.rawValue)
        expires = token.expires
        from = token.from
        created = token.created
        note = token.note
    }
}

extension MintTokenRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        if let mistake { throw AccessFileErrors("", mistake) }
        let life = seconds ?? (isForAddresses ? AccessOptions.shortLife : nil)
        let token = try file.mint(for: user) { token in
            if !publish.isEmpty || !subscribe.isEmpty {
                token.limits = AccessToken.Limits(publish: publish, subscribe: subscribe)
            }
            token.admin = admin.compactMap { AdminRight(rawValue: $0) }
            token.expires = life.map { min(now + min($0, Principal.lastSecond), Principal.lastSecond) }
            token.from = from
            token.created = now
            token.note = note
        }
        return Answer(id: token.id, token: token.text)
    }

    /// The first error in the request, with the option of `brokerctl` that caused it; `nil` if there is none.
    package var mistake: String? {
        for filter in publish + subscribe {
            do throws(TopicError) { _ = try TopicFilter(filter, limits: .none) } catch { return "\(filter): \(error)" }
        }
        for right in admin where AdminRight(rawValue: right) == nil {
            return "--admin: expected read, write or operate"
        }
        for network in from where AddressRange(network) == nil {
            return "--from: expected an address or a network such as 10.0.0.0/8"
        }
        if let seconds {
            guard seconds > 0 else { return "--ttl: expected a time such as 10m, 1h or 90d" }
            guard !isForAddresses || seconds <= AccessOptions.shortLife else {
                return "--ttl: a token for URLs is valid for at most an hour"
            }
        }
        return note.utf8.count <= Self.maximumNote ? nil : "--note: expected at most \(Self.maximumNote) bytes"
    }

    /// The maximum length of a note, in bytes.
    private static let maximumNote = 1024
}

extension RevokeTokenRequest: AccessFileRequest {
    package func apply(to file: inout AccessFile, now: Int64) throws(AccessFileErrors) -> Answer {
        guard [token, user, jti].count(where: { $0 != nil }) == 1 else {
            throw AccessFileErrors("", "expected a token's id, a user or a jti")
        }
        if let token {
            try file.revoke(token: OpaqueToken(token)?.id ?? token)
        } else if let user {
            // Includes tokens that were issued in this second.
            file.revokeAll(of: user, before: before ?? now + 1)
        } else if let jti {
            file.revoke(jti: jti)
        }
        return AdminDone()
    }
}
