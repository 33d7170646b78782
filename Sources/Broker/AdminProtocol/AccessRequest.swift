/// `acl.explain`: whether a client may do something under the present rules, and what each rule says about it.
package struct ExplainAccessRequest: AdminRequest {
    package static let verb = "acl.explain"
    package static let right = AdminRight.read

    /// The id of a connected client; `nil` if ``user`` names the subject.
    package var client: String?
    /// The user; `nil` for a client without credentials.
    package var user: String?
    /// Roles in addition to those of the users file.
    package var roles: [String] = []
    /// The address of the client; `nil` if it has none.
    package var address: String?
    /// `publish`, `subscribe` or `retain`, or a right on `/admin`: `read`, `write` or `operate`.
    package var action: String
    /// A filter if the action is `subscribe`, else a topic; empty for a right on `/admin`.
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

    /// The decision, with reasons.
    package struct Answer: AdminObject {
        package var isAllowed = false
        /// The reason, as a phrase; empty if the action is allowed.
        package var reason = ""
        /// The title of the rule that denies the action; `nil` if none does.
        package var denier: String?
        /// The filters of the rules that apply.
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

        /// The decision for people: `allowed`, `denied: no rule allows it`, `denied by rules[2]…: deny a/# matches
        /// a/b`.
        package var decision: String {
            if isAllowed { return "allowed" }
            return "denied\(denier.map { " by \($0)" } ?? ""): \(reason)"
        }
    }

    /// One filter of a rule, or the statement that the rule has none for the action.
    package struct Line: AdminObject {
        /// The rule's title, such as `rules[1] role sensor`.
        package var rule = ""
        /// The filter as written, with placeholders; empty if the rule has none for the action.
        package var template = ""
        package var isDenial = false
        /// The filter with the client's values inserted; empty if a value is missing or unusable.
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

/// `acl.list`: what the present rules allow and deny a subject.
package struct ListAccessRequest: AdminRequest {
    package static let verb = "acl.list"
    package static let right = AdminRight.read
    package typealias Answer = AdminList<Line>

    /// The id of a connected client; `nil` if ``user`` names the subject.
    package var client: String?
    /// The user; `nil` for a client without credentials.
    package var user: String?
    /// Roles in addition to those of the users file.
    package var roles: [String] = []
    /// The address of the client; `nil` if it has none.
    package var address: String?

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client")
        user = try object.string("user")
        roles = try object.strings("roles") ?? []
        address = try object.string("address")
    }

    package func write(to writer: inout JSONWriter) {
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if !roles.isEmpty { writer.member("roles", roles) }
        if let address { writer.member("address", address) }
    }

    /// One filter of a rule.
    package struct Line: AdminObject {
        /// `publish`, `subscribe` or `retain`.
        package var right = ""
        package var isDenial = false
        /// The filter with the client's values inserted; empty if it does not apply.
        package var filters: [String] = []
        /// The rule's title, such as `rules[1] role sensor`.
        package var rule = ""

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            right = try object.string("right") ?? ""
            isDenial = try object.bool("denied") ?? false
            filters = try object.strings("filters") ?? []
            rule = try object.string("rule") ?? ""
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("right", right)
            writer.member("denied", isDenial)
            writer.member("filters", filters)
            writer.member("rule", rule)
        }
    }
}

/// `token.check`: the user and rights of a token, or why it is rejected.
package struct CheckTokenRequest: AdminRequest {
    package static let verb = "token.check"
    package static let right = AdminRight.read

    /// The token as a client sends it; it is not logged.
    package var token: String
    /// The address that the token is used from; `nil` for none, so that a token bound to addresses is rejected.
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

    /// The result of the check.
    package struct Answer: AdminObject {
        package var isValid = false
        /// Why the token is rejected; empty if it is valid.
        package var reason = ""
        /// `token` or `jwt`.
        package var kind = ""
        package var user = ""
        /// The token's id, or its `jti`; `nil` if it has none.
        package var id: String?
        package var roles: [String] = []
        /// Unix seconds; `nil` if the token does not expire.
        package var expires: Int64?
        /// The rights, such as `publish a/#`, and the denials, such as `deny publish a/b`.
        package var rights: [String] = []
        /// The token's own limit on the rights; empty if there is none.
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
