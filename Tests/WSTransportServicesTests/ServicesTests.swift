import CoreMetrics
import Logging
import MetricsTestKit
import ServiceLifecycle
import ServiceLifecycleTestKit
import Synchronization
import Testing
import WSTransport
import WSTransportServices

@Suite("WSTransportServices: a service, a log and figures", .timeLimit(.minutes(10)))
struct ServicesTests {
    /// The written lines, in order, and the callers that wait for them.
    private final class Lines: Sendable {
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

    /// Writes each line with the metadata of some names.
    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let names = ["path", "status", "code", "cause", "error", "count"]
            let words = names.compactMap { name in event.metadata?[name].map { "\(name)=\($0)" } }
            lines.add((["\(event.level)", "\(event.message)"] + words).joined(separator: " "))
        }
    }

    private static func logger(_ lines: Lines) -> Logger { Logger(label: "test") { _ in Handler(lines: lines) } }

    /// Beside many tests a task may come late by minutes, and a stream that it opened answers no PING.
    private static let patient = UpgradeOptions(keepAlive: nil, closeTimeout: .seconds(600))
    private static let patientClient = ConnectOptions(
        handshakeTimeout: .seconds(300), closeTimeout: .seconds(600), keepAlive: nil)

    private static func server(_ observer: any ServerObserver) -> HTTPServer {
        struct Failed: Error, CustomStringConvertible { let description = "no luck" }
        var flooding = patient
        flooding.maximumUnsent = 1 << 20
        let routing: Routing = [
            "/ws": ws.upgrade(patient) { socket in socket.onmessage = { message in try? await socket.send(message) } },
            "/throws": ws.upgrade(patient) { (_: WebSocket) async throws in throw Failed() },
            "/flood": ws.upgrade(flooding) { (socket: WebSocket) -> Void in
                while (try? socket.send([UInt8](repeating: 7, count: 1 << 20))) != nil {}
            },
        ]
        return HTTPServer(port: 0, routing: routing, options: HTTPServer.Options(reactors: 1, observer: observer))
    }

    @Test func logsAndCountsEvents() async throws {
        let (lines, metrics) = (Lines(), TestMetrics())
        let server = Self.server(
            ServerObservers(MetricsObserver(factory: metrics), LoggingObserver(Self.logger(lines))))
        try server.start()
        let url = "ws://127.0.0.1:\(server.port)"
        try await ws.withSocket(url + "/ws", options: Self.patientClient) { _ in }
        await lines.wait(for: 2)
        try await ws.open(url + "/ws", options: Self.patientClient).terminate()
        await lines.wait(for: 4)
        await #expect(throws: WS.HandshakeError.self) {
            try await ws.open(url + "/nothing", options: Self.patientClient)
        }
        await lines.wait(for: 5)
        _ = try await ws.open(url + "/throws", options: Self.patientClient).closed()
        await lines.wait(for: 8)
        await server.stop()
        #expect(
            lines.all.prefix(5) == [
                "debug WebSocket opened path=/ws", "debug WebSocket ended path=/ws code=1000 cause=closedByPeer",
                "debug WebSocket opened path=/ws", "info WebSocket ended path=/ws code=1006 cause=lost",
                "info request refused path=/nothing status=404",
            ])
        #expect(
            lines.all.dropFirst(5).sorted() == [
                "debug WebSocket ended path=/throws code=1011 cause=closed", "debug WebSocket opened path=/throws",
                "error handler failed path=/throws error=no luck",
            ])
        #expect(metrics.counterTotal(label: "websocket_opened_total") == 3)
        for (cause, count) in [("closedByPeer", 1), ("lost", 1), ("closed", 1), ("silent", 0)] {
            let total = metrics.counterTotal(label: "websocket_ended_total", dimensions: [("cause", cause)])
            #expect(total == Int64(count), "\(cause)")
        }
        #expect(metrics.counterTotal(label: "http_refused_total", dimensions: [("status", "404")]) == 1)
        #expect(metrics.counterTotal(label: "http_failed_total") == 1)
        #expect(try metrics.expectTimer("websocket_duration_seconds").values.count == 3)
        #expect(try metrics.expectMeter("websocket_open").values.last == 0)
    }

    @Test func logsAndCountsViolationsAndEvictions() async throws {
        let (lines, metrics) = (Lines(), TestMetrics())
        let server = Self.server(
            ServerObservers(MetricsObserver(factory: metrics), LoggingObserver(Self.logger(lines))))
        try server.start()
        let url = "ws://127.0.0.1:\(server.port)"
        let stream = try await ws.connect(url + "/ws", options: Self.patientClient)
        let message = ws.Message("not masked")
        message.masked = false
        try await message.sendTo(stream)
        while try await stream.read() != nil {}
        await stream.close()
        await lines.wait(for: 3)
        let slow = try await ws.connect(url + "/flood", options: Self.patientClient)
        await lines.wait(for: 6)
        await slow.close()
        await server.stop()
        // A client that takes nothing may fall behind before it is evicted.
        #expect(
            lines.all.filter { !$0.contains("fell behind") } == [
                "debug WebSocket opened path=/ws", "info protocol violated path=/ws code=1002",
                "info WebSocket ended path=/ws code=1002 cause=violation", "debug WebSocket opened path=/flood",
                "info WebSocket evicted path=/flood", "info WebSocket ended path=/flood code=1013 cause=slow",
            ])
        #expect(metrics.counterTotal(label: "websocket_evicted_total") == 1)
        #expect(metrics.counterTotal(label: "websocket_violations_total", dimensions: [("code", "1002")]) == 1)
    }

    /// Of a flood of lines that clients cause, some are written, and the rest are counted.
    @Test func limitsTheRateOfLogLines() {
        let lines = Lines()
        let observer = LoggingObserver(Self.logger(lines), linesPerSecond: 3)
        for _ in 0..<100_000 { observer.tlsFailed("no TLS", remoteAddress: "192.0.2.1:1") }
        let seconds = lines.all.count { $0.hasPrefix("info lines were left out") }
        #expect(lines.all.count { $0 == "info TLS failed" } <= 3 * (seconds + 1))
        #expect(lines.all.prefix(3) == ["info TLS failed", "info TLS failed", "info TLS failed"])
    }

    /// Both ways to end a service: clients are closed with 1001, and closures have ended when it returns.
    @Test(arguments: [true, false])
    func stopsGracefully(isGraceful: Bool) async throws {
        let lines = Lines()
        let server = Self.server(MetricsObserver(factory: TestMetrics()))
        let service = HTTPService(server, patience: .seconds(60), logger: Self.logger(lines))
        try await testGracefulShutdown { trigger in
            let serving = Task { try await service.run() }
            await lines.wait(for: 1)
            let socket = try await ws.open("ws://127.0.0.1:\(server.port)/ws", options: Self.patientClient)
            if isGraceful { trigger.triggerGracefulShutdown() } else { serving.cancel() }
            #expect(try await socket.closed().code == .goingAway)
            try await serving.value
        }
        #expect(lines.all == ["info serving", "info stopping", "info stopped"])
        #expect(server.port == 0)
    }

    @Test func reportsWhyItCannotStart() async throws {
        let server = HTTPServer(address: "nowhere", port: 0, routing: [:])
        let error = await #expect(throws: HTTPServer.StartError.self) { try await HTTPService(server).run() }
        #expect(error?.description == "nowhere is no numeric address and no unix:/path")
    }
}
