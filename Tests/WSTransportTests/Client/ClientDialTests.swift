import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 8305: a host with several addresses", .timeLimit(.minutes(10)))
struct ClientDialTests {
    private static func address(_ host: String, _ port: UInt16 = 1) throws -> SocketAddress {
        try #require(SocketAddress(host: host, port: port))
    }

    /// The peer that was reached, or the error, and how many sockets are left.
    private static func dial(
        _ addresses: [SocketAddress], delay: Int64, timeout: Int64 = 60_000_000_000
    ) async throws -> (Result<SocketAddress?, ConnectError>, openCount: Int) {
        let remote = try Remote()
        let counters = ReactorCounters()
        let reactor = try Reactor(index: 0, counters: counters, remote: remote)
        nonisolated(unsafe) let owned = reactor
        let thread = try startThread(named: "dial") { owned.run() }
        defer {
            remote.run { $0.stop() }
            thread.join()
        }
        let result: Result<SocketAddress?, ConnectError> = await withCheckedContinuation { continuation in
            remote.run { reactor in
                let deadline = reactor.now.advanced(byNanoseconds: timeout)
                _ = ClientDial.begin(addresses, on: reactor, deadline: deadline, delay: delay) { result in
                    continuation.resume(returning: result.map(\.peer))
                }
            }
        }
        // One turn later the losers are gone.
        await withCheckedContinuation { continuation in
            remote.run { $0.runSoon { continuation.resume() } }
        }
        return (result, counters.connections.current)
    }

    @Test func triesTheNextAddressWhenOneRefuses() async throws {
        let server = try LoopbackServer.webSockets()
        let gone = try LoopbackServer.webSockets().port
        let addresses = [try Self.address("127.0.0.1", gone), try Self.address("127.0.0.1", server.port)]
        // The delay is so long that only the refusal can have started the next attempt.
        let (result, open) = try await Self.dial(addresses, delay: 60_000_000_000)
        #expect(result == .success(addresses[1]))
        #expect(open == 1)
        withExtendedLifetime(server) {}
    }

    /// A listener whose queue is full does not answer, like an address behind a firewall.
    @Test func triesTheNextAddressWhenOneIsSilent() async throws {
        let silent = try SilentListener()
        let server = try LoopbackServer.webSockets()
        let addresses = [silent.address, try Self.address("127.0.0.1", server.port)]
        let (result, open) = try await Self.dial(addresses, delay: 20_000_000)
        #expect(result == .success(addresses[1]))
        #expect(open == 1, "the silent one is given up")
        withExtendedLifetime(server) {}
        let (late, rest) = try await Self.dial(
            [silent.address, silent.address], delay: 1_000_000, timeout: 150_000_000)
        #expect(late == .failure(.timedOut))
        #expect(rest == 0)
    }

    @Test func reportsTheLastFailure() async throws {
        let gone = try LoopbackServer.webSockets().port
        let (result, open) = try await Self.dial([try Self.address("127.0.0.1", gone)], delay: 1)
        #expect(result == .failure(.unreachable(Errno(rawValue: ECONNREFUSED))))
        #expect(open == 0)
    }

    @Test func alternatesBetweenAddressFamilies() throws {
        let four = try ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map { try Self.address($0) }
        let six = try ["fd00::1", "fd00::2"].map { try Self.address($0) }
        #expect(Resolver.takingTurns(six + four) == [six[0], four[0], six[1], four[1], four[2]])
        #expect(Resolver.takingTurns(four) == four)
        #expect(Resolver.takingTurns([]).isEmpty)
    }
}

/// Listens, and accepts no connection.
private final class SilentListener {
    let address: SocketAddress
    private let descriptor: Int32
    private var waiting: [Int32] = []

    struct Failed: Error {}

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { throw Failed() }
        try any.withSockaddr { (pointer, length) throws(Errno) in _ = bind(listener, pointer, length) }
        guard listen(listener, 0) == 0, let bound = Socket.localAddress(listener) else { throw Failed() }
        descriptor = listener
        address = bound
        // One more than the queue holds: the next one gets no answer.
        for _ in 0..<2 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            try bound.withSockaddr { (pointer, length) throws(Errno) in _ = connect(client, pointer, length) }
            waiting.append(client)
        }
    }

    deinit { for descriptor in waiting + [descriptor] { close(descriptor) } }
}
