internal import WSTransport

/// An action or refusal of a client or an administrator: one line of the audit log.
///
/// It contains no secret: no password, and of a token only its id.
package struct AuditEvent: Sendable, Equatable {
    /// The kind of an event.
    package struct Name: Sendable, Hashable {
        /// The name as written, such as `publish.denied`.
        package let text: String

        private init(_ text: String) { self.text = text }

        package static let authOK = Name("auth.ok")
        package static let authFailed = Name("auth.failed")
        package static let publishDenied = Name("publish.denied")
        package static let subscribeDenied = Name("subscribe.denied")
        package static let retainDenied = Name("retain.denied")
        package static let sessionRevoked = Name("session.revoked")
        package static let limitHit = Name("limit.hit")
        package static let hostRefused = Name("host.refused")
        package static let originRefused = Name("origin.refused")
        package static let configReloaded = Name("config.reloaded")
        package static let keysRefreshed = Name("keys.refreshed")
        package static let certificateLoaded = Name("certificate.loaded")
        package static let certificateRefused = Name("certificate.refused")
        /// A client's certificate is no longer accepted, and its connection was closed.
        package static let certificateRevoked = Name("certificate.revoked")
        package static let start = Name("start")
        package static let stop = Name("stop")
        /// Lines that the log has lost; `count` says how many.
        static let missing = Name("audit.missing")

        /// A verb of an administrator, such as `kick`.
        package static func admin(_ verb: String) -> Name { Name("admin.\(verb)") }
        /// A change of a user, such as `add`.
        package static func users(_ verb: String) -> Name { Name("users.\(verb)") }
        /// A change of a token, such as `mint`.
        package static func token(_ verb: String) -> Name { Name("token.\(verb)") }
        /// A ban: `add`, `remove` or `end`; or `refused`, for connections that a ban turns away.
        package static func ban(_ verb: String) -> Name { Name("ban.\(verb)") }
    }

    /// An administrator.
    package enum Actor: Sendable, Equatable, CustomStringConvertible {
        /// A process at the administration socket.
        case socket(uid: UInt32, pid: Int32)
        /// A user over the network.
        case network(user: String)

        package var description: String {
            switch self {
            case .socket(let uid, let pid): "uid \(uid), pid \(pid)"
            case .network(let user): "user \(user)"
            }
        }
    }

    package var name: Name
    /// Unix milliseconds.
    package var time: Int64
    /// The administrator; `nil` if none acted.
    package var actor: Actor?
    /// The client's user; `nil` if it has none.
    package var user: String?
    /// How the client was authenticated, such as `anonymous` or `jwt`; `nil` if no client acted.
    package var kind: String?
    /// The broker's name for the client.
    package var client: String?
    /// The client's address, with the port.
    package var address: String?
    /// The id of a token, or the `jti` of a JWT; never the token.
    package var token: String?
    /// The object of the action: a topic, a filter, a host, a limit, a file.
    package var target: String?
    /// The filter of the rule that decided; `nil` if no rule allowed it.
    package var rule: String?
    /// The result, or the reason.
    package var result: String?
    /// An administrator's note; `nil` if there is none.
    package var note: String?
    /// How often it happened within a second; 1 is not written.
    package var count = 1

    /// Creates an event with the present time.
    package init(_ name: Name) {
        self.name = name
        time = WallClock.unixMilliseconds
    }

    /// Creates an event with the present time and a target.
    package init(_ name: Name, target: String, result: String? = nil) {
        self.init(name)
        self.target = Self.clip(target)
        self.result = result.map(Self.clip)
    }

    /// The maximum size of one text, in bytes, so that clients can fill neither memory nor disk.
    static let maximumText = 1024

    /// Cuts a text that is longer than ``maximumText`` bytes, and marks it with `…`.
    package static func clip(_ text: String) -> String {
        guard text.utf8.count > maximumText else { return text }
        var kept = String.UnicodeScalarView()
        var size = 0
        for scalar in text.unicodeScalars {
            size += scalar.utf8.count
            if size > maximumText { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }

    /// Whether the line has a `rule`, which is `null` if no rule decided.
    private var hasRule: Bool { name == .publishDenied || name == .subscribeDenied || name == .retainDenied }

    /// Appends the event as one line, with its line end.
    func write(to lines: inout [UInt8]) {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        writer.member("time", "\(Timestamp(unixMilliseconds: time))")
        writer.member("event", name.text)
        if let actor { Self.write(actor, to: &writer) }
        if let user { writer.member("user", user) }
        if let kind { writer.member("kind", kind) }
        if let client { writer.member("client", client) }
        if let address { writer.member("address", address) }
        if let token { writer.member("token", token) }
        if let target { writer.member("target", target) }
        if hasRule || rule != nil {
            writer.name("rule")
            if let rule { writer.string(rule) } else { writer.null() }
        }
        if let result { writer.member("result", result) }
        if let note { writer.member("note", note) }
        if count > 1 || name == .missing { writer.member("count", count) }
        writer.endObject()
        lines += VisibleText.json(writer.bytes)
        lines.append(UInt8(ascii: "\n"))
    }

    private static func write(_ actor: Actor, to writer: inout JSONWriter) {
        writer.name("actor")
        writer.beginObject()
        switch actor {
        case .socket(let uid, let pid):
            writer.member("uid", uid)
            writer.member("pid", pid)
            writer.member("via", "socket")
        case .network(let user):
            writer.member("user", user)
            writer.member("via", "network")
        }
        writer.endObject()
    }
}
