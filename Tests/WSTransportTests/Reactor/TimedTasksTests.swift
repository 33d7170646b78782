import Testing

@testable import WSTransport

@Suite("The tasks of a reactor that run later")
struct TimedTasksTests {
    /// Against a model that keeps all tasks in a list.
    @Test(arguments: 0..<200)
    func takesTheSameTasksAsAList(seed: Int) {
        var random = SplitMix(schedule: seed)
        var tasks = TimedTasks()
        var model: [(time: Int64, id: TimedTasks.ID)] = []
        var now: Int64 = 0
        for _ in 0..<500 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4:
                let time = now + Int64.random(in: -3...20, using: &random)
                model.append((time, tasks.add(at: MonotonicTime(nanoseconds: time)) {}))
            case 5...7:
                guard let place = model.indices.randomElement(using: &random) else { continue }
                let id = model.remove(at: place).id
                #expect(tasks.remove(id) != nil)
                #expect(tasks.remove(id) == nil)
            default:
                now += Int64.random(in: 0...8, using: &random)
                let due = tasks.takeDue(at: MonotonicTime(nanoseconds: now))
                // Sorting keeps the order of equal times, which is that of adding.
                let wanted = model.filter { $0.time <= now }.sorted { $0.time < $1.time }.map(\.id)
                #expect(due == wanted)
                for id in due { #expect(tasks.remove(id) != nil) }
                model.removeAll { $0.time <= now }
            }
            #expect(tasks.count == model.count)
            let earliest = model.map(\.time).min()
            #expect((tasks.next?.nanoseconds ?? .max) <= earliest ?? .max, "would sleep through a task")
        }
    }

    @Test func cancelledTasksTakeNoRoom() {
        var tasks = TimedTasks()
        let kept = tasks.add(at: MonotonicTime(nanoseconds: 7)) {}
        for number in 0..<100_000 {
            let id = tasks.add(at: MonotonicTime(nanoseconds: Int64(number))) {}
            #expect(tasks.remove(id) != nil)
        }
        #expect(tasks.count == 1)
        #expect(tasks.places.count < 100)
        #expect(tasks.takeDue(at: MonotonicTime(nanoseconds: 1_000_000)) == [kept])
    }

    @Test func aTaskMayCancelOneThatIsDueWithIt() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        try reactor.run { reactor, _ in
            var others: [TimedTasks.ID] = []
            reactor.run(afterNanoseconds: 0) { [unowned reactor] in
                log.add("first")
                for other in others { reactor.cancel(other) }
            }
            others = [reactor.schedule(afterNanoseconds: 0) { log.add("cancelled") }]
            reactor.run(afterNanoseconds: 1) { log.add("last") }
        }
        try log.wait(for: "last")
        #expect(log.all == ["first", "last"])
    }
}
