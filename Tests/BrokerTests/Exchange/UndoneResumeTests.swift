import Testing

@testable import Broker

/// Clients that resume from a number that the log has lost: they have received messages that are no longer in any log.
@Suite("Resume: messages that a log has lost are announced")
struct UndoneResumeTests {
    private static let topics = ["h/1", "h/2", "v/1", "v/2"]

    /// The messages a client gets from its answer to the marker, and the values it then knows.
    private struct Reading {
        var notices: [Notice] = []
        var values: [String: String] = [:]
        var seqs: [UInt64] = []

        var gaps: [Notice] { notices.filter { $0.op == "gap" } }
        var undone: [Notice] { gaps.filter { $0.undone == true } }
    }

    private func resume(_ harness: ExchangeHarness, _ filter: String, since: UInt64) throws -> Reading {
        let stub = try harness.connectJSON()
        _ = try stub.ask(##"{"op":"subscribe","id":1,"filter":"\##(filter)","since":\##(since)}"##, id: 1)
        var reading = Reading()
        repeat { reading.notices.append(try stub.receive()) } while reading.notices.last?.op != "live"
        for notice in reading.notices where notice.op == "message" {
            let topic = try #require(notice.topic)
            if notice.retained != true { reading.seqs.append(try #require(notice.seq)) }
            if notice.removed == true {
                reading.values[topic] = nil
            } else if notice.retained == true || notice.retain == true {
                reading.values[topic] = notice.data
            }
        }
        return reading
    }

    @Test(arguments: 0..<20)
    func announcesTheLossAndShowsCurrentValues(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var settings = Settings()
        settings.history = [Settings.History(filter: "h/#", messages: 100_000)]
        let harness = try ExchangeHarness(settings: settings, isLogged: true)
        var jumps: [LogJumps.Jump] = []
        var kept: [UInt64] = []
        var values: [String: String] = [:]
        for number in 0..<60 {
            if number % 20 == 10 { jumps.append(try harness.engine.jump()) }
            let name = Self.topics.randomElement(using: &random) ?? ""
            let isRemoval = Int.random(in: 0...5, using: &random) == 0
            let isRetained = isRemoval || Bool.random(using: &random)
            let draft = try draft(name, isRemoval ? "" : "\(number)", retained: isRetained)
            let receipt = try #require(try harness.publish([draft])[0].value)
            if name.hasPrefix("h") { kept.append(receipt.seq) }
            if isRetained { values[name] = isRemoval ? nil : "\(number)" }
        }
        for jump in jumps {
            let since = UInt64.random(in: jump.closed + 1..<jump.begun, using: &random)
            for filter in ["h/#", "#", "h/1"] {
                let reading = try resume(harness, filter, since: since)
                let first = try #require(reading.notices.first)
                #expect(first.op == "gap" && first.undone == true, "it comes first")
                #expect(first.since == jump.closed && first.seq == jump.begun && reading.undone.count == 1)
                let matching = values.filter { name, _ in
                    filter == "#" || name == filter || filter == "h/#" && name.hasPrefix("h")
                }
                #expect(reading.values == matching, "it has the values that hold, and no other")
                if filter == "h/#" {
                    #expect(reading.seqs == kept.filter { $0 > jump.closed }, "and those that replaced the lost")
                    #expect(reading.gaps.count == 1)
                }
            }
            for known in [jump.closed, jump.begun] {
                let reading = try resume(harness, "h/#", since: known)
                #expect(reading.undone == [] && reading.seqs == kept.filter { $0 > known })
            }
        }
    }

    /// The oldest jumps are forgotten: a number before them is used unchanged.
    @Test func forgetsTheOldestJumps() {
        var jumps = LogJumps()
        for number in 1...UInt64(LogJumps.maximum + 3) {
            jumps.add(LogJumps.Jump(closed: number * 100, begun: number * 100 + 50))
        }
        #expect(jumps.all.count == LogJumps.maximum && jumps.jump(over: 301) == nil)
        #expect(jumps.jump(over: 401)?.closed == 400 && jumps.jump(over: 450) == nil && jumps.jump(over: 400) == nil)
    }
}
