internal import ArgumentParser
internal import WSTransport

/// Which broker is meant, and how its answers are printed: options before or after the verb.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The broker's admin socket.", valueName: "path"))
    var socket = "./data/admin.sock"

    @Option(
        help: ArgumentHelp(
            "The broker's address instead: https://HOST:PORT, http://HOST:PORT or unix:/PATH.", valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "Accept an https:// broker's certificate from these authorities only, instead of the system's.",
            valueName: "file"))
    var caFile: String?

    @Option(help: ArgumentHelp("Not available in this version.", valueName: "token"))
    var token: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard token == nil else { throw ValidationError("--token: users and tokens are not available in this version") }
        let endpoint = try url.map { try Self.parse($0).endpoint }
        guard caFile != nil else { return }
        guard case .internet(_, _, isSecure: true) = endpoint else {
            throw ValidationError("--ca-file: it goes with --url https://HOST:PORT")
        }
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
        guard let url else { return (.unix(path: socket), "") }
        let parsed = try Self.parse(url)
        return (parsed.endpoint, parsed.pathPrefix)
    }

    /// What the broker's certificate is verified with; `nil`: the system's authorities.
    func trust() throws(Failure) -> TLSContext? {
        guard let caFile else { return nil }
        do throws(TLSFileError) {
            return try TLSContext.client(.file(caFile))
        } catch {
            throw .usage("--ca-file: \(error)")
        }
    }

    /// Where the broker is administered.
    func adminEndpoint() throws -> Endpoint {
        guard let url else { return .unix(path: socket) }
        let parsed = try Self.parse(url)
        guard case .unix = parsed.endpoint else {
            throw Failure.usage(
                "--url: administration over the network comes with users and tokens; this version has the admin socket")
        }
        return parsed.endpoint
    }
}
