internal import WSTransport

/// What a token itself says that it may be used for: filters without placeholders, and roles.
struct JWTGrants {
    private(set) var rule = AccessRule()
    private(set) var roles: [String] = []

    /// Reads the claim at a path; `nil`: there is none.
    ///
    /// What is beyond `most` is left out; what is denied never is.
    init?(_ payload: [UInt8], at path: String, atMost most: [TopicFilter]) throws(JWTRejection) {
        var found: JWTGrants?
        do throws(JSONError) {
            let object = try JSONObject.parse(payload.span, maximumDepth: 16)
            found = try Self.find(path, object, most)
        } catch {
            throw .grants
        }
        guard let found else { return nil }
        self = found
    }

    /// The grants at a path, in whose members' names there may be dots, too.
    ///
    /// A token that has several is refused: what one of them denies would be left out.
    private static func find(
        _ path: String, _ object: borrowing JSONObject, _ most: [TopicFilter]
    ) throws(JSONError) -> JWTGrants? {
        var found: JWTGrants?
        func take(_ grants: JWTGrants?) throws(JSONError) {
            guard let grants else { return }
            guard found == nil else { throw JSONError(.outOfRange(member: path), at: 0) }
            found = grants
        }
        if object.kind(of: JSONName(path)) != nil, let member = try object.object(JSONName(path)) {
            try take(JWTGrants(member, most))
        }
        for dot in path.utf8.indices where path.utf8[dot] == UInt8(ascii: ".") {
            let (name, rest) = (JSONName(String(path[..<dot])), String(path[path.utf8.index(after: dot)...]))
            guard object.kind(of: name) == .object, let member = try object.object(name) else { continue }
            try take(find(rest, member, most))
        }
        return found
    }

    private init(_ object: borrowing JSONObject, _ most: [TopicFilter]) throws(JSONError) {
        rule.publish = try Self.filters("publish", of: object, atMost: most) ?? []
        rule.subscribe = try Self.filters("subscribe", of: object, atMost: most) ?? []
        rule.retain = try Self.filters("retain", of: object, atMost: most)
        if object.kind(of: "deny") == .object {
            if let denied = try object.object("deny") {
                rule.denyPublish = try Self.filters("publish", of: denied) ?? []
                rule.denySubscribe = try Self.filters("subscribe", of: denied) ?? []
            }
        } else {
            rule.denyPublish = try Self.filters("deny", of: object) ?? []
            rule.denySubscribe = rule.denyPublish
        }
        roles = try object.strings("roles") ?? []
    }

    /// - Parameter most: one of these has to cover each; `nil`: none has to.
    private static func filters(
        _ name: JSONName, of object: borrowing JSONObject, atMost most: [TopicFilter]? = nil
    ) throws(JSONError) -> [FilterTemplate]? {
        guard let names = try object.strings(name) else { return nil }
        var filters: [FilterTemplate] = []
        for text in names {
            // Of any length, like those of rules: limits are for what clients ask for, and a token has 8 KiB at most.
            guard let filter = try? TopicFilter(text, limits: .none) else {
                throw JSONError(.outOfRange(member: name.description), at: object.offset)
            }
            if let most, !most.contains(where: { $0.covers(filter) }) { continue }
            filters.append(FilterTemplate(filter))
        }
        return filters
    }
}
