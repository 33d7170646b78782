package import Cryptography
internal import WSTransport

/// One line of the users file.
package struct AccessEntry: Sendable {
    package enum Content: Sendable, Equatable {
        case user(AccessUser)
        case token(AccessToken)
        case revoked(AccessRevocation)
    }

    /// The content of the line.
    package var content: Content { didSet { isChanged = true } }
    /// The line number in the file, from 1; 0 for a new entry.
    package let number: Int
    /// The line as it was read; empty for a new entry, and if the file will not be written.
    let line: [UInt8]
    /// Whether the entry has changed since it was read.
    private(set) var isChanged = false

    /// Creates an entry that is not in the file yet.
    package init(_ content: Content) {
        self.init(content, line: [], number: 0)
    }

    init(_ content: Content, line: [UInt8], number: Int) {
        self.content = content
        self.line = line
        self.number = number
    }
}

/// A user that logs in by password, certificate or token.
package struct AccessUser: Sendable, Equatable {
    /// A name that ``Principal/isName(_:)`` accepts.
    package var name: String
    /// The hash of the password; `nil` if no password is accepted.
    package var password: PasswordHash?
    /// The SHA-256 of the client certificate, 32 bytes; `nil` if no certificate identifies the user.
    package var certificate: [UInt8]?
    package var roles: [String] = []
    /// Whether the user is disabled, for tokens as well.
    package var isDisabled = false
    /// Unix seconds; `nil` if unknown.
    package var created: Int64?

    package init(_ name: String) { self.name = name }
}

/// A token that the broker has issued to a user.
package struct AccessToken: Sendable, Equatable {
    /// Eight letters and digits.
    package var id: String
    /// The SHA-256 of the secret, 32 bytes.
    package var sha256: [UInt8]
    package var user: String
    /// The limits on the user's rights; `nil` if the token has all of them.
    package var limits: Limits?
    /// The rights on `/admin`, of those that the user has; empty if it has none.
    package var admin: [AdminRight] = []
    /// Unix seconds; `nil` if the token does not expire.
    package var expires: Int64?
    /// The networks and addresses that the token may be used from; empty for any.
    package var from: [String] = []
    /// Unix seconds; `nil` if unknown.
    package var created: Int64?
    /// A note for people; may be empty.
    package var note = ""

    /// Valid topic filters without placeholders.
    ///
    /// If only one of the two is in the file, the other one is empty.
    package struct Limits: Sendable, Equatable {
        package var publish: [String] = []
        package var subscribe: [String] = []

        package init(publish: [String] = [], subscribe: [String] = []) {
            self.publish = publish
            self.subscribe = subscribe
        }
    }

    package init(id: String, sha256: [UInt8], user: String) {
        self.id = id
        self.sha256 = sha256
        self.user = user
    }
}

/// A token, a JWT, or all credentials of a user, that are no longer accepted.
package enum AccessRevocation: Sendable, Hashable {
    /// One of the broker's tokens, by its id.
    case token(String)
    /// All tokens and JWTs of a user that were issued before a time, in Unix seconds.
    case user(String, before: Int64)
    /// A JWT by its `jti`.
    case jti(String)
}

// MARK: Reading

/// What is wrong with a line, as a sentence.
struct AccessMistake: Error {
    let message: String
    init(_ message: String) { self.message = message }
    init(_ error: JSONError) { message = "\(error)" }
}

extension AccessEntry.Content {
    /// Parses the object of a line.
    init(_ object: borrowing JSONObject) throws(AccessMistake) {
        if object.kind(of: "token") != nil {
            self = .token(try AccessToken(object))
        } else if object.kind(of: "revoked") != nil {
            self = .revoked(try AccessRevocation(object))
        } else if object.kind(of: "user") != nil {
            self = .user(try AccessUser(object))
        } else {
            throw AccessMistake("expected user, token or revoked, found none of them")
        }
    }
}

