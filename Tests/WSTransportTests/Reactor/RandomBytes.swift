import Testing

extension SplitMix {
    /// The numbers of one of many schedules.
    init(schedule: Int) { self.init(seed: UInt64(schedule)) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

@Suite("Random schedules: the numbers of one are no part of another's")
struct ScheduleTests {
    @Test func neighbouringSchedulesHaveDifferentNumbers() {
        var numbers: Set<UInt64> = []
        for schedule in 0..<100 {
            var random = SplitMix(schedule: schedule)
            for _ in 0..<20 { numbers.insert(random.next()) }
        }
        #expect(numbers.count == 2000)
    }
}
