/// `token.list`: the tokens of the users file, in its order.
package struct ListTokensRequest: AdminRequest {
    package typealias Answer = AdminList<TokenSummary>
    package static let verb = "token.list"
    package static let right = AdminRight.read

    /// How many tokens to skip; 0 from the first.
    package var after: Int

    package init(after: Int = 0) { self.after = after }
    package init(_ object: borrowing JSONObject) throws(JSONError) { after = try object.integer("after") ?? 0 }
    package func write(to writer: inout JSONWriter) { if after > 0 { writer.member("after", after) } }
}

/// One token, without its secret.
package struct TokenSummary: AdminObject {
    package var id = ""
    package var user = ""
    /// The limits on the user's rights; `nil` for both if the token has all of them.
    package var publish: [String]?
    package var subscribe: [String]?
    package var admin: [String] = []
    /// Unix seconds; `nil` if the token does not expire.
    package var expires: Int64?
    /// The networks that the token may be used from; empty for any.
    package var from: [String] = []
    /// Unix seconds; `nil` if unknown.
    package var created: Int64?
    package var note = ""

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        id = try object.string("id") ?? ""
        user = try object.string("user") ?? ""
        publish = try object.strings("publish")
        subscribe = try object.strings("subscribe")
        admin = try object.strings("admin") ?? []
        expires = try object.integer("expires")
        from = try object.strings("from") ?? []
        created = try object.integer("created")
        note = try object.string("note") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("user", user)
        if let publish { writer.member("publish", publish) }
        if let subscribe { writer.member("subscribe", subscribe) }
        if !admin.isEmpty { writer.member("admin", admin) }
        if let expires { writer.member("expires", expires) }
        if !from.isEmpty { writer.member("from", from) }
        if let created { writer.member("created", created) }
        if !note.isEmpty { writer.member("note", note) }
    }
}

/// `token.mint`: creates a token for a user.
package struct MintTokenRequest: AdminRequest {
    package static let verb = "token.mint"
    package static let right = AdminRight.operate

    package var user: String
    /// The limits on the user's rights; both empty if the token has all of them.
    package var publish: [String] = []
    package var subscribe: [String] = []
    /// The rights on `/admin`: `read`, `write`, `operate`.
    package var admin: [String] = []
    /// The lifetime in seconds; `nil` for no limit, or for an hour if ``isForAddresses``.
    package var seconds: Int64?
    /// The addresses and networks that the token may be used from; empty for any.
    package var from: [String] = []
    /// A note for people; may be empty.
    package var note = ""
    /// Whether the token will be used in URLs, so that it lives for at most an hour.
    package var isForAddresses = false

    package init(user: String) { self.user = user }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user") ?? ""
        publish = try object.strings("publish") ?? []
        subscribe = try object.strings("subscribe") ?? []
        admin = try object.strings("admin") ?? []
        seconds = try object.integer("seconds")
        from = try object.strings("from") ?? []
        note = try object.string("note") ?? ""
        isForAddresses = try object.bool("inURL") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("user", user)
        if !publish.isEmpty { writer.member("publish", publish) }
        if !subscribe.isEmpty { writer.member("subscribe", subscribe) }
        if !admin.isEmpty { writer.member("admin", admin) }
        if let seconds { writer.member("seconds", seconds) }
        if !from.isEmpty { writer.member("from", from) }
        if !note.isEmpty { writer.member("note", note) }
        if isForAddresses { writer.member("inURL", true) }
    }

    /// The token, which is shown only once.
    package struct Answer: AdminObject {
        package var id: String
        package var token: String

        package init(id: String, token: String) {
            self.id = id
            self.token = token
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            id = try object.string("id") ?? ""
            token = try object.string("token") ?? ""
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("id", id)
            writer.member("token", token)
        }
    }
}

/// `token.revoke`: revokes a token, all tokens of a user, or a JSON Web Token; one of the members is required.
package struct RevokeTokenRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "token.revoke"
    package static let right = AdminRight.operate

    /// A token's id.
    package var token: String?
    /// The user whose tokens are all revoked, including those of login servers.
    package var user: String?
    /// With ``user``: only tokens that were issued before this time, in Unix seconds; `nil` for all until now.
    package var before: Int64?
    /// The `jti` of a JSON Web Token.
    package var jti: String?

    package init(token: String? = nil, user: String? = nil, before: Int64? = nil, jti: String? = nil) {
        self.token = token
        self.user = user
        self.before = before
        self.jti = jti
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        token = try object.string("token")
        user = try object.string("user")
        before = try object.integer("before")
        jti = try object.string("jti")
    }

    package func write(to writer: inout JSONWriter) {
        if let token { writer.member("token", token) }
        if let user { writer.member("user", user) }
        if let before { writer.member("before", before) }
        if let jti { writer.member("jti", jti) }
    }
}
