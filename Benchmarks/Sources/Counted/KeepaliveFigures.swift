import Counting
import Glibc
import WSTransport

/// The turns in which a thousand silent connections, all due at once, get a PING.
enum KeepaliveFigures {
    static func record(in tally: Tally, _ house: House) throws {
        let count = 1000
        let guests = try (0..<count).map { _ in try house.open("/t/bench/idle") }
        let pong = FrameEncoder.frame(.pong, [], maskingKey: ClientFrame.key)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        try tally.record(
            "keepalive/ping-of-1000", operations: count,
            before: {
                for guest in guests {
                    guest.drain(into: &buffer)
                    try guest.send(pong)
                }
                house.turns(4)
                for guest in guests { guest.drain(into: &buffer) }
                // An interval and a tick of the wheel, during which nobody looks.
                usleep(1_300_000)
            }
        ) { house.turns(1 + count / Reactor.deadlinesPerTurn) }
        guard house.shard.reactor.counters.pingsSent.current >= count * 3 else { throw House.Failure(what: "pings") }
        house.close(guests)
    }
}
