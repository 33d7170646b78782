import Counting
import Glibc
import Synchronization
import WSTransport

/// A server of the library's public face with one reactor, whose turns the figures take one by one.
///
/// Its closures run on that reactor, so that everything a message costs is spent in a turn. Its clients are plain
/// sockets of the same thread. Runs on the reactor's thread.
final class LibraryHarness {
    private let reactor: Reactor
    private let path: String
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)

    private init(reactor: Reactor, path: String) {
        self.reactor = reactor
        self.path = path
    }

    /// What a server of the public face may look like, and the same without it.
    private static var routing: Routing {
        let options = UpgradeOptions(executor: .reactor)
        return [
            "/closure": ws.upgrade(options) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            },
            "/request": ws.upgrade(options) { socket, request in
                for try await message in socket.messages { try await socket.send(message) }
                keep(request)
            },
            "/listener": ws.upgrade(options) { socket in socket.onmessage = { try? await socket.send($0) } },
            "/machine": WS.upgrade { _, _ in
                Admission(options: WebSocketConnection.Options(WebSocketOptions())) { MachineEcho($0) }
            },
        ]
    }

    /// Starts a server, runs `body` on its reactor's thread and ends it.
    static func run(_ body: @escaping @Sendable (LibraryHarness) throws -> Void) throws {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let path = "\(folder)/library.sock"
        let outcome = Harness.Outcome()
        var routing = routing
        routing.get(
            "/turns",
            ExchangeFunction { exchange in
                exchange.reactor?.remote.run { reactor in
                    do {
                        try body(LibraryHarness(reactor: reactor, path: path))
                        outcome.end(nil)
                    } catch {
                        outcome.end(error)
                    }
                }
            })
        let server = HTTPServer(
            address: "unix:\(path)", port: 0, routing: routing,
            options: HTTPServer.Options(reactors: 1, idleTimeout: .seconds(3600)))
        try server.start()
        guard let address = SocketAddress(path: path) else { throw Harness.Failure(what: path) }
        let caller = try StubClient(to: address)
        try caller.send(Array("GET /turns HTTP/1.1\r\nHost: here\r\n\r\n".utf8))
        let failure = outcome.wait()
        caller.close()
        withExtendedLifetime(server) {}
        if let failure { throw failure }
    }

    /// The executor of its closures.
    var remote: Remote { reactor.remote }

    /// Passes `count` turns without waiting in any of them.
    func turns(_ count: Int) {
        for _ in 0..<count {
            reactor.runSoon {}
            reactor.turn()
        }
    }

    /// Opens a WebSocket at `target`, past its handshake.
    func open(_ target: String) throws -> StubClient {
        guard let address = SocketAddress(path: path) else { throw Harness.Failure(what: path) }
        let stub = try StubClient(to: address)
        try stub.send(Array(Harness.upgrade(target).utf8))
        turns(4)
        let answer = try stub.text()
        guard answer.hasPrefix("HTTP/1.1 101 ") else { throw Harness.Failure(what: "\(target): \(answer)") }
        return stub
    }

    /// Reads the bytes that have arrived for a client, and returns their number.
    func drain(_ stub: StubClient) -> Int { stub.drain(into: &buffer) }

    func close(_ stubs: [StubClient]) {
        for stub in stubs { stub.close() }
        turns(8)
    }
}

/// Sends back what comes, beneath the public face.
private final class MachineEcho: WebSocketSession {
    private let connection: WebSocketConnection

    init(_ connection: WebSocketConnection) { self.connection = connection }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        payload.withUnsafeBytes { connection.send(opcode, $0) }
    }

    func closed(_ event: CloseEvent) {}
}
