import Foundation
import Testing

@testable import WSTransport

@Suite("Timeouts of HTTP connections")
struct HTTPTimeoutTests {
    private static func harness(head: Int64, idle: Int64) throws -> HTTPHarness {
        try HTTPHarness(settings: { settings in
            settings.headTimeout = head
            settings.idleTimeout = idle
        })
    }

    private static let long: Int64 = 60_000_000_000
    private static let short: Int64 = 200_000_000

    @Test(arguments: [
        "GET /path/x HTTP/1.1\r\nHost: h\r\n", "\r", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
    ])
    func timesOutIncompleteRequests(start: String) throws {
        let harness = try Self.harness(head: Self.short, idle: Self.long)
        let peer = try harness.connect(start: start)
        let answer = try peer.readAnswer()
        #expect(answer.status == 408 && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "")
        #expect(harness.reactor.counters.requestTimeouts.current == 1)
    }

    @Test func slowlySentBytesDoNotExtendTheTimeout() throws {
        let harness = try Self.harness(head: 300_000_000, idle: Self.long)
        let peer = try harness.connect(start: "GET /path/x HTTP/1.1\r\n")
        let counters = harness.reactor.counters
        try harness.reactor.wait {
            // Meanwhile the peer is never silent for long.
            if counters.receivedBytes.current < 16_000 { try? peer.send("X") }
            return counters.requestTimeouts.current > 0
        }
        #expect(try peer.readAnswer().status == 408)
    }

    @Test func closesASilentConnectionWithoutAnAnswer() throws {
        let harness = try Self.harness(head: Self.short, idle: Self.long)
        #expect(try harness.connect().readToEnd() == "")
        #expect(harness.reactor.counters.requestTimeouts.current == 0)
    }

    @Test func closesAnIdleConnectionWithoutAnAnswer() throws {
        let harness = try Self.harness(head: Self.long, idle: Self.short)
        let peer = try harness.connect()
        try peer.send("GET /path/x HTTP/1.1\r\nHost: h\r\n\r\n")
        let answer = try peer.readAnswer()
        #expect(answer.body == "GET x " && answer.fields.first("Connection") == nil)
        #expect(try peer.readToEnd() == "")
    }

    @Test func doesNotTimeOutASlowHandler() throws {
        let harness = try Self.harness(head: 100_000_000, idle: 100_000_000)
        let slow = try harness.connect(start: "GET /later/x HTTP/1.1\r\nHost: h\r\n\r\n")
        let quick = try harness.connect()
        try harness.waitForPending()
        // The timeouts of the other connection pass, and then the handler answers.
        #expect(try quick.readToEnd() == "")
        try harness.doPending()
        #expect(try slow.readAnswer().body == "later x")
        #expect(try slow.readToEnd() == "")
    }
}
