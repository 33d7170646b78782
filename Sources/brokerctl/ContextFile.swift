internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// A saved broker, with credentials.
struct BrokerContext: Equatable {
    var name: String
    var url: String
    /// `nil` if a user and a password, or a certificate, is used instead.
    var token: String?
    var user: String?
    var password: String?
    /// Absolute paths.
    var caFile: String?
    var certFile: String?
    var keyFile: String?

    /// The value of `Authorization`; `nil` if none is sent.
    var authorization: String? {
        if let token { return "Bearer \(token)" }
        guard let user, let password else { return nil }
        return BasicCredentials(user: user, password: password)?.fieldValue
    }

    /// The identity, without a secret.
    var identity: String {
        if let user { return "user \(user)" }
        guard let token else { return certFile == nil ? "-" : "certificate" }
        // The id of the broker's own tokens is not secret.
        let parts = token.split(separator: "_", omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0] == "bk" && parts[1].utf8.count == 8 ? "token \(parts[1])" : "token"
    }

    /// Whether the name can be typed.
    static func isName(_ name: String) -> Bool {
        1...128 ~= name.utf8.count && name.utf8.first != UInt8(ascii: "-")
            && name.utf8.allSatisfy { 0x21...0x7E ~= $0 }
    }
}

/// The file of contexts, readable by its owner only: `broker/contexts.json` in the user's configuration directory.
struct ContextFile: Equatable {
    var contexts: [BrokerContext] = []
    /// The name of the context in use; `nil` if none is.
    var current: String?

    /// In bytes.
    private static let maximumSize = 1 << 20

    /// Creates an empty file.
    init() {}

    subscript(name: String) -> BrokerContext? { contexts.first { $0.name == name } }

    /// The context in use; `nil` if none is.
    var used: BrokerContext? { current.flatMap { self[$0] } }

    /// Adds a context, which replaces one with the same name, and uses it.
    mutating func save(_ context: BrokerContext) {
        contexts.removeAll { $0.name == context.name }
        contexts.append(context)
        contexts.sort { $0.name < $1.name }
        current = context.name
    }

    /// Removes a context; returns `false` if there is none with that name.
    mutating func remove(_ name: String) -> Bool {
        let count = contexts.count
        contexts.removeAll { $0.name == name }
        if current == name { current = nil }
        return contexts.count < count
    }

    // MARK: The file

    /// `$XDG_CONFIG_HOME`, which counts only as an absolute path, or `~/.config`.
    private static func folder() throws(Failure) -> String {
        if let home = ConnectionOptions.variable("XDG_CONFIG_HOME"), home.hasPrefix("/") { return home + "/broker" }
        guard let home = ConnectionOptions.variable("HOME") else {
            throw .usage("contexts are kept in ~/.config/broker, but $HOME is not set")
        }
        return home + "/.config/broker"
    }

    /// Reads the file; a missing file has no contexts.
    static func read() throws(Failure) -> ContextFile {
        guard ConnectionOptions.variable("XDG_CONFIG_HOME") != nil || ConnectionOptions.variable("HOME") != nil else {
            return ContextFile()
        }
        let path = try folder() + "/contexts.json"
        let bytes: [UInt8]?
        do throws(PrivateFile.Trouble) { bytes = try PrivateFile.read(path, atMost: maximumSize) } catch {
            throw .failed("\(path): \(error.message)")
        }
        guard let bytes else { return ContextFile() }
        do throws(JSONError) { return try ContextFile(parsing: bytes) } catch { throw .failed("\(path): \(error)") }
    }

    /// Changes the file atomically; it has mode 0600.
    static func update<Value>(_ change: (inout ContextFile) throws(Failure) -> Value) throws(Failure) -> Value {
        let folder = try folder()
        var path = ""
        for part in folder.split(separator: "/") {
            path += "/" + part
            // An existing directory stays as it is; any other error shows when the file is written.
            unsafe _ = mkdir(path, 0o700)
        }
        path += "/contexts.json"
        let turn: PrivateFile.Turn
        do throws(PrivateFile.Trouble) { turn = try PrivateFile.Turn(to: path) } catch {
            throw .failed("\(path): \(error.message)")
        }
        defer { turn.end() }
        var file = try read()
        let value = try change(&file)
        do throws(PrivateFile.Trouble) { try PrivateFile.replace(path, with: file.bytes) } catch {
            throw .failed("\(path): \(error.message)")
        }
        return value
    }

    init(parsing bytes: [UInt8]) throws(JSONError) {
        let object = try JSONObject.parse(bytes.span)
        current = try object.string("current")
        guard let list = object.value("contexts") else { return }
        var found: [BrokerContext] = []
        try list.forEachElement { (element) throws(JSONError) in
            let context = try element.object()
            found.append(
                BrokerContext(
                    name: try context.string("name") ?? "", url: try context.string("url") ?? "",
                    token: try context.string("token"), user: try context.string("user"),
                    password: try context.string("password"), caFile: try context.string("caFile"),
                    certFile: try context.string("certFile"), keyFile: try context.string("keyFile")))
        }
        contexts = found
    }

    var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        if let current { writer.member("current", current) }
        writer.name("contexts")
        writer.beginArray()
        for context in contexts {
            writer.beginObject()
            writer.member("name", context.name)
            writer.member("url", context.url)
            if let token = context.token { writer.member("token", token) }
            if let user = context.user { writer.member("user", user) }
            if let password = context.password { writer.member("password", password) }
            if let file = context.caFile { writer.member("caFile", file) }
            if let file = context.certFile { writer.member("certFile", file) }
            if let file = context.keyFile { writer.member("keyFile", file) }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes + [0x0A]
    }
}
