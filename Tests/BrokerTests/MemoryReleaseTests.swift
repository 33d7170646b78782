import Testing
import WSTransport

@testable import Broker

@Suite("Release of memory after many clients have left")
struct MemoryReleaseTests {
    private var release = MemoryRelease()

    /// Asks at a second of the test's clock.
    private mutating func isGone(_ connections: Int, at second: Int64) -> Bool {
        release.isDue(connections: connections, now: MonotonicTime(nanoseconds: second * 1_000_000_000))
    }

    @Test mutating func releasesAMinuteAfterManyClientsLeft() {
        let answers = [
            isGone(5000, at: 0), isGone(10, at: 2), isGone(10, at: 61), isGone(10, at: 62), isGone(10, at: 64),
            isGone(10, at: 200),
        ]
        #expect(answers == [false, false, false, true, false, false])
    }

    @Test mutating func doesNotReleaseWhenTheClientsReturn() {
        let answers = [
            isGone(5000, at: 0), isGone(0, at: 10), isGone(4000, at: 30), isGone(0, at: 40), isGone(0, at: 99),
            isGone(0, at: 100),
        ]
        #expect(answers == [false, false, false, false, false, true])
    }

    @Test(arguments: [(1500, 501), (10_000, 5001), (999, 0)])
    mutating func doesNotReleaseAfterFewClientsLeft(before: Int, after: Int) {
        let answers = [isGone(before, at: 0), isGone(after, at: 1), isGone(after, at: 1000)]
        #expect(answers == [false, false, false])
    }

    @Test(arguments: [(2000, 1000), (1000, 0), (100_000, 50_000)])
    mutating func releasesAfterHalfOfTheClientsLeft(before: Int, after: Int) {
        let answers = [isGone(before, at: 0), isGone(after, at: 1), isGone(after, at: 1000)]
        #expect(answers == [false, false, true])
    }

    @Test mutating func releasesAgainAfterTheNextDrop() {
        let answers = [
            isGone(4000, at: 0), isGone(2000, at: 1), isGone(2000, at: 61), isGone(500, at: 62), isGone(500, at: 122),
        ]
        #expect(answers == [false, false, true, false, true])
    }
}
