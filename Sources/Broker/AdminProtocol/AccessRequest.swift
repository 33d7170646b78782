/// `acl.explain`: whether somebody may do something, by the rules that hold now, and what each rule has to do with it.
package struct ExplainAccessRequest: AdminRequest {
    package static let verb = "acl.explain"
    package static let right = AdminRight.read

    /// A connected client by its id; `nil`: ``user`` says who is meant.
    package var client: String?
    /// `nil`: a client without credentials.
    package var user: String?
    /// Roles besides those of the file of users.
    package var roles: [String] = []
    /// The address that the client comes from; `nil`: it has none.
    package var address: String?
    /// `publish`, `subscribe` or `retain`, or a right on `/admin`: `read`, `write` or `operate`.
    package var action: String
    /// A topic, or a filter where the action is to subscribe; empty where it is about neither.
    package var name: String

    package init(action: String, name: String) {
        self.action = action
        self.name = name
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client")
        user = try object.string("user")
        roles = try object.strings("roles") ?? []
        address = try object.string("address")
        action = try object.string("action") ?? ""
        name = try object.string("name") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if !roles.isEmpty { writer.member("roles", roles) }
        if let address { writer.member("address", address) }
        writer.member("action", action)
        writer.member("name", name)
    }

    /// The decision, and why.
    package struct Answer: AdminObject {
        package var isAllowed = false
        /// A phrase; empty: it is allowed.
        package var reason = ""
        /// The rule that denies it, as people know it; `nil`: none does.
        package var denier: String?
        /// What the rules that apply say about it.
        package var lines: [Line] = []

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            isAllowed = try object.bool("allowed") ?? false
            reason = try object.string("reason") ?? ""
            denier = try object.string("by")
            var lines: [Line] = []
            try object.value("lines")?.forEachElement { (element) throws(JSONError) in
                lines.append(try Line(try element.object()))
            }
            self.lines = lines
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("allowed", isAllowed)
            if !reason.isEmpty { writer.member("reason", reason) }
            if let denier { writer.member("by", denier) }
            writer.name("lines")
            writer.beginArray()
            for line in lines { line.writeObject(to: &writer) }
            writer.endArray()
        }

        /// The decision, as a person reads it: `allowed`, `denied: no rule allows it`, `denied by rules[2]…: deny a/# matches a/b`.
        package var decision: String {
            if isAllowed { return "allowed" }
            return "denied\(denier.map { " by \($0)" } ?? ""): \(reason)"
        }
    }

    /// One filter of a rule, or that it has none for the action.
    package struct Line: AdminObject {
        /// The rule, as people know it, such as `rules[1] role sensor`.
        package var rule = ""
        /// As it is written, with placeholders; empty: it has nothing about the action.
        package var template = ""
        package var isDenial = false
        /// What it is for this client; empty: it does not apply.
        package var filters: [String] = []
        package var matches = false

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            rule = try object.string("rule") ?? ""
            template = try object.string("template") ?? ""
            isDenial = try object.bool("deny") ?? false
            filters = try object.strings("filters") ?? []
            matches = try object.bool("matches") ?? false
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("rule", rule)
            writer.member("template", template)
            writer.member("deny", isDenial)
            writer.member("filters", filters)
            writer.member("matches", matches)
        }
    }
}

/// `token.check`: who a token is, or why it lets nobody in.
package struct CheckTokenRequest: AdminRequest {
    package static let verb = "token.check"
    package static let right = AdminRight.read

    /// The token as a client shows it; it is written nowhere.
    package var token: String
    /// The address that it is shown from; `nil`: none, so that one that is tied to addresses is refused.
    package var address: String?

    package init(token: String, address: String? = nil) {
        self.token = token
        self.address = address
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        token = try object.string("token") ?? ""
        address = try object.string("address")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("token", token)
        if let address { writer.member("address", address) }
    }

    /// What there is to say of a token.
    package struct Answer: AdminObject {
        package var isValid = false
        /// Why it is refused; empty: it is valid.
        package var reason = ""
        /// `token` or `jwt`.
        package var kind = ""
        package var user = ""
        /// Its id, or the `jti`; `nil`: it has none.
        package var id: String?
        package var roles: [String] = []
        /// In Unix seconds; `nil`: it does not expire.
        package var expires: Int64?
        /// What it may do, such as `publish a/#`, and what is denied, such as `deny publish a/b`.
        package var rights: [String] = []
        /// What of that it may be used for at most; empty: all of it.
        package var limits: [String] = []

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            isValid = try object.bool("valid") ?? false
            reason = try object.string("reason") ?? ""
            kind = try object.string("kind") ?? ""
            user = try object.string("user") ?? ""
            id = try object.string("token")
            roles = try object.strings("roles") ?? []
            expires = try object.integer("expires")
            rights = try object.strings("rights") ?? []
            limits = try object.strings("atMost") ?? []
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("valid", isValid)
            guard isValid else { return writer.member("reason", reason) }
            writer.member("kind", kind)
            writer.member("user", user)
            if let id { writer.member("token", id) }
            writer.member("roles", roles)
            if let expires { writer.member("expires", expires) }
            writer.member("rights", rights)
            if !limits.isEmpty { writer.member("atMost", limits) }
        }
    }
}
