import Testing

@testable import Broker
@testable import WSTransport

@Suite("The log level set at run time")
struct LogThresholdTests {
    private let start = MonotonicTime(nanoseconds: 1_000_000_000)

    private func after(_ seconds: Double) -> MonotonicTime { start.advanced(byNanoseconds: Int64(seconds * 1e9)) }

    @Test func aTemporaryLevelExpires() {
        let threshold = LogThreshold(.warning)
        threshold.choose(.debug, seconds: 10, at: start)
        #expect(threshold.state(at: after(9.9)).level == .debug)
        #expect(threshold.state(at: after(10)).level == .warning)
        #expect(threshold.state(at: after(10)).chosen == nil)
        // A clock that was read before that by another thread does not bring it back.
        #expect(threshold.state(at: after(9)).level == .warning)
    }

    @Test func aLevelWithoutATimeLastsUntilAReload() {
        let threshold = LogThreshold(.warning)
        threshold.choose(.debug, seconds: nil, at: start)
        #expect(threshold.state(at: after(1e6)).level == .debug)
        threshold.adopt(.error)
        #expect(threshold.state(at: after(1e6)).level == .error)
        #expect(threshold.state(at: after(1e6)).chosen == nil)
    }

    @Test func theLastLevelSetApplies() {
        let threshold = LogThreshold(.info)
        threshold.choose(.debug, seconds: 10, at: start)
        threshold.choose(.error, seconds: nil, at: after(5))
        #expect(threshold.state(at: after(100)).level == .error)
        #expect(threshold.state(at: after(100)).choices == 2)
    }
}
