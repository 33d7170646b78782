import Testing

@Suite("Random schedules: the seed of one is no part of another")
struct SeedTests {
    private static let seeds = 0..<100

    /// How many different numbers the schedules begin with, 20 each.
    private static func variety(_ make: (Int) -> some RandomNumberGenerator) -> Int {
        var numbers: Set<UInt64> = []
        for seed in seeds {
            var random = make(seed)
            for _ in 0..<20 { numbers.insert(random.next()) }
        }
        return numbers.count
    }

    @Test func neighbouringSeedsGiveDifferentNumbers() {
        #expect(Self.variety { SeededGenerator(seed: $0) } == 2000)
        #expect(Self.variety { TopicSchedule(seed: $0) } == 2000)
    }
}