extension AccessUser {
    fileprivate init(_ object: borrowing JSONObject) throws(AccessMistake) {
        self.init(try userName(of: object))
        if let text = try read({ () throws(JSONError) in try object.string("password") }) {
            do throws(PasswordHash.FormatError) { password = try PasswordHash(parsing: text) } catch {
                throw AccessMistake("password: \(error)")
            }
        }
        if let text = try read({ () throws(JSONError) in try object.string("certificate") }) {
            guard let digest = Self.fingerprint(text) else {
                throw AccessMistake("certificate: expected sha256: and 64 hexadecimal digits")
            }
            certificate = digest
        }
        roles = try roleNames(of: object)
        isDisabled = try read { () throws(JSONError) in try object.bool("disabled") } ?? false
        created = try time("created", of: object)
    }

    /// Parses `sha256:` and 64 hexadecimal digits, with or without colons; `nil` if the text is malformed.
    package static func fingerprint(_ text: String) -> [UInt8]? {
        guard text.hasPrefix("sha256:") else { return nil }
        let digits = text.utf8.dropFirst(7).filter { $0 != UInt8(ascii: ":") }
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for digit in digits {
            guard let value = Character(Unicode.Scalar(digit)).hexDigitValue else { return nil }
            bytes.append(UInt8(value))
        }
        return stride(from: 0, to: 64, by: 2).map { bytes[$0] << 4 | bytes[$0 + 1] }
    }
}

extension AccessToken {
    fileprivate init(_ object: borrowing JSONObject) throws(AccessMistake) {
        let id = try read { () throws(JSONError) in try object.string("token") } ?? ""
        guard OpaqueToken.isID(id) else { throw AccessMistake("token: expected an id of 8 letters and digits") }
        let text = try read { () throws(JSONError) in try object.string("sha256") } ?? ""
        guard let digest = Base64.decode(text), digest.count == 32 else {
            throw AccessMistake("sha256: expected 32 bytes in base64")
        }
        self.init(id: id, sha256: digest, user: try userName(of: object))
        let publish = try Self.filters("publish", of: object)
        let subscribe = try Self.filters("subscribe", of: object)
        if publish != nil || subscribe != nil { limits = Limits(publish: publish ?? [], subscribe: subscribe ?? []) }
        for text in try read({ () throws(JSONError) in try object.strings("admin") }) ?? [] {
            guard let right = AdminRight(rawValue: text) else {
                throw AccessMistake("admin: expected read, write or operate, found \"\(text)\"")
            }
            admin.append(right)
        }
        expires = try time("expires", of: object)
        from = try read { () throws(JSONError) in try object.strings("from") } ?? []
        for network in from where AddressRange(network) == nil {
            throw AccessMistake("from: expected addresses and networks such as 10.0.0.0/8, found \"\(network)\"")
        }
        created = try time("created", of: object)
        note = try read { () throws(JSONError) in try object.string("note") } ?? ""
    }

    private static func filters(
        _ member: StaticString, of object: borrowing JSONObject
    ) throws(AccessMistake) -> [String]? {
        let name = JSONName(stringLiteral: member)
        guard let names = try read({ () throws(JSONError) in try object.strings(name) }) else { return nil }
        for filter in names {
            do throws(TopicError) { _ = try TopicFilter(filter, limits: .none) } catch {
                throw AccessMistake("\(member): \(error)")
            }
        }
        return names
    }
}

extension AccessRevocation {
    fileprivate init(_ object: borrowing JSONObject) throws(AccessMistake) {
        guard object.kind(of: "revoked") == .object, let what = try? object.object("revoked") else {
            throw AccessMistake("revoked: expected an object")
        }
        if let id = try read({ () throws(JSONError) in try what.string("token") }) {
            self = .token(id)
        } else if let user = try read({ () throws(JSONError) in try what.string("user") }) {
            guard let before: Int64 = try read({ () throws(JSONError) in try what.integer("before") }) else {
                throw AccessMistake("revoked: expected before, a time in seconds, with user")
            }
            self = .user(user, before: before)
        } else if let jti = try read({ () throws(JSONError) in try what.string("jti") }) {
            self = .jti(jti)
        } else {
            throw AccessMistake("revoked: expected token, user or jti, found none of them")
        }
    }
}

