import WSTransport

/// An echo server by this library: `wstransport-echo PORT closure|listener global|reactor`, with one thread for sockets.
@main struct WSTransportEcho {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let options = UpgradeOptions(executor: arguments[3] == "reactor" ? .reactor : .global)
        let routing: Routing = [
            "/echo": arguments[2] == "listener"
                ? ws.upgrade(options) { socket in socket.onmessage = { try? await socket.send($0) } }
                : ws.upgrade(options) { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                }
        ]
        let server = HTTPServer(
            address: "127.0.0.1", port: UInt16(arguments[1]) ?? 0, routing: routing,
            options: HTTPServer.Options(reactors: 1))
        try await server.run()
    }
}
