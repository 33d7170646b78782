import Foundation
import Load
import Synchronization
import WSTransport

/// A server with `/echo`, which echoes, `/silent`, which answers nothing, and `/deaf`, which reads nothing.
final class LoadServer: Sendable {
    /// The codes that connections were closed with.
    let closes: AsyncStream<UInt16>
    /// The number of messages received at `/silent`.
    var heard: Int { silent.value }
    private let silent = Counter()
    /// Handlers that read nothing wait for this.
    private let ends = AsyncStream.makeStream(of: Never.self)
    private let server: HTTPServer

    /// The name in a certificate.
    static let name = "load.test"

    init(tls: TLSContext? = nil) throws {
        var options = HTTPServer.Options()
        options.reactors = 1
        options.tls = tls
        let (closes, end) = AsyncStream.makeStream(of: UInt16.self)
        self.closes = closes
        let routing: Routing = [
            "/echo": ws.upgrade { socket in
                socket.onclose = { end.yield($0.code.rawValue) }
                socket.onmessage = { message in
                    if case .text(let text) = message.data { try? await socket.send(text) }
                }
            },
            "/deaf": ws.upgrade { [ends] _ in for await _ in ends.stream {} },
            "/silent": ws.upgrade { [silent] socket in socket.onmessage = { _ in _ = silent.next() } },
        ]
        server = HTTPServer(port: 0, routing: routing, options: options)
        try server.start()
    }

    deinit { ends.continuation.finish() }

    /// A plan of one publisher, whose messages are answered.
    func plan(_ target: String = "/echo", messages: Int = 10) throws -> LoadPlan {
        guard let address = SocketAddress(host: "127.0.0.1", port: server.port) else { throw LoadError("no address") }
        var plan = LoadPlan(server: address, host: "localhost", dialect: EchoDialect(target: target))
        plan.subscribers = 0
        plan.messages = messages
        plan.patience = 60_000_000_000
        return plan
    }

    /// Measures a plan on a separate thread, because a run makes its caller wait.
    func measure(_ plan: LoadPlan) async -> Result<LoadReport, LoadError> {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                do throws(LoadError) {
                    continuation.resume(returning: .success(try LoadRun(plan).measure()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    }

    /// Why a plan opened no connection; `nil` if it opened one.
    func cause(_ plan: LoadPlan) async -> ConnectError? {
        guard case .failure(let error) = await measure(plan) else { return nil }
        return error.opening?.cause
    }

    /// A self-signed certificate for ``name``; made once, by the openssl command.
    static let identity: Result<TLSIdentity, any Error> = Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "load-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let identity = TLSIdentity(
            certificate: folder.appending(path: "own.pem").path(percentEncoded: false),
            key: folder.appending(path: "own.key").path(percentEncoded: false))
        atexit {
            guard let identity = try? LoadServer.identity.get() else { return }
            try? FileManager.default.removeItem(at: URL(filePath: identity.key).deletingLastPathComponent())
        }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:\(name)", "-keyout", identity.key, "-out",
            identity.certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return identity
    }
}

/// Counts calls.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
}
