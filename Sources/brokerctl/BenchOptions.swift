internal import ArgumentParser
internal import Broker
internal import Load
internal import WSTransport

/// Options common to all loads.
struct BenchOptions: ParsableArguments {
    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(
        help: ArgumentHelp(
            "The server's process on this machine, for its CPU time and memory; by default, the broker of the admin socket.",
            valueName: "pid"))
    var process: Int32?

    /// Runs `body` with a plan, and prints the report.
    func run(
        _ dialect: (_ pathPrefix: String) -> any LoadDialect, _ body: (inout LoadPlan) throws(LoadError) -> LoadReport
    ) async throws {
        let target = try await BenchTarget(connection, process: process)
        var plan = target.plan(dialect(target.pathPrefix))
        plan.closingPatience = 2_000_000_000
        plan.isInterrupted = Interruption.watch()
        if !connection.json { plan.onProgress = ProgressLine.show }
        let report: LoadReport
        do throws(LoadError) {
            defer { if !connection.json { ProgressLine.clear() } }
            report = try body(&plan)
        } catch {
            throw target.failure(error)
        }
        report.print(asJSON: connection.json)
        guard report.isComplete else {
            let missing = report.expected - report.delivered + report.unacknowledged
            let stall = report.ending == .stalled ? "nothing has arrived for \(plan.patience / 1_000_000_000) s: " : ""
            throw Failure.failed("bench: \(stall)\(missing) messages are missing, \(report.wrong) are wrong")
        }
    }
}

/// The number and kind of messages.
struct BenchMessages: ParsableArguments {
    @Option(help: ArgumentHelp("The total number of messages to publish.", valueName: "n"))
    var messages = 1000

    @Option(help: ArgumentHelp("The size of a message, at least 32 bytes.", valueName: "bytes"))
    var size = 64

    @Option(help: ArgumentHelp("How many messages to publish in one burst.", valueName: "n"))
    var burst = 1

    @Option(
        help: ArgumentHelp(
            "Messages per second, each timed from when it was due; by default, as fast as they arrive.",
            valueName: "n"))
    var rate: Double?

    @Option(help: ArgumentHelp("The topic to publish to.", valueName: "topic"))
    var topic = "bench"

    func validate() throws {
        guard (1...100_000_000).contains(messages) else { throw ValidationError("--messages: expected 1 to 100000000") }
        guard (32...16_777_216).contains(size) else { throw ValidationError("--size: expected 32 to 16777216 bytes") }
        guard (1...10_000).contains(burst) else { throw ValidationError("--burst: expected 1 to 10000") }
        guard rate.map({ $0 > 0 && $0 <= 10_000_000 }) ?? true else {
            throw ValidationError("--rate: expected more than 0, at most 10000000")
        }
    }

    /// Checks that there is at least one message for each publisher, and that a burst of all messages fits in memory.
    func check(publishers: Int) throws {
        guard burst * size * publishers <= 1 << 30 else {
            throw ValidationError(
                "--burst, --size and --publishers: a burst is \(burst * size * publishers) bytes, more than 1 GiB")
        }
        guard messages >= publishers else {
            throw ValidationError("--messages: expected at least one for each publisher")
        }
    }

    func apply(to plan: inout LoadPlan) {
        plan.messages = messages
        plan.payloadSize = size
        plan.burst = burst
        plan.pace = rate.map { .open(messagesPerSecond: $0) } ?? .closed
    }

    static func check(_ count: Int, _ option: String) throws {
        guard (1...60_000).contains(count) else { throw ValidationError("\(option): expected 1 to 60000") }
    }
}

/// The server under load: the broker of the admin socket, or that of `--url`.
struct BenchTarget {
    let endpoint: Endpoint
    let pathPrefix: String
    /// Its process, if that is known to be on this machine.
    let process: Int32?
    private let server: SocketAddress
    private let security: LoadPlan.Security?

    init(_ connection: ConnectionOptions, process: Int32?) async throws {
        guard connection.isBySocket else {
            let (endpoint, prefix) = try connection.messagesAddress()
            try await self.init(endpoint, prefix, process, connection)
            return
        }
        let status = try await connection.ask(StatusRequest()).answer
        guard let plain = status.listen.first(where: { $0.hasPrefix("http://") }) else {
            throw Failure.usage(
                "bench: the broker has no listener without TLS; give --url https://HOST:PORT with a name from its certificate"
            )
        }
        var options = connection
        options.url = plain
        let (endpoint, prefix) = try options.messagesAddress()
        try await self.init(endpoint, prefix, process ?? status.processIdentifier, connection)
    }

    private init(
        _ endpoint: Endpoint, _ prefix: String, _ process: Int32?, _ connection: ConnectionOptions
    ) async throws {
        self.endpoint = endpoint
        self.process = process
        pathPrefix = prefix
        security = try Self.security(of: endpoint, connection)
        server = try await Self.address(of: endpoint)
    }

    private static func security(
        of endpoint: Endpoint, _ connection: ConnectionOptions
    ) throws -> LoadPlan.Security? {
        guard case .internet(let name, _, isSecure: true) = endpoint else { return nil }
        if let own = try connection.security() { return LoadPlan.Security(context: own, name: name) }
        do throws(TLSFileError) {
            return LoadPlan.Security(context: try TLSContext.client(.system), name: name)
        } catch {
            throw Failure.failed("the system's authorities: \(error)")
        }
    }

    /// The address for all connections: if a name has several, the first that answers.
    private static func address(of endpoint: Endpoint) async throws -> SocketAddress {
        var endpoint = endpoint
        // A listener on all addresses is reached over loopback.
        if case .internet(let host, let port, let isSecure) = endpoint, host == "0.0.0.0" || host == "::" {
            endpoint = .internet(host: host == "::" ? "::1" : "127.0.0.1", port: port, isSecure: isSecure)
        }
        let addresses: [SocketAddress]
        do { addresses = try endpoint.resolve() } catch {
            throw Failure.connecting(endpoint, WS.HandshakeError(error))
        }
        if addresses.count == 1 { return addresses[0] }
        var reason = "it has no address"
        for address in addresses {
            do throws(WS.HandshakeError) {
                await (try WS.stream(to: address)).close()
                return address
            } catch {
                reason = "\(error)"
            }
        }
        throw Failure.unreachable(endpoint, reason)
    }

    /// A plan for this server.
    func plan(_ dialect: any LoadDialect) -> LoadPlan {
        var plan = LoadPlan(server: server, host: endpoint.hostField, dialect: dialect)
        plan.security = security
        plan.serverProcess = process
        return plan
    }

    /// The error of a run without a result.
    func failure(_ error: LoadError) -> Failure {
        guard let opening = error.opening else { return .failed("bench: \(error)") }
        let failure = Failure.connecting(endpoint, WS.HandshakeError(opening.cause))
        guard opening.done > 0 else { return failure }
        return .failed("bench: \(failure.message) (\(opening.done) of \(opening.total) connections were open)")
    }
}
