import Testing

@testable import Broker

/// Two features meeting: clients that are behind change their policies, resume, end filters that overlap, while rules
/// are changed and the store is full.
@Suite("What is owed: each message once and in order, or a gap, whatever is changed meanwhile")
struct OwedTests {
    @Test(arguments: Seeds.parts)
    func holdsUnderAnySchedule(part: Int) throws {
        for seed in Seeds.of(part: part, usual: 800) {
            var schedule = try OwedSchedule(seed: seed)
            let world = try schedule.run(steps: 40)
            for transcript in world.transcripts {
                var model = OwedModel(world, transcript)
                model.check()
                if !model.complaints.isEmpty, Seeds.isLoud { print(model.story) }
                #expect(model.complaints.prefix(3) == [], "seed \(seed)")
            }
        }
    }
}
