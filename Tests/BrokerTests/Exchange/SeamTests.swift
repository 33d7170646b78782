import Testing

@testable import Broker
@testable import WSTransport

@Suite("The seam: the retained values, then the marker, then everything after, once and in order")
struct SeamTests {
    /// Many short schedules, and some long ones.
    @Test(arguments: 0..<40)
    func holdsUnderAnySchedule(seed: Int) throws {
        for part in 0..<25 {
            var schedule = try SeamSchedule(seed: seed * 25 + part, shards: 1 + part % 2, stubs: 2 + part % 3)
            let (log, transcripts) = try schedule.run(steps: part == 24 ? 250 : 60)
            for transcript in transcripts {
                var model = SeamModel(log: log, transcript)
                model.check()
                #expect(model.complaints.prefix(3) == [], "part \(part)")
            }
        }
    }

    /// The same if publications of several shards are ordered some turns later.
    @Test(arguments: 0..<20)
    func holdsWhenTheOrderAnswersLater(seed: Int) throws {
        for part in 0..<10 {
            let (shards, stubs) = (1 + part % 2, 2 + part % 3)
            var schedule = try SeamSchedule(
                seed: 2_000_000 + seed * 10 + part, shards: shards, stubs: stubs, isDelayed: true)
            let (log, transcripts) = try schedule.run(steps: part == 9 ? 250 : 60)
            for transcript in transcripts {
                var model = SeamModel(log: log, transcript)
                model.check()
                #expect(model.complaints.prefix(3) == [], "part \(part)")
            }
        }
    }

    /// The same with a store on disk, which takes its views back.
    @Test(arguments: 0..<10)
    func holdsOnDisk(seed: Int) throws {
        let directory = TestDirectory()
        let store = try directory.open()
        var schedule = try SeamSchedule(seed: 1_000_000 + seed, shards: 2, stubs: 4, disk: store)
        let (log, transcripts) = try schedule.run(steps: 400)
        for transcript in transcripts {
            var model = SeamModel(log: log, transcript)
            model.check()
            #expect(model.complaints.prefix(3) == [])
        }
    }

    /// Thousands of values go out in many pieces while others are published, some in their place.
    @Test func holdsDuringALongSnapshot() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let filler = String(repeating: "x", count: 200)
        let values = try (0..<3000).map { try draft("v/\($0)", "\($0) \(filler)", retained: true) }
        #expect(try harness.publish(on: 1, values).allSatisfy { $0.value?.isStored == true })
        let reader = try harness.connectJSON()
        let publisher = try harness.connectJSON(on: 1)
        var transcript = SeamSchedule.Transcript(client: reader.client)
        for (id, name) in ["v/#", "v/+", "v/7", "#"].enumerated() {
            transcript.commands[id] = .subscribe(name, wantsSnapshot: true, hearsItself: true)
            let command = #"{"op":"subscribe","id":\#(id),"filter":"\#(name)"}"#
            // The first one is sure to be there before anything is published.
            if id == 0 { transcript.notices += try reader.ask(command, id: id) } else { try reader.send(command) }
        }
        for number in 0..<2000 {
            let data = number % 5 == 4 ? "" : "new \(number)"
            try publisher.send(
                #"{"op":"publish","topic":"v/\#(number * 7 % 4000)","data":"\#(data)","retain":\#(number % 2 == 0)}"#)
        }
        try publisher.send(#"{"op":"publish","topic":"v/end","data":"end"}"#)
        // The other subscriptions may begin before the publications, among them or after them.
        repeat {
            transcript.notices.append(try reader.receive())
        } while !transcript.notices.contains { $0.data == "end" } || transcript.notices.count { $0.op == "live" } < 4
        var model = SeamModel(log: harness.published(), transcript)
        model.check()
        #expect(model.complaints.prefix(3) == [])
        let shown = transcript.notices.filter { $0.retained == true }.count
        #expect(shown == harness.counters[0].snapshots.current && shown > 3000)
        #expect(transcript.notices.filter { $0.op == "message" && $0.retained == nil }.count == 2001)
        #expect(harness.counters[0].delivered.current == 2001, "once to a connection, however many filters match")
    }

    /// Messages published before the end of a subscription reach it, and no later one of the same filter.
    @Test func aSubscriptionGetsNothingBeforeItsPosition() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        try harness.run { shard in
            guard let session = shard.everybody.first as? JSONSession else { return }
            func carryOut(_ command: String) { session.received(.text, Array(command.utf8).span) }
            // In one turn, so that the snapshot has no chance to be sent.
            carryOut(#"{"op":"subscribe","id":1,"filter":"a/#"}"#)
            carryOut(#"{"op":"publish","topic":"a/1","data":"once","retain":true}"#)
            shard.handOver()
            shard.deliver(shard.mailbox.drain())
            carryOut(#"{"op":"unsubscribe","id":2,"filter":"a/#"}"#)
            carryOut(#"{"op":"subscribe","id":3,"filter":"a/#"}"#)
        }
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.filter { $0.op == "live" }.count < 2
        notices += try stub.ask(#"{"op":"ping","id":4}"#, id: 4)
        let shown = notices.filter { $0.op == "message" || $0.op == "live" || $0.id == 2 }
        #expect(shown.map(\.op) == ["live", "message", "ok", "message", "live"])
        #expect(shown.map(\.retained) == [nil, nil, nil, true, nil], "shown as retained, so not live as well")
    }

    /// A replaced subscription gets everything up to the one that replaces it.
    @Test func replacingASubscriptionLosesNoMessage() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"a/#","snapshot":false}"#, id: 1)
        try stub.ask(#"{"op":"ping","id":2}"#, id: 2)
        try stub.send(
            """
            {"op":"publish","topic":"a/1","data":"once"}
            {"op":"subscribe","id":3,"filter":"a/#"}
            {"op":"ping","id":4}
            """)
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.op != "live"
        #expect(notices.filter { $0.op == "message" }.map(\.data) == ["once"])
    }
}
