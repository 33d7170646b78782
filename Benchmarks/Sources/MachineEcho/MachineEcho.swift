import WSTransport

/// An echo server by a session without the library's public API, for Benchmarks/libraries.py: `machineecho PORT`.
///
/// It has one thread for sockets.
@main struct MachineEcho {
    static func main() async throws {
        let routing: Routing = [
            "/echo": WS.upgrade { _, _ in
                Admission(options: WebSocketConnection.Options(WebSocketOptions())) { EchoSession($0) }
            }
        ]
        let server = HTTPServer(
            address: "127.0.0.1", port: CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 0,
            routing: routing, options: HTTPServer.Options(reactors: 1))
        try await server.run()
    }
}

/// Sends back what it receives, on the connection's thread.
private final class EchoSession: WebSocketSession {
    private let connection: WebSocketConnection

    init(_ connection: WebSocketConnection) { self.connection = connection }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        payload.withUnsafeBytes { connection.send(opcode, $0) }
    }

    func closed(_ event: CloseEvent) {}
}
