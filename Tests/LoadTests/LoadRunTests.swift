import Load
import Synchronization
import Testing
import WSTransport

@Suite("A load's run, from its first connection to its last", .serialized, .timeLimit(.minutes(10)))
struct LoadRunTests {
    private static func security(name: String = LoadServer.name) throws -> LoadPlan.Security {
        LoadPlan.Security(context: try .client(.file(LoadServer.identity.get().certificate)), name: name)
    }

    private static func secureHarness() throws -> LoadServer { try LoadServer(tls: .server(LoadServer.identity.get())) }

    // MARK: With TLS

    @Test func checksEachMessageOverTLS() async throws {
        let harness = try Self.secureHarness()
        var plan = try harness.plan(messages: 300)
        plan.publishers = 30
        plan.burst = 5
        // More than fits into a TLS record.
        plan.payloadSize = 20_000
        plan.security = try Self.security()
        let report = try await harness.measure(plan).get()
        #expect(report.isComplete && report.acknowledged == 300 && report.tlsVersion == "TLSv1.3")
        #expect(report.opened == 30 && report.openingLatency.count == 30 && report.openingNanoseconds > 0)
    }

    @Test func reportsWhyAServerIsNotTrusted() async throws {
        let harness = try Self.secureHarness()
        var plan = try harness.plan()
        plan.security = try Self.security(name: "other.test")
        #expect(await harness.cause(plan) == .insecure(.untrusted("hostname mismatch")))
        plan.security = LoadPlan.Security(context: try .client(.system), name: LoadServer.name)
        #expect(await harness.cause(plan) == .insecure(.untrusted("self-signed certificate")))
    }

    @Test func reportsAServerWithoutTLS() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan()
        plan.security = try Self.security()
        #expect(await harness.cause(plan) == .insecure(.failed("what came is no TLS (wrong version number)")))
    }

    @Test func reportsAServerThatRequiresTLS() async throws {
        let harness = try Self.secureHarness()
        let plan = try harness.plan()
        let text = "This port speaks TLS: use https:// or wss://.\n"
        #expect(await harness.cause(plan) == .refused(status: 400, body: Array(text.utf8)))
    }

    // MARK: Ends

    @Test(arguments: [false, true])
    func closesCleanlyIfThereIsTime(isSecure: Bool) async throws {
        let harness = try isSecure ? Self.secureHarness() : LoadServer()
        var plan = try harness.plan()
        plan.publishers = 3
        if isSecure { plan.security = try Self.security() }
        plan.closingPatience = 60_000_000_000
        #expect(try await harness.measure(plan).get().isComplete)
        var codes = harness.closes.makeAsyncIterator()
        for _ in 0..<3 { #expect(await codes.next() == 1000) }
    }

    @Test func waitsBetweenDistantMessages() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan(messages: 2)
        // Further apart than the patience, which must be enough for a busy machine.
        plan.pace = .open(messagesPerSecond: 0.15)
        plan.patience = 5_000_000_000
        let report = try await harness.measure(plan).get()
        #expect(report.isComplete && report.acknowledged == 2)
    }

    @Test func reportsResultsUpToAStall() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan("/silent")
        plan.patience = 2_000_000_000
        let report = try await harness.measure(plan).get()
        #expect(report.ending == .stalled && !report.isComplete)
        #expect(report.sent == 1 && report.acknowledged == 0 && report.unacknowledged == 1)
    }

    /// Whatever the amount to send, and however slow the server is.
    @Test func limitsUnsentMessages() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan("/deaf", messages: 100_000)
        plan.payloadSize = 100_000
        plan.pace = .open(messagesPerSecond: 100_000)
        plan.maximumUnsent = 10_000_000
        guard case .failure(let error) = await harness.measure(plan) else {
            Issue.record("it went on")
            return
        }
        #expect(
            error.description == "the server takes less than is sent to it: more than 10000000 bytes wait"
                && error.opening == nil)
    }

    @Test func stopsWhenInterrupted() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan(messages: 1_000_000)
        plan.pace = .open(messagesPerSecond: 1000)
        let calls = Counter()
        plan.isInterrupted = { calls.next() > 50 }
        let report = try await harness.measure(plan).get()
        #expect(report.ending == .interrupted && report.isComplete)
        #expect(report.sent == report.acknowledged && (1..<1_000_000).contains(report.sent))
    }

    @Test func waitsBrieflyForOverdueMessagesWhenInterrupted() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan("/silent")
        plan.isInterrupted = { true }
        plan.interruptedPatience = 50_000_000
        guard case .failure(let error) = await harness.measure(plan) else {
            Issue.record("it went on")
            return
        }
        #expect(error.description == "interrupted when 0 of 1 connections were open")
        plan.isInterrupted = { harness.heard > 0 }
        plan.patience = 60_000_000_000
        let report = try await harness.measure(plan).get()
        #expect(report.ending == .stalled && report.unacknowledged == 1)
    }

    @Test func reportsProgress() async throws {
        let harness = try LoadServer()
        var plan = try harness.plan(messages: 12)
        // The last is due after more than a second.
        plan.pace = .open(messagesPerSecond: 10)
        let told = Mutex<[LoadProgress]>([])
        plan.onProgress = { progress in told.withLock { $0.append(progress) } }
        #expect(try await harness.measure(plan).get().isComplete)
        let last = try #require(told.withLock { $0.last })
        #expect(last.open == 1 && last.connections == 1 && last.expected == 12)
        #expect((1...12).contains(try #require(last.arrived)))
    }

    // MARK: Refusals

    @Test func distinguishesARefusalFromSilence() async throws {
        let harness = try LoadServer()
        guard case .refused(status: 404, _) = await harness.cause(try harness.plan("/nobody")) else {
            Issue.record("no refusal")
            return
        }
        var plan = try harness.plan()
        guard let nobody = SocketAddress(host: "127.0.0.1", port: 1) else { return }
        plan.server = nobody
        #expect(await harness.cause(plan) == .unreachable(Errno(rawValue: 111)))
    }
}
