import Foundation
import Synchronization
import Testing
import WSTransport

/// A server of the public module on its own port, with the notes of its handlers.
final class EchoServer: Sendable {
    let server: HTTPServer
    let log = Notes()

    /// The notes of handlers and listeners, in order.
    final class Notes: Sendable {
        private let state = Mutex((lines: [String](), waiters: [(Int, CheckedContinuation<Void, Never>)]()))

        var all: [String] { state.withLock { $0.lines } }

        func add(_ line: String) {
            let ready = state.withLock { state in
                state.lines.append(line)
                let count = state.lines.count
                defer { state.waiters.removeAll { $0.0 <= count } }
                return state.waiters.filter { $0.0 <= count }.map(\.1)
            }
            for waiter in ready { waiter.resume() }
        }

        /// Waits until there are this many lines.
        func wait(for count: Int) async {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.lines.count < count { state.waiters.append((count, continuation)) }
                    return state.lines.count >= count
                }
                if isThere { continuation.resume() }
            }
        }
    }

    /// A server with `/ws`, which echoes, and with the routes of `more`.
    init(
        options: UpgradeOptions = UpgradeOptions.patient, server values: HTTPServer.Options = HTTPServer.Options(),
        _ more: (inout Routing, Notes) -> Void = { _, _ in }
    ) throws {
        var routing: Routing = [
            "/ws": ws.upgrade(options) { socket in
                socket.onmessage = { message in
                    switch message.data {
                    case .text(let text): try? await socket.send(text)
                    case .binary(let bytes): try? await socket.send(bytes)
                    case nil: break
                    }
                }
            }
        ]
        more(&routing, log)
        var values = values
        values.reactors = 2
        // A test's task may wait for long between its connection and its request, where many tests run.
        values.headTimeout = .seconds(120)
        server = HTTPServer(port: 0, routing: routing, options: values)
        try server.start()
    }

    var url: String { "ws://127.0.0.1:\(server.port)" }

    /// Waits until the task is cancelled.
    static func waitForCancellation() async {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        for await _ in stream {}
        continuation.finish()
    }

    /// Sends a raw request and returns the first line of the answer and the rest until the end.
    static func ask(_ port: UInt16, _ request: String) async throws -> String {
        let stream = try await RawClient.connect(port: port)
        try await stream.write(Array(request.utf8))
        var answer: [UInt8] = []
        while let bytes = try await stream.read() { answer += bytes }
        await stream.close()
        return String(decoding: answer, as: UTF8.self)
    }

    func ask(_ path: String, _ fields: String = "", method: String = "GET", body: String = "") async throws -> String {
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return try await Self.ask(
            server.port, "\(method) \(path) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\(length)\(fields)\r\n\(body)")
    }

    static let handshake =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
}

/// A TCP connection for tests, with a separate thread for each waiting call.
enum RawClient {
    /// Connects to a port of this machine.
    static func connect(port: UInt16) async throws -> any ByteStream {
        guard let address = SocketAddress(host: "127.0.0.1", port: port) else { throw WS.Error.endOfStream }
        return try await WS.stream(to: address)
    }
}

extension UpgradeOptions {
    /// Whether the closures of servers run on Swift's threads, as by default, unless a test says otherwise.
    private static let runsOnSwiftsThreads = ProcessInfo.processInfo.environment["WSTRANSPORT_EXECUTOR"] == "global"

    /// For a test's server: it sends no PING between the messages when a test takes long beside many
    /// others.
    static var patient: UpgradeOptions {
        var options = UpgradeOptions()
        options.keepAlive = nil
        options.maximumUnsentAge = nil
        // A client's task may come late to what its server's CLOSE waits for.
        options.closeTimeout = .seconds(600)
        // Many tests block Swift's threads, because they read from their own sockets. They must run one by one otherwise.
        options.executor = runsOnSwiftsThreads ? .global : .reactor
        return options
    }
}

extension ConnectOptions {
    /// For a test's client: the task of a handler may wait for long where many tests run, and no PING shows that.
    static var patient: ConnectOptions {
        var options = ConnectOptions()
        options.handshakeTimeout = .seconds(300)
        options.closeTimeout = .seconds(600)
        options.keepAlive = nil
        return options
    }
}