private func read<Value>(_ body: () throws(JSONError) -> Value?) throws(AccessMistake) -> Value? {
    do throws(JSONError) { return try body() } catch { throw AccessMistake(error) }
}

/// Reads a time in Unix seconds; `nil` if the member is absent.
private func time(_ member: StaticString, of object: borrowing JSONObject) throws(AccessMistake) -> Int64? {
    let key = JSONName(stringLiteral: member)
    guard let time: Int64 = try read({ () throws(JSONError) in try object.integer(key) }) else { return nil }
    guard 0...Principal.lastSecond ~= time else { throw AccessMistake("\(member): expected a time in Unix seconds") }
    return time
}

private func userName(of object: borrowing JSONObject) throws(AccessMistake) -> String {
    let name = try read { () throws(JSONError) in try object.string("user") } ?? ""
    guard Principal.isName(name) else { throw AccessMistake("user: \(Principal.nameExpectation)") }
    return name
}

private func roleNames(of object: borrowing JSONObject) throws(AccessMistake) -> [String] {
    let names = try read { () throws(JSONError) in try object.strings("roles") } ?? []
    guard names.allSatisfy(Principal.isName) else { throw AccessMistake("roles: \(Principal.nameExpectation)") }
    return names
}

// MARK: Writing

extension AccessEntry {
    /// The line without its line end: as it was read if nothing has changed, and with unknown members kept.
    var bytes: [UInt8] {
        if !isChanged, !line.isEmpty { return line }
        var writer = JSONWriter(capacity: 200)
        writer.beginObject()
        switch content {
        case .user(let user): user.write(to: &writer)
        case .token(let token): token.write(to: &writer)
        case .revoked(let what): what.write(to: &writer)
        }
        if let object = try? JSONObject.parse(line.span) {
            for index in 0..<object.count where !Self.known.contains(object.name(at: index)) {
                writer.name(escaping: object.name(at: index))
                writer.raw(object.value(at: index).rawBytes)
            }
        }
        writer.endObject()
        return writer.bytes
    }

    private static let known: Set<String> = [
        "user", "password", "certificate", "roles", "disabled", "created", "token", "sha256", "publish", "subscribe",
        "admin", "expires", "from", "note", "revoked",
    ]
}

extension AccessUser {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.member("user", name)
        if let password { writer.member("password", password.text) }
        if let certificate {
            let digits = certificate.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }
            writer.member("certificate", "sha256:\(digits.joined())")
        }
        if !roles.isEmpty { writer.strings("roles", roles) }
        if isDisabled { writer.member("disabled", true) }
        if let created { writer.member("created", created) }
    }
}

extension AccessToken {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.member("token", id)
        writer.member("sha256", Base64.encode(sha256))
        writer.member("user", user)
        if let limits {
            writer.strings("publish", limits.publish)
            writer.strings("subscribe", limits.subscribe)
        }
        if !admin.isEmpty { writer.strings("admin", admin.map(\.rawValue)) }
        if let expires { writer.member("expires", expires) }
        if !from.isEmpty { writer.strings("from", from) }
        if let created { writer.member("created", created) }
        if !note.isEmpty { writer.member("note", note) }
    }
}

extension AccessRevocation {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.name("revoked")
        writer.beginObject()
        switch self {
        case .token(let id): writer.member("token", id)
        case .user(let user, let before):
            writer.member("user", user)
            writer.member("before", before)
        case .jti(let jti): writer.member("jti", jti)
        }
        writer.endObject()
    }
}

extension JSONWriter {
    fileprivate mutating func strings(_ name: StaticString, _ values: [String]) {
        self.name(name)
        beginArray()
        for value in values { string(value) }
        endArray()
    }
}
