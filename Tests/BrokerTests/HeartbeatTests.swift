import Testing

@testable import Broker
@testable import WSTransport

@Suite("Heartbeat: whether the reactors take their turns")
struct HeartbeatTests {
    @Test func reportsABlockedReactor() throws {
        let group = try ReactorGroup(count: 2)
        try group.start(named: "heart", backend: .epoll) { _ in }
        defer { group.stop() }
        let (held, rest) = (Latch(count: 1), Latch(count: 1))
        let heartbeat = Heartbeat(group.remotes)
        func settle() {
            let done = Latch(count: 1)
            group.remotes[0].run { _ in done.arrive() }
            done.wait()
        }
        group.remotes[1].run { _ in
            rest.arrive()
            held.wait()
        }
        rest.wait()
        settle()
        // Both have answered the question of the beginning.
        #expect(heartbeat.beats())
        settle()
        #expect(!heartbeat.beats())
        held.arrive()
        let done = Latch(count: 1)
        group.remotes[1].run { _ in done.arrive() }
        done.wait()
        #expect(heartbeat.beats())
    }
}
