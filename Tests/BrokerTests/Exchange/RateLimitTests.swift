import Testing

@testable import Broker
@testable import WSTransport

@Suite("The publish rate of a client")
struct RateLimitTests {
    private func time(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    /// How many of `count` are accepted at that time.
    private func take(_ count: Int, _ limit: inout RateLimit, of rate: Int = 10, at milliseconds: Int64) -> Int {
        (0..<count).filter { _ in limit.take(perSecond: rate, now: time(milliseconds)) }.count
    }

    @Test func limitsTheRatePerSecond() {
        var limit = RateLimit()
        #expect(take(20, &limit, at: 0) == 10, "a second's worth at once")
        #expect(take(5, &limit, at: 99) == 0)
        #expect(take(5, &limit, at: 100) == 1)
        #expect(take(5, &limit, at: 350) == 2)
        #expect(take(5, &limit, at: 400) == 1, "fractions are kept")
        #expect(take(50, &limit, at: 60_000) == 10, "saved up for one second at most")
        #expect(take(5, &limit, at: 59_000) == 0, "a clock that goes back gives nothing")
    }

    @Test func aChangedRateAppliesAtOnce() {
        var limit = RateLimit()
        #expect(take(5, &limit, of: 2, at: 0) == 2)
        #expect(take(500, &limit, of: 100, at: 100) == 10, "the time since then counts at the current rate")
        #expect(take(500, &limit, of: 3, at: 60_000) == 3, "no more is saved than it allows")
    }

    @Test func aLimitOfZeroRefusesEverything() {
        var limit = RateLimit()
        #expect(take(3, &limit, of: 0, at: 0) == 0 && take(3, &limit, of: 0, at: 10_000) == 0)
    }

    @Test func limitsEachClientSeparately() {
        let client = Client(
            id: 36 * 36, .anonymous, address: "", listener: "", protocolName: "http", connectedAt: 0,
            GrantTable(Access([])))
        #expect(client.name == "100")
        #expect(client.mayPublish(perSecond: 1, now: time(0)) && !client.mayPublish(perSecond: 1, now: time(10)))
        #expect(client.mayPublish(perSecond: nil, now: time(10)), "without a limit all are taken")
    }
}
