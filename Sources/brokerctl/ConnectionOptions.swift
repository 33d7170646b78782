internal import ArgumentParser
internal import CLinux
internal import Glibc
internal import WSTransport

/// Which broker is meant, and how its answers are printed: options before or after the verb.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The broker's admin socket. (default: $BROKER_SOCKET, else ./data/admin.sock)", valueName: "path"))
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "The broker's address instead: https://HOST:PORT, http://HOST:PORT or unix:/PATH. (default: $BROKER_URL)",
            valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "Accept an https:// broker's certificate from these authorities only, instead of the system's.",
            valueName: "file"))
    var caFile: String?

    @Option(help: ArgumentHelp("The PEM certificate and chain to present to an https:// broker.", valueName: "file"))
    var certFile: String?

    @Option(help: ArgumentHelp("The private key of --cert-file, not encrypted.", valueName: "file"))
    var keyFile: String?

    @Flag(help: "Accept any certificate of an https:// broker: others on the way can read and change the data.")
    var insecure = false

    @Option(
        help: ArgumentHelp(
            "The token to present to the broker of --url: one of `token mint`, or a JWT. (default: $BROKER_TOKEN)",
            valueName: "token"))
    var token: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard token == nil || !isBySocket else {
            throw ValidationError("--token: it goes with --url; the admin socket needs none")
        }
        if let token {
            guard !token.isEmpty, token.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
                throw ValidationError("--token: expected a token without spaces")
            }
        }
        let endpoint = try address.map { try Self.parse($0).endpoint }
        guard (certFile == nil) == (keyFile == nil) else {
            throw ValidationError("--cert-file and --key-file go together")
        }
        guard caFile == nil || !insecure else {
            throw ValidationError("--insecure: with --ca-file the certificate is verified")
        }
        guard let option = securityOption else { return }
        guard case .internet(_, _, isSecure: true) = endpoint else {
            throw ValidationError("\(option): it goes with --url https://HOST:PORT")
        }
    }

    /// The broker's address where it is meant by one: an option goes before the environment.
    private var address: String? { url ?? (socket == nil ? Self.variable("BROKER_URL") : nil) }

    /// Whether the broker is meant by its socket.
    var isBySocket: Bool { address == nil }

    /// The admin socket's path; `nil`: the broker is meant by an address.
    var socketFile: String? { isBySocket ? socketPath : nil }

    private var socketPath: String { socket ?? Self.variable("BROKER_SOCKET") ?? "./data/admin.sock" }

    /// A variable of the environment that is not empty.
    private static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }

    private static func parse(_ text: String) throws -> ServerURL {
        do throws(ServerURL.ParseError) {
            return try ServerURL(parsing: text)
        } catch {
            throw ValidationError("--url: \(error)")
        }
    }

    /// Where messages are published and subscribed to: the endpoint, and the path before `/ws`.
    func messagesAddress() throws -> (Endpoint, String) {
        guard let address else { return (.unix(path: socketPath), "") }
        let parsed = try Self.parse(address)
        return (parsed.endpoint, parsed.pathPrefix)
    }

    /// The token to present; `nil`: none, as for the admin socket.
    var credential: String? { isBySocket ? nil : token ?? Self.variable("BROKER_TOKEN") }

    /// The first option given that only TLS has a use for.
    private var securityOption: String? {
        if caFile != nil { return "--ca-file" }
        if certFile != nil { return "--cert-file" }
        return insecure ? "--insecure" : nil
    }

    /// What the broker's certificate is verified with, and what it is shown; `nil`: the system's authorities, and nothing.
    func security() throws(Failure) -> TLSContext? {
        guard securityOption != nil else { return nil }
        let trust: TLSTrust = if insecure { .anyone } else if let caFile { .file(caFile) } else { .system }
        var identity: TLSIdentity?
        if let certFile, let keyFile { identity = TLSIdentity(certificate: certFile, key: keyFile) }
        do throws(TLSFileError) {
            return try TLSContext.client(trust, identity: identity)
        } catch {
            switch error.role {
            case .certificate: throw .usage("--cert-file: \(error)")
            case .key: throw .usage("--key-file: \(error)")
            case .clientCA, .authorities: throw .usage("--ca-file: \(error)")
            }
        }
    }

    /// Where the broker is administered.
    func adminEndpoint() throws -> Endpoint {
        guard let address else { return .unix(path: socketPath) }
        let parsed = try Self.parse(address)
        guard case .unix = parsed.endpoint else {
            throw Failure.usage(
                "--url: administration over the network comes with users and tokens; this version has the admin socket")
        }
        return parsed.endpoint
    }
}
