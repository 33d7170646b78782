import Counting
import Glibc
import WSTransport

/// The turns in which a thousand silent connections, all due at once, get a PING.
enum KeepaliveFigures {
    static func record(in tally: Tally, _ harness: Harness) throws {
        let count = 1000
        let stubs = try (0..<count).map { _ in try harness.open("/t/bench/idle") }
        let pong = FrameEncoder.frame(.pong, [], maskingKey: ClientFrame.key)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        try tally.record(
            "keepalive/ping-of-1000", operations: count,
            before: {
                for stub in stubs {
                    stub.drain(into: &buffer)
                    try stub.send(pong)
                }
                harness.turns(4)
                for stub in stubs { stub.drain(into: &buffer) }
                // An interval and a tick of the wheel, without any activity.
                usleep(1_300_000)
            }
        ) { harness.turns(1 + count / Reactor.deadlinesPerTurn) }
        guard harness.shard.reactor.counters.pingsSent.current >= count * 3 else {
            throw Harness.Failure(what: "pings")
        }
        harness.close(stubs)
    }
}
