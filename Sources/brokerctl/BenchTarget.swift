internal import ArgumentParser
internal import Broker
internal import Load
internal import WSTransport

/// The server that a load is put on: the one the admin socket is of, or that of `--url`.
struct BenchTarget {
    let server: SocketAddress
    let host: String
    let pathPrefix: String
    /// Its process, where it is known to be on this machine.
    let process: Int32?

    init(_ connection: ConnectionOptions, process: Int32?) async throws {
        guard connection.url == nil else {
            let (endpoint, prefix) = try connection.messagesAddress()
            try self.init(endpoint, prefix, process)
            return
        }
        let (listen, own) = try await AdminReply.ask(connection, "status").read {
            (status) throws(JSONError) -> ([String], Int32?) in
            (try status.strings("listen") ?? [], try status.integer("pid", as: Int32.self))
        }
        guard let plain = listen.first(where: { $0.hasPrefix("http://") }) else {
            throw Failure.usage("bench: the broker has no listener without TLS; name one with --url")
        }
        var options = connection
        options.url = plain
        let (endpoint, prefix) = try options.messagesAddress()
        try self.init(endpoint, prefix, process ?? own)
    }

    private init(_ endpoint: Endpoint, _ prefix: String, _ process: Int32?) throws {
        self.process = process
        pathPrefix = prefix
        host = "\(endpoint)"
        var address: SocketAddress?
        switch endpoint {
        case .unix(let path): address = SocketAddress(path: path)
        case .internet(_, _, isSecure: true):
            throw Failure.usage("bench: TLS is not measured by this verb; name an http:// listener with --url")
        case .internet(let name, let port, _):
            let host = name == "localhost" || name == "0.0.0.0" ? "127.0.0.1" : name == "::" ? "::1" : name
            address = SocketAddress(host: host, port: port)
        }
        guard let address else { throw Failure.usage("bench: expected a numeric address, found \(endpoint)") }
        server = address
    }

    /// A plan for this server.
    func plan(_ dialect: any LoadDialect) -> LoadPlan {
        var plan = LoadPlan(server: server, host: host, dialect: dialect)
        plan.serverProcess = process
        return plan
    }
}
