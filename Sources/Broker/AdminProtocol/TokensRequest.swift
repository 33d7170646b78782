/// `token.list`: the tokens of the file of users and tokens, in its order.
package struct ListTokensRequest: AdminRequest {
    package typealias Answer = AdminList<TokenSummary>
    package static let verb = "token.list"
    package static let right = AdminRight.read

    /// Continue after so many; 0: from the first.
    package var after: Int

    package init(after: Int = 0) { self.after = after }
    package init(_ object: borrowing JSONObject) throws(JSONError) { after = try object.integer("after") ?? 0 }
    package func write(to writer: inout JSONWriter) { if after > 0 { writer.member("after", after) } }
}

/// What is known of a token: not the token.
package struct TokenSummary: AdminObject {
    package var id = ""
    package var user = ""
    /// What it may be used for at most; `nil` for both: all that its user may.
    package var publish: [String]?
    package var subscribe: [String]?
    package var admin: [String] = []
    /// In Unix seconds; `nil`: it does not expire.
    package var expires: Int64?
    /// Empty: from everywhere.
    package var from: [String] = []
    /// In Unix seconds; `nil`: it is not known.
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

/// `token.mint`: makes a token of a user.
package struct MintTokenRequest: AdminRequest {
    package static let verb = "token.mint"
    package static let right = AdminRight.operate

    package var user: String
    /// What it may be used for at most; empty, both of them: all that its user may.
    package var publish: [String] = []
    package var subscribe: [String] = []
    /// `read`, `write`, `operate`: what it may be used for on `/admin`.
    package var admin: [String] = []
    /// How long it lives; `nil`: for ever, or an hour where it is for addresses.
    package var seconds: Int64?
    /// Addresses and networks; empty: from everywhere.
    package var from: [String] = []
    /// What people know it by; empty: nothing.
    package var note = ""
    /// Whether it is to stand in addresses, so that it lives for an hour at most.
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

    /// The token, which nobody is told again.
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

/// `token.revoke`: ends a token, all of a user's, or a JSON Web Token; one of the members is required.
package struct RevokeTokenRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "token.revoke"
    package static let right = AdminRight.operate

    /// A token's id.
    package var token: String?
    /// All of this user's, those of login servers among them.
    package var user: String?
    /// With `user`: only those that are older than this time, in Unix seconds; `nil`: all until now.
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
