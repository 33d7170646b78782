internal import WSTransport

/// The rights that a token itself carries: filters without placeholders, and roles.
struct JWTGrants {
    private(set) var rule = AccessRule()
    private(set) var roles: [String] = []

    /// Reads the claim at a path; `nil` if there is none.
    ///
    /// Filters that allow more than `most` are left out; filters that deny never are.
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

    /// Finds the grants at a path; names of members may contain dots, too.
    ///
    /// A token with several such claims is rejected: otherwise a denial in one of them could be ignored.
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

    /// - Parameter most: each filter must be covered by one of these; `nil` for no such limit.
    private static func filters(
        _ name: JSONName, of object: borrowing JSONObject, atMost most: [TopicFilter]? = nil
    ) throws(JSONError) -> [FilterTemplate]? {
        guard let names = try object.strings(name) else { return nil }
        var filters: [FilterTemplate] = []
        for text in names {
            // Of any length, like the filters of rules: limits are for requests of clients, and a token has at most 8
            // KiB.
            guard let filter = try? TopicFilter(text, limits: .none) else {
                throw JSONError(.outOfRange(member: name.description), at: object.offset)
            }
            if let most, !most.contains(where: { $0.covers(filter) }) { continue }
            filters.append(FilterTemplate(filter))
        }
        return filters
    }
}
