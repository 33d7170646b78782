internal import ArgumentParser
internal import Broker
internal import Load
internal import WSTransport

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
