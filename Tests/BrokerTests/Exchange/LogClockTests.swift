import Testing

@testable import Broker

@Suite("LogClock: values expire by the time of a log, not by that of its readers")
struct LogClockTests {
    /// The record that arrived soonest after it was logged determines the offset.
    @Test func trustsTheSmallestDelay() {
        var clock = LogClock()
        #expect(clock.offset(1_000_000, at: 500) == 999_500)
        #expect(clock.offset(1_000_100, at: 700) == 999_500, "this one was under way for 100 ms longer")
        #expect(clock.offset(1_000_290, at: 750) == 999_540)
    }

    /// The readers' clocks run faster or slower than that of the log.
    @Test func followsClockDrift() {
        var clock = LogClock()
        var offset: Int64 = 0
        // It gains a millisecond each second.
        for second: Int64 in 0..<600 { offset = clock.offset(second * 999, at: second * 1000) }
        #expect(offset >= -599 && offset <= -599 + 120)
        // A clock that jumped ahead stands still until the others have caught up, and so does the log.
        let ahead = clock.offset(4_200_000, at: 600_000)
        #expect(ahead == 3_600_000)
        for second: Int64 in 1...300 { offset = clock.offset(4_200_000, at: 600_000 + second * 1000) }
        #expect(offset <= 3_600_000 - 180_000)
    }
}
