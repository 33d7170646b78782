internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// Options that select the broker and the output format; they may come before or after the verb.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The broker's admin socket. (default: $BROKER_SOCKET, else ./data/admin.sock)", valueName: "path"))
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "The broker's address instead of its socket: https://HOST:PORT, http://HOST:PORT or unix:/PATH. (default: $BROKER_URL)",
            valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "A broker that `login` has saved. (default: $BROKER_CONTEXT; without --socket, --url and their variables, the one of `context use`)",
            valueName: "name"))
    var context: String?

    @Option(
        help: ArgumentHelp(
            "Trust these authorities for the certificate of an https:// broker instead of the system's.",
            valueName: "file"))
    var caFile: String?

    @Option(help: ArgumentHelp("The PEM certificate and chain to present to an https:// broker.", valueName: "file"))
    var certFile: String?

    @Option(help: ArgumentHelp("The private key of --cert-file, not encrypted.", valueName: "file"))
    var keyFile: String?

    @Flag(help: "Accept any certificate of an https:// broker: anyone on the path can read and change the data.")
    var insecure = false

    @Option(
        help: ArgumentHelp(
            "The token to present to the broker of --url: one that `token mint` has made, or a JWT. (default: $BROKER_TOKEN)",
            valueName: "token"))
    var token: String?

    @Option(
        help: ArgumentHelp(
            "A file with that token, which only you may read; other users of the machine can see --token.",
            valueName: "file"))
    var tokenFile: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let url { _ = try Self.parse(url) }
        if let token, !Self.isToken(token) { throw ValidationError("--token: expected a token without spaces") }
        guard token == nil || tokenFile == nil else {
            throw ValidationError("--token and --token-file cannot be combined")
        }
        guard (certFile == nil) == (keyFile == nil) else {
            throw ValidationError("--cert-file and --key-file go together")
        }
        guard caFile == nil || !insecure else {
            throw ValidationError("--insecure and --ca-file cannot be combined")
        }
    }

    static func isToken(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { 0x21...0x7E ~= $0 } }

    // MARK: The broker

    /// The selected broker.
    ///
    /// Options take precedence over the environment, and the environment over the context in use.
    func target() throws(Failure) -> Target {
        if let url { return try target(at: url, "--url") }
        if let socket { return try target(bySocket: socket) }
        if let name = context ?? Self.variable("BROKER_CONTEXT") {
            guard let found = try ContextFile.read()[name] else {
                throw .usage("there is no context \(Output.printable(name)); brokerctl contexts lists them")
            }
            return try target(of: found)
        }
        if let url = Self.variable("BROKER_URL") { return try target(at: url, "$BROKER_URL") }
        if let socket = Self.variable("BROKER_SOCKET") { return try target(bySocket: socket) }
        if let used = try ContextFile.read().used { return try target(of: used) }
        return try target(bySocket: "./data/admin.sock")
    }

    /// The broker at an address, with the credentials of the command or the environment.
    ///
    /// - Parameter source: the option or variable with the address, for errors.
    func target(at url: String, _ source: String) throws(Failure) -> Target {
        let address = try Self.address(url, source)
        let token = try givenToken() ?? Self.variable("BROKER_TOKEN")
        if let token, !Self.isToken(token) { throw .usage("$BROKER_TOKEN: expected a token without spaces") }
        return try checked(
            Target(
                endpoint: address.endpoint, pathPrefix: address.pathPrefix, authorization: token.map { "Bearer \($0)" },
                caFile: caFile, certFile: certFile, keyFile: keyFile))
    }

    private func target(bySocket path: String) throws(Failure) -> Target {
        guard token == nil, tokenFile == nil else {
            throw .usage("--token requires --url or --context; the admin socket needs no token")
        }
        return try checked(Target(endpoint: .unix(path: path), isSocket: true))
    }

    /// The broker of a context; credentials in the environment are not sent to it, because they are for other brokers.
    private func target(of context: BrokerContext) throws(Failure) -> Target {
        let address = try Self.address(context.url, "the context \(context.name)")
        let given = try givenToken().map { "Bearer \($0)" }
        let isOther = caFile != nil || insecure
        return try checked(
            Target(
                endpoint: address.endpoint, pathPrefix: address.pathPrefix,
                authorization: given ?? context.authorization, caFile: isOther ? caFile : context.caFile,
                certFile: certFile ?? context.certFile, keyFile: keyFile ?? context.keyFile))
    }

    private func checked(_ target: Target) throws(Failure) -> Target {
        guard let option = securityOption else { return target }
        guard case .internet(_, _, isSecure: true) = target.endpoint else {
            throw .usage("\(option) requires --url https://HOST:PORT")
        }
        return target
    }

    /// The token in the options.
    func givenToken() throws(Failure) -> String? {
        guard let tokenFile else { return token }
        let bytes: [UInt8]?
        do throws(PrivateFile.Trouble) {
            bytes = try PrivateFile.read(tokenFile, atMost: Self.maximumToken)
        } catch {
            throw .usage("--token-file: \(tokenFile): \(error.message)")
        }
        guard let bytes else { throw .usage("--token-file: \(tokenFile): there is no such file") }
        let text = String(decoding: bytes.last == 0x0A ? bytes.dropLast() : bytes[...], as: UTF8.self)
        guard Self.isToken(text) else { throw .usage("--token-file: \(tokenFile): expected one line with a token") }
        return text
    }

    /// In bytes.
    private static let maximumToken = 16 << 10

    /// The value of an environment variable; `nil` if it is not set or empty.
    static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }

    private static func parse(_ text: String) throws -> ServerURL {
        do throws(ServerURL.ParseError) { return try ServerURL(parsing: text) } catch {
            throw ValidationError("--url: \(error)")
        }
    }

    private static func address(_ text: String, _ source: String) throws(Failure) -> ServerURL {
        do throws(ServerURL.ParseError) { return try ServerURL(parsing: text) } catch {
            throw .usage("\(source): \(error)")
        }
    }

    /// Whether the broker is selected by its admin socket.
    var isBySocket: Bool { socketFile != nil }

    /// The admin socket's path; `nil` if the broker is selected by an address.
    var socketFile: String? {
        guard let target = try? target(), target.isSocket, case .unix(let path) = target.endpoint else { return nil }
        return path
    }

    /// The address for publishing and subscribing: the endpoint, and the path before `/ws`.
    func messagesAddress() throws(Failure) -> (Endpoint, String) {
        let target = try target()
        return (target.endpoint, target.pathPrefix)
    }

    // MARK: TLS

    /// The first given option that requires TLS.
    private var securityOption: String? {
        if caFile != nil { return "--ca-file" }
        if certFile != nil { return "--cert-file" }
        return insecure ? "--insecure" : nil
    }

    /// The authorities and the client certificate for TLS; `nil` for the system's authorities and no certificate.
    func security() throws(Failure) -> TLSContext? { try security(of: try target()) }

    /// The TLS context for a given broker.
    func security(of target: Target) throws(Failure) -> TLSContext? {
        guard insecure || target.caFile != nil || target.certFile != nil else { return nil }
        let trust: TLSTrust = if insecure { .anyone } else if let file = target.caFile { .file(file) } else { .system }
        var identity: TLSIdentity?
        if let certFile = target.certFile, let keyFile = target.keyFile {
            identity = TLSIdentity(certificate: certFile, key: keyFile)
        }
        do throws(TLSFileError) {
            return try TLSContext.client(trust, identity: identity)
        } catch {
            switch error.role {
            case .certificate: throw .usage("--cert-file: \(error)")
            case .key: throw .usage("--key-file: \(error)")
            case .clientCA, .clientCRL, .authorities, .applicationProtocols: throw .usage("--ca-file: \(error)")
            }
        }
    }
}

/// A broker, and the credentials for it.
struct Target {
    var endpoint: Endpoint
    /// The prefix of every path.
    var pathPrefix = ""
    /// Whether it is the admin socket, which needs no credentials.
    var isSocket = false
    /// The value of `Authorization`; `nil` if none is sent.
    var authorization: String?
    var caFile: String?
    var certFile: String?
    var keyFile: String?

    /// The URL of a WebSocket at the broker.
    func url(of path: String) -> String {
        guard case .internet(_, _, let isSecure) = endpoint else { return "ws://localhost\(pathPrefix)\(path)" }
        return "\(isSecure ? "wss" : "ws")://\(endpoint)\(pathPrefix)\(path)"
    }

    /// The options for opening a WebSocket at the broker.
    ///
    /// - Parameter security: the result of ``ConnectionOptions/security(of:)``.
    func options(_ subprotocol: String, _ security: TLSContext?) -> ConnectOptions {
        var options = ConnectOptions(protocols: [subprotocol], tls: security)
        options.headers.append("User-Agent", "brokerctl/\(BrokerVersion.current)")
        if let authorization { options.headers.append("Authorization", authorization) }
        if case .unix(let path) = endpoint { options.socketPath = path }
        return options
    }
}
