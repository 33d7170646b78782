import Testing

@testable import Broker

/// Two features meeting: clients that are behind change their policies, resume, end filters that overlap, while rules
/// are changed and the store is full.
@Suite("Delivery: each message once and in order, or a gap, whatever changes meanwhile")
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

    /// The same in an order that answers some turns later.
    @Test(arguments: Seeds.parts)
    func holdsWhenTheOrderAnswersLater(part: Int) throws {
        for seed in Seeds.of(part: part, usual: 160) {
            var schedule = try OwedSchedule(seed: seed, isDelayed: true)
            let world = try schedule.run(steps: 40)
            for transcript in world.transcripts {
                var model = OwedModel(world, transcript)
                model.check()
                if !model.complaints.isEmpty, Seeds.isLoud { print(model.story) }
                #expect(model.complaints.prefix(3) == [], "seed \(seed)")
            }
        }
    }

    @Test("Messages numbered before an unsubscription are delivered before its answer", arguments: [false, true])
    func deliversEarlierMessagesBeforeTheAnswer(isKept: Bool) throws {
        var settings = Settings()
        if isKept { settings.history = [Settings.History(filter: "k/#", messages: 1000)] }
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON(sendBuffer: 4096)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"k/#","slow":"drop-oldest"}"#, id: 1)
        let filler = String(repeating: "x", count: 900)
        var seqs: [UInt64] = []
        for number in 0..<300 {
            seqs += try harness.publish([draft("k/1", "\(number) \(filler)")]).compactMap { $0.value?.seq }
        }
        let last = try stub.ask(#"{"op":"unsubscribe","id":2,"filter":"k/#"}"#, id: 2)
        #expect(last.filter { $0.op == "message" }.compactMap(\.seq) == seqs)
        #expect(!last.contains { $0.op == "gap" })
        #expect(last.last?.op == "ok")
    }

    /// A client changes its subscription several times while it is behind, and then asks for messages that it has.
    @Test(arguments: [
        [#""slow":"latest","since":0"#, #""slow":"latest""#, #""slow":"close""#],
        [#""slow":"latest","since":NEWEST"#, #""slow":"close","since":0"#],
    ])
    func repeatsNothingAfterChangesOfAPolicy(changes: [String]) throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "k/#", messages: 1000)]
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON()
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"k/1","snapshot":false}"#, id: 1)
        let results = try harness.publish((0..<3).map { try draft("k/1", "\($0)") })
        let newest = try #require(results.last?.value?.seq)
        var seqs: [UInt64] = []
        func read(until isLast: (Notice) -> Bool) throws {
            while true {
                let notice = try stub.receive()
                if notice.op == "message" { seqs.append(notice.seq ?? 0) }
                if isLast(notice) { return }
            }
        }
        try read { $0.seq == newest && $0.op == "message" }
        // In one frame, so that the session is behind until the last of them.
        let commands = changes.map {
            #"{"op":"subscribe","filter":"k/1","snapshot":false,\#($0.replacing("NEWEST", with: "\(newest)"))}"#
        }
        try stub.send(commands.joined(separator: "\n"))
        try read { $0.op == "live" }
        try stub.send(#"{"op":"subscribe","filter":"k/1","snapshot":false,"since":0}"#)
        // Answered after everything that is due.
        try stub.send(#"{"op":"unsubscribe","id":2,"filter":"k/1"}"#)
        try read { $0.id == 2 }
        #expect(seqs == results.compactMap { $0.value?.seq })
    }

    /// A client resumes twice, and loses the right to another subscription in between: that one's messages come again
    /// only as far as it has asked for them afterwards.
    @Test func repeatsOnlyWhatIsAskedForAfterARevocation() throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "k/#", messages: 1000)]
        let gate = GateStore()
        let harness = try ExchangeHarness(gate, settings: settings)
        defer { gate.setBusy(false) }
        let stub = try harness.connectJSON()
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"k/#","snapshot":false}"#, id: 1)
        let results = try harness.publish((0..<3).map { try draft("k/1", "\($0)") })
        let newest = try #require(results.last?.value?.seq)
        while try stub.receive().seq != newest {}
        gate.setBusy(true)
        try stub.ask(#"{"op":"subscribe","id":2,"filter":"k/1","snapshot":false,"since":0}"#, id: 2)
        settings.access.anonymous.subscribe = ["k/1"]
        try harness.run { [settings] in $0.adopt(settings.patient) }
        while try stub.receive().op != "revoked" {}
        try stub.ask(#"{"op":"subscribe","id":3,"filter":"k/1","snapshot":false,"since":\#(newest - 1)}"#, id: 3)
        gate.setBusy(false)
        // Answered after everything that is due.
        let last = try stub.ask(#"{"op":"unsubscribe","id":4,"filter":"k/1"}"#, id: 4)
        #expect(last.filter { $0.op == "message" }.compactMap(\.seq) == [newest])
    }

    /// What one subscription has dropped is not there for another one, whose gap it is not.
    @Test func bringsWhatAnotherSubscriptionHasDropped() throws {
        func message(_ seq: UInt64) throws -> Message {
            Message(topic: try topic("k/1"), payload: [UInt8(seq)], kind: .binary, seq: seq, time: 1)
        }
        func subscription(_ number: UInt32, _ name: String, _ slow: SlowPolicy) throws -> Subscription {
            Subscription(
                number: number, filter: try filter(name), position: 0, skipsOwn: false, slow: slow, usesHistory: true)
        }
        let set = SubscriptionSet()
        set.add(try subscription(1, "#", .latest))
        let ledger = set.setBehind(at: 0)
        #expect(set.drop(try message(1), floor: 0, client: 9))
        // The second message is sent, and the gap before it is still to be announced.
        ledger.cursor = 2
        set.goBack(to: 0)
        var asking = try subscription(2, "k/1", .close)
        asking.asked = ledger.step()
        set.add(asking)
        #expect(set.takes(try message(1), client: 9, ledger))
        #expect(!set.takes(try message(2), client: 9, ledger))
    }

    /// More ranges than are kept apart, among messages of another filter: a client that breaks off anywhere has been told
    /// of all that it lacks before.
    @Test func announcesManyGapsAtTheirPlaces() throws {
        func message(_ seq: UInt64, _ name: String) throws -> Message {
            Message(topic: try topic(name), payload: [1], kind: .binary, seq: seq, time: 1)
        }
        let set = SubscriptionSet()
        for (number, name) in [(1, "h/#"), (2, "n/#")] as [(UInt32, String)] {
            set.add(
                Subscription(
                    number: number, filter: try filter(name), position: 0, skipsOwn: false, slow: .dropOldest,
                    usesHistory: true))
        }
        _ = set.setBehind(at: 0)
        for seq in stride(from: 1 as UInt64, to: 401, by: 2) {
            #expect(set.drop(try message(seq, "n/1"), floor: seq - 1, client: 9))
        }
        var told: [UInt64] = []
        for seq in stride(from: 2 as UInt64, through: 400, by: 2) {
            let next = try message(seq, "h/1")
            for (subscription, gap) in set.takeGaps(upTo: seq - 1) + set.takeGaps(before: next) {
                #expect(subscription.filter.name == "n/#" && gap.since < gap.seq && gap.seq < seq)
                told += Array(gap.since + 1...gap.seq)
            }
            #expect(told.last == seq - 1)
        }
        #expect(told == told.sorted() && Set(told).isSuperset(of: stride(from: 1, to: 400, by: 2)))
        #expect(Set(told).count == told.count, "no two gaps overlap")
    }

    /// Its own publications may be answered while a list of filters is subscribed to: they are numbered then, and come
    /// for the first filters.
    @Test func theModelKnowsOfAnswersWithinASubscription() throws {
        let message = Message(topic: try topic("k/1"), payload: Array("own".utf8), kind: .text, seq: 1, time: 1)
        let subscribe = OwedSchedule.Command.subscribe(
            ["k/1", "t/1"], slow: .close, hearsItself: true, since: nil, wantsSnapshot: false)
        var transcript = OwedSchedule.Transcript(client: 7, shard: 0)
        transcript.commands = [1: .publish(topic: "k/1", data: "own"), 2: subscribe]
        transcript.sent = [1: .init(newest: 0, changes: 0), 2: .init(newest: 0, changes: 0)]
        transcript.notices = try [
            #"{"op":"message","topic":"k/1","seq":1,"time":1,"data":"own"}"#, #"{"op":"ok","id":1,"seq":1}"#,
            #"{"op":"ok","id":2,"seq":1}"#, #"{"op":"live","filter":"k/1","seq":1}"#,
            #"{"op":"live","filter":"t/1","seq":1}"#,
        ].map { try Notice(json: Array($0.utf8)) }
        let world = OwedSchedule.World(
            log: [message], hasFailed: false, isTight: false, isDelayed: true,
            rights: [.init(filters: [try filter("#")])], transcripts: [transcript])
        var model = OwedModel(world, transcript)
        model.check()
        #expect(model.complaints == [])
    }

    /// Ten thousand schedules in one run would have no descriptors otherwise.
    @Test func freesEverythingAtItsEnd() throws {
        weak var sequencer: Sequencer?
        do {
            let gate = GateStore()
            let harness = try ExchangeHarness(gate, order: [0, 1])
            let stub = try harness.connectJSON(on: 1, sendBuffer: 4096)
            gate.shut()
            try stub.send(#"{"op":"publish","topic":"a","data":"x","retain":true}"#)
            try stub.send(##"{"op":"subscribe","filter":"#","since":0}"##)
            sequencer = harness.sequencer
            #expect(sequencer != nil)
            gate.open()
        }
        #expect(sequencer == nil)
    }
}
