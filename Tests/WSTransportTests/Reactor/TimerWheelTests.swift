import Testing

@testable import WSTransport

@Suite("One deadline for each connection")
struct TimerWheelTests {
    /// Against a model that checks every deadline.
    @Test(arguments: 0..<300)
    func neverFiresEarlyAndAtMostATickLate(seed: Int) {
        var random = SplitMix(schedule: seed)
        let tick = TimerWheel.tick
        var now = Int64.random(in: 0...1_000_000_000_000, using: &random)
        var wheel = TimerWheel(now: MonotonicTime(nanoseconds: now))
        var deadlines: [UInt32: Int64] = [:]
        for _ in 0..<400 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4:
                let id = UInt32.random(in: 0..<40, using: &random)
                // Past, near, and beyond one round of the wheel.
                let reach: Int64 = [-tick, 0, 3 * tick, 100 * tick, 5000 * tick].randomElement(using: &random) ?? 0
                let deadline = now + Int64.random(in: min(0, reach)...max(0, reach), using: &random)
                wheel.set(id, at: MonotonicTime(nanoseconds: deadline))
                deadlines[id] = max(now, deadline)
            case 5:
                let id = UInt32.random(in: 0..<50, using: &random)
                wheel.cancel(id)
                deadlines[id] = nil
            default:
                let stall: Int64 =
                    [tick / 3, tick, 20 * tick, 1024 * tick, 9000 * tick].randomElement(using: &random) ?? 0
                now += Int64.random(in: 0...stall, using: &random)
                let limit = [1, 3, .max].randomElement(using: &random) ?? .max
                var due: [UInt32] = []
                while true {
                    let part = wheel.advance(to: MonotonicTime(nanoseconds: now), atMost: limit)
                    due += part
                    guard part.count == limit else { break }
                }
                #expect(Set(due).count == due.count, "fires twice")
                for id in due {
                    #expect((deadlines[id] ?? .max) <= now, "fires early, or unasked")
                    deadlines[id] = nil
                }
                #expect(deadlines.values.allSatisfy { $0 + tick >= now }, "fires late")
            }
            #expect(wheel.count == deadlines.count)
            let wait = wheel.millisecondsToNextTick(from: MonotonicTime(nanoseconds: now)).map { Int64($0) * 1_000_000 }
            #expect((wait == nil) == deadlines.isEmpty)
            guard let wait, let earliest = deadlines.values.min() else { continue }
            #expect(now + wait < max(now, (earliest / tick + 1) * tick) + 1_000_000, "would sleep through a deadline")
        }
    }

    @Test func waitsForTheNextTick() {
        var wheel = TimerWheel(now: MonotonicTime(nanoseconds: 5 * TimerWheel.tick + 30_000_000))
        wheel.set(3, at: MonotonicTime(nanoseconds: 5 * TimerWheel.tick + 40_000_000))
        let now = MonotonicTime(nanoseconds: 5 * TimerWheel.tick + 30_000_000)
        #expect(wheel.millisecondsToNextTick(from: now) == 70)
        #expect(wheel.advance(to: MonotonicTime(nanoseconds: 6 * TimerWheel.tick - 1)) == [])
        #expect(wheel.advance(to: MonotonicTime(nanoseconds: 6 * TimerWheel.tick)) == [3])
    }

    @Test func sleepsUntilTheNextTickWithADeadline() {
        var wheel = TimerWheel(now: MonotonicTime(nanoseconds: 7 * TimerWheel.tick))
        for distance in [1, 63, 64, 65, 1000, 1022] as [Int64] {
            wheel.set(1, at: MonotonicTime(nanoseconds: (7 + distance) * TimerWheel.tick - 1))
            let wait = wheel.millisecondsToNextTick(from: MonotonicTime(nanoseconds: 7 * TimerWheel.tick))
            #expect(wait == Int32(distance) * 100)
        }
    }

    @Test func limitsTheDeadlinesPerCall() {
        var wheel = TimerWheel(now: MonotonicTime(nanoseconds: 0))
        for id in 0..<10 as Range<UInt32> { wheel.set(id, at: MonotonicTime(nanoseconds: TimerWheel.tick)) }
        let now = MonotonicTime(nanoseconds: 3 * TimerWheel.tick)
        #expect(wheel.advance(to: now, atMost: 4).count == 4)
        #expect(wheel.millisecondsToNextTick(from: now) == 0)
        #expect(wheel.advance(to: now, atMost: 6).count == 6)
        #expect(wheel.millisecondsToNextTick(from: now) == nil)
        #expect(wheel.advance(to: now, atMost: 1) == [])
    }

    @Test func handlesExtremeTimes() {
        var wheel = TimerWheel(now: MonotonicTime(nanoseconds: 0))
        wheel.set(0, at: MonotonicTime(nanoseconds: .max))
        wheel.set(1, at: MonotonicTime(nanoseconds: .min))
        #expect(wheel.advance(to: MonotonicTime(nanoseconds: TimerWheel.tick)) == [1])
        #expect(wheel.count == 1)
    }
}
