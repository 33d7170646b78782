/// `users.list`: the users of the users file, in its order.
package struct ListUsersRequest: AdminRequest {
    package typealias Answer = AdminList<UserSummary>
    package static let verb = "users.list"
    package static let right = AdminRight.read

    /// Only this user; `nil` for all.
    package var user: String?
    /// How many users to skip; 0 from the first.
    package var after: Int

    package init(user: String? = nil, after: Int = 0) {
        self.user = user
        self.after = after
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user")
        after = try object.integer("after") ?? 0
    }

    package func write(to writer: inout JSONWriter) {
        if let user { writer.member("user", user) }
        if after > 0 { writer.member("after", after) }
    }
}

/// One user, without secrets or their hashes.
package struct UserSummary: AdminObject {
    package var user = ""
    package var roles: [String] = []
    /// `-` if there is no password, else `weak` or `yes`.
    package var password = "-"
    /// Whether a client certificate identifies the user.
    package var hasCertificate = false
    /// How many tokens the user has.
    package var tokens = 0
    package var isDisabled = false

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        roles = try object.strings("roles") ?? []
        password = try object.string("password") ?? "-"
        hasCertificate = try object.bool("certificate") ?? false
        tokens = try object.integer("tokens") ?? 0
        isDisabled = try object.bool("disabled") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        writer.member("roles", roles)
        writer.member("password", password)
        writer.member("certificate", hasCertificate)
        writer.member("tokens", tokens)
        writer.member("disabled", isDisabled)
    }
}

/// `users.add`: adds a user.
package struct AddUserRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "users.add"
    package static let right = AdminRight.operate

    package var user: String
    package var roles: [String]
    /// The password; `nil` if no password is accepted.
    package var password: String?

    package init(user: String, roles: [String], password: String?) {
        self.user = user
        self.roles = roles
        self.password = password
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        roles = try object.strings("roles") ?? []
        password = try object.string("password")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        if !roles.isEmpty { writer.member("roles", roles) }
        if let password { writer.member("password", password) }
    }
}

/// `users.password`: changes a user's password, and ends connections that were made with the old one.
package struct SetPasswordRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "users.password"
    package static let right = AdminRight.operate

    package var user: String
    package var password: String

    package init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        password = try object.string("password") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        writer.member("password", password)
    }
}

/// `users.remove`: removes a user and all the user's tokens.
package struct RemoveUserRequest: AdminRequest {
    package static let verb = "users.remove"
    package static let right = AdminRight.operate

    package var user: String

    package init(user: String) { self.user = user }
    package init(_ object: borrowing JSONObject) throws(JSONError) { user = try object.string("user") ?? "" }
    package func write(to writer: inout JSONWriter) { writer.member("user", user) }

    /// How many tokens were removed with the user.
    package struct Answer: AdminObject {
        package var tokens: Int

        package init(tokens: Int) { self.tokens = tokens }
        package init(_ object: borrowing JSONObject) throws(JSONError) { tokens = try object.integer("tokens") ?? 0 }
        package func write(to writer: inout JSONWriter) { writer.member("tokens", tokens) }
    }
}

/// `users.disable`: disables a user, whatever the credentials, or enables a disabled one.
package struct DisableUserRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "users.disable"
    package static let right = AdminRight.operate

    package var user: String
    /// Whether the user is enabled again.
    package var isEnabling: Bool

    package init(user: String, isEnabling: Bool = false) {
        self.user = user
        self.isEnabling = isEnabling
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        isEnabling = try object.bool("enable") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        if isEnabling { writer.member("enable", true) }
    }
}

/// `users.role`: gives a user roles and takes roles away.
package struct SetRolesRequest: AdminRequest {
    package static let verb = "users.role"
    package static let right = AdminRight.operate

    package var user: String
    /// `+ROLE` gives a role, `-ROLE` takes it away; applied in order.
    package var changes: [String]

    package init(user: String, changes: [String]) {
        self.user = user
        self.changes = changes
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        changes = try object.strings("changes") ?? []
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        writer.member("changes", changes)
    }

    /// The user's roles after the change.
    package struct Answer: AdminObject {
        package var roles: [String]

        package init(roles: [String]) { self.roles = roles }
        package init(_ object: borrowing JSONObject) throws(JSONError) { roles = try object.strings("roles") ?? [] }
        package func write(to writer: inout JSONWriter) { writer.member("roles", roles) }
    }
}
