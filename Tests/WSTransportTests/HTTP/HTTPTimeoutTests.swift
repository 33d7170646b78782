import Foundation
import Testing

@testable import WSTransport

@Suite("How long an HTTP connection waits")
struct HTTPTimeoutTests {
    private static func house(head: Int64, idle: Int64) throws -> HTTPHouse {
        try HTTPHouse(settings: { settings in
            settings.headTimeout = head
            settings.idleTimeout = idle
        })
    }

    private static let long: Int64 = 60_000_000_000
    private static let short: Int64 = 200_000_000

    @Test(arguments: [
        "GET /path/x HTTP/1.1\r\nHost: h\r\n", "\r", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
    ])
    func refusesWhatDoesNotComeInTime(start: String) throws {
        let house = try Self.house(head: Self.short, idle: Self.long)
        let peer = try house.connect(start: start)
        let answer = try peer.readAnswer()
        #expect(answer.status == 408 && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "")
        #expect(house.reactor.counters.requestTimeouts.current == 1)
    }

    @Test func givesAPeerThatDribblesNoMoreTime() throws {
        let house = try Self.house(head: 300_000_000, idle: Self.long)
        let peer = try house.connect(start: "GET /path/x HTTP/1.1\r\n")
        let counters = house.reactor.counters
        try house.reactor.wait {
            // As long as it goes on, it is never silent for long.
            if counters.receivedBytes.current < 16_000 { try? peer.send("X") }
            return counters.requestTimeouts.current > 0
        }
        #expect(try peer.readAnswer().status == 408)
    }

    @Test func closesSilentlyOnASilentPeer() throws {
        let house = try Self.house(head: Self.short, idle: Self.long)
        #expect(try house.connect().readToEnd() == "")
        #expect(house.reactor.counters.requestTimeouts.current == 0)
    }

    @Test func closesSilentlyBetweenRequests() throws {
        let house = try Self.house(head: Self.long, idle: Self.short)
        let peer = try house.connect()
        try peer.send("GET /path/x HTTP/1.1\r\nHost: h\r\n\r\n")
        let answer = try peer.readAnswer()
        #expect(answer.body == "GET x " && answer.fields.first("Connection") == nil)
        #expect(try peer.readToEnd() == "")
    }

    @Test func hasPatienceWithAHandler() throws {
        let house = try Self.house(head: 100_000_000, idle: 100_000_000)
        let slow = try house.connect(start: "GET /later/x HTTP/1.1\r\nHost: h\r\n\r\n")
        let quick = try house.connect()
        try house.waitForPending()
        // The other one's timeouts pass, and then the handler answers.
        #expect(try quick.readToEnd() == "")
        try house.doPending()
        #expect(try slow.readAnswer().body == "later x")
        #expect(try slow.readToEnd() == "")
    }
}
