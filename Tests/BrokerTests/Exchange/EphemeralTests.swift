import Testing

@testable import Broker
@testable import WSTransport

@Suite("§1: ephemeral values live as long as their publishers' connections", .timeLimit(.minutes(10)))
struct EphemeralTests {
    private func watcher(_ harness: ExchangeHarness, _ filter: String) throws -> StubClient {
        let stub = try harness.connectJSON()
        try stub.send(#"{"op":"subscribe","id":1,"filter":"\#(filter)"}"#)
        while try stub.receive().op != "live" {}
        return stub
    }

    private func set(_ stub: StubClient, _ topic: String, _ data: String, _ members: String = "") throws -> Notice {
        let command = #"{"op":"publish","id":9,"topic":"\#(topic)","data":"\#(data)","ephemeral":true\#(members)}"#
        return try #require(try stub.ask(command, id: 9).last)
    }

    @Test func livesUntilItsConnectionEnds() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let (follower, member) = (try watcher(harness, "who/+"), try harness.connectJSON(on: 1))
        #expect(try set(member, "who/ann", "here").stored == false)
        let come = try follower.receive()
        #expect(come.topic == "who/ann" && come.retain == true && come.data == "here")
        #expect(try harness.sequencer.value(of: topic("who/ann"))?.seq == come.seq)
        // By a filter with wildcards, and by the topic itself.
        for filter in ["#", "who/ann"] {
            let late = try harness.connectJSON(on: 1)
            try late.send(#"{"op":"subscribe","id":1,"filter":"\#(filter)"}"#)
            #expect(try [late.receive().op, late.receive().data, late.receive().op] == ["ok", "here", "live"])
        }
        member.leave()
        let gone = try follower.receive()
        #expect(gone.topic == "who/ann" && gone.removed == true && gone.data == nil)
        #expect(try harness.sequencer.value(of: topic("who/ann")) == nil)
        #expect(harness.sequencer.ephemerals.count == 0)
        #expect(harness.sequencer.ephemerals.bytes == 0)
        // Its own reactor learns of that in its turn.
        try harness.wait(on: 1) { $0.counters.endedEphemerals.current == 1 }
        // Nothing came to the disk.
        #expect(try harness.store.value(of: topic("who/ann"), now: .min) == nil)
    }

    @Test func publishesAFarewell() throws {
        let harness = try ExchangeHarness()
        let (follower, member) = (try watcher(harness, "#"), try harness.connectJSON())
        _ = try set(member, "who/ann", "here", #","farewell":{"data":"lost"}"#)
        #expect(try follower.receive().data == "here")
        member.leave()
        let gone = try follower.receive()
        #expect(gone.removed == true && gone.data == "lost" && gone.retain == nil)
        #expect(try harness.sequencer.value(of: topic("who/ann")) == nil)
    }

    /// The value belongs to its last publisher, and with a grace no subscriber sees a removal.
    @Test func canBeTakenOverWithinItsGrace() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let (follower, first) = (try watcher(harness, "#"), try harness.connectJSON(on: 1))
        _ = try set(first, "who/ann", "1", #","grace":0.05"#)
        let second = try harness.connectJSON(on: 1)
        first.leave()
        _ = try set(second, "who/ann", "2", #","grace":60"#)
        _ = try set(second, "who/bob", "b")
        second.leave()
        // Both leases of `who/ann` are over or run on: only `who/bob` goes.
        try harness.wait(on: 1) { $0.counters.endedEphemerals.current == 1 }
        let seen = try (0..<4).map { _ in try follower.receive() }
        #expect(seen.map(\.data) == ["1", "2", "b", nil] && seen[3].topic == "who/bob")
        #expect(try harness.sequencer.value(of: topic("who/ann"))?.payload.array == Array("2".utf8))
    }

    @Test func aGraceTakesNoMemoryAfterATakeover() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        func waiting() throws -> Int { try harness.run(on: 1) { $0.reactor.later.count } }
        let before = try waiting()
        for round in 0..<3 {
            let (member, next) = (try harness.connectJSON(on: 1), try harness.connectJSON())
            for number in 0..<50 { _ = try set(member, "who/\(number)", "1", #","grace":300"#) }
            // Half of the values are taken over before their client leaves, and half afterwards.
            for number in 0..<25 { _ = try set(next, "who/\(number)", "2") }
            member.leave()
            try harness.wait(on: 1) { $0.everybody.isEmpty }
            #expect(try waiting() >= before + 25, "round \(round)")
            for number in 25..<50 { _ = try set(next, "who/\(number)", "2") }
            try harness.wait(on: 1) { $0.reactor.later.count < before + 10 }
            next.leave()
            // A client's values end soon after it has left.
            try harness.wait { $0.sequencer.ephemerals.count == 0 }
        }
    }

    @Test func endsWhenTheGraceIsOver() throws {
        let harness = try ExchangeHarness()
        let (follower, member) = (try watcher(harness, "#"), try harness.connectJSON())
        _ = try set(member, "who/ann", "1", #","grace":0.01"#)
        member.leave()
        #expect(try [follower.receive().data, follower.receive().removed.map { "\($0)" }] == ["1", "true"])
    }

    @Test func neverReplacesAValueOnDisk() throws {
        let harness = try ExchangeHarness()
        let member = try harness.connectJSON()
        _ = try harness.publish([draft("a", "disk", retained: true)])
        #expect(try set(member, "a", "x").code == "conflict")
        #expect(try set(member, "b", "x").op == "ok")
        // A value on disk takes its place, and does not go with the connection.
        _ = try harness.publish([draft("b", "disk", retained: true)])
        #expect(harness.sequencer.ephemerals.count == 0)
        // A removal by any client counts, and needs no disk.
        #expect(try set(member, "c", "x").op == "ok")
        #expect(try harness.publish([draft("c", "", retained: true)])[0].value?.isStored == false)
        member.leave()
        try harness.wait { $0.everybody.isEmpty }
        _ = try harness.publish([draft("fence")])
        let log = harness.published()
        #expect(log.map { "\($0.topic)\($0.isRemoval ? "-" : "")" } == ["a", "b", "b", "c", "c-", "fence"])
        #expect(try harness.sequencer.value(of: topic("b"))?.payload.array == Array("disk".utf8))
    }

    @Test func canBeUsedAsALock() throws {
        let harness = try ExchangeHarness()
        let (first, second) = (try harness.connectJSON(), try harness.connectJSON())
        #expect(try set(first, "lock", "1", #","ifSeq":0"#).op == "ok")
        #expect(try set(second, "lock", "2", #","ifSeq":0"#).code == "conflict")
        let follower = try watcher(harness, "lock")
        first.leave()
        #expect(try follower.receive().removed == true)
        #expect(try set(second, "lock", "2", #","ifSeq":0"#).op == "ok")
    }

    @Test(arguments: [
        #""ttl":1"#, #""key":"k""#, #""grace":301"#, #""grace":-1"#, #""farewell":{"data":""}"#, #""farewell":1"#,
    ])
    func rejectsIncompatibleOptions(members: String) throws {
        let harness = try ExchangeHarness()
        let member = try harness.connectJSON()
        #expect(try set(member, "a", "x", ",\(members)").code == "bad-request")
        #expect(harness.published().isEmpty)
    }

    @Test func enforcesItsLimits() throws {
        var settings = Settings()
        (settings.limits.ephemeralValues, settings.limits.ephemeralBytes) = (3, 1000)
        let harness = try ExchangeHarness(settings: settings)
        let member = try harness.connectJSON()
        for name in ["a", "b", "c"] { #expect(try set(member, name, "x").op == "ok") }
        #expect(try set(member, "d", "x").code == "limit-exceeded")
        #expect(try set(member, "a", "again").op == "ok")
        #expect(try set(member, "a", String(repeating: "x", count: 900)).code == "limit-exceeded")
        // A lease ends if another client, or the client itself, removes the value.
        _ = try harness.publish([draft("b", "", retained: true)])
        try member.ask(#"{"op":"publish","id":8,"topic":"c","data":"","retain":true}"#, id: 8)
        #expect(try set(member, "d", "x").op == "ok" && set(member, "e", "x").op == "ok")
        #expect(try set(member, "f", "x").code == "limit-exceeded")
        #expect(try set(member, "e", "").op == "ok" && set(member, "f", "x").op == "ok")
        settings.limits.ephemeralMemory = 100
        try harness.reload(settings)
        let other = try harness.connectJSON()
        #expect(try set(other, "g", "x").code == "limit-exceeded")
        #expect(harness.counters[0].refusedEphemerals.current == 4)
    }

    @Test func isRemovedWithTheRight() throws {
        let harness = try ExchangeHarness()
        let (follower, member) = (try watcher(harness, "#"), try harness.connectJSON())
        for name in ["a/1", "b/1"] { _ = try set(member, name, "x", #","farewell":{"data":"bye"}"#) }
        var settings = Settings()
        (settings.access.anonymous.publish, settings.access.anonymous.subscribe) = (["a/#"], ["#"])
        try harness.reload(settings)
        let seen = try (0..<3).map { _ in try follower.receive() }
        #expect(seen[2].topic == "b/1" && seen[2].removed == true && seen[2].data == nil)
        member.leave()
        let last = try follower.receive()
        #expect(last.topic == "a/1" && last.data == "bye")
    }

    /// Others do not wait until thousands of values of clients that leave together are removed.
    @Test func endsManyValuesInSeveralTurns() throws {
        let harness = try ExchangeHarness(settings: Self.forAll())
        let follower = try watcher(harness, "#")
        let most = TurnShare.ownPublications
        let count = most * 2 + 88
        var members: [StubClient] = []
        for first in stride(from: 0, to: count, by: 100) {
            let member = try harness.connectJSON(as: Principal(.token, user: "ann"))
            members.append(member)
            for number in first..<min(count, first + 100) {
                try member.send(#"{"op":"publish","topic":"who/\#(number)","data":"1","ephemeral":true}"#)
            }
            _ = try member.ask(#"{"op":"ping","id":7}"#, id: 7)
        }
        for _ in 0..<count { #expect(try follower.receive().data == "1") }
        let answer = Answer<[Int]>()
        try harness.run { shard in
            for session in shard.everybody where session.client.principal.user == "ann" { session.connection?.reset() }
            watch(shard, []) { answer.put($0) }
        }
        #expect(try answer.get() == [count, count - most, count - 2 * most, 0])
        for _ in 0..<count { #expect(try follower.receive().removed == true) }
    }

    /// Everybody may do everything, also with a name.
    private static func forAll() -> Settings {
        var (settings, rule) = (Settings(), Settings.Access.Rule())
        (rule.everyone, rule.publish, rule.subscribe, rule.retain) = (true, ["#"], ["#"], ["#"])
        settings.access.rules = [rule]
        return settings
    }

    /// Records how many ephemeral values there are at the beginning of each turn, until there are none.
    private func watch(_ shard: Shard, _ counts: [Int], _ then: @escaping ([Int]) -> Void) {
        let now = shard.sequencer.ephemerals.count
        let all = counts.last == now ? counts : counts + [now]
        if now == 0 { return then(all) }
        shard.reactor.runSoon { [unowned shard] in watch(shard, all, then) }
    }

    /// A client that may publish nothing more does not leave anything either.
    @Test(arguments: ["", #","grace":300"#]) func leavesNothingWhenItsUserIsLockedOut(members: String) throws {
        let harness = try ExchangeHarness(settings: Self.forAll())
        let (follower, member) = (
            try watcher(harness, "#"), try harness.connectJSON(as: Principal(.token, user: "ann"))
        )
        #expect(try set(member, "who/ann", "here", #","farewell":{"data":"bye"}"# + members).op == "ok")
        #expect(try follower.receive().data == "here")
        try harness.run { $0.endSessions(of: { $0.user == "ann" }) }
        let gone = try follower.receive()
        #expect(gone.removed == true && gone.data == nil)
        #expect(harness.sequencer.ephemerals.count == 0)
    }

    /// Its changes are not in the history, but a resuming client gets them nevertheless, or a gap.
    @Test func isDeliveredToResumingClients() throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "#", messages: 100_000)]
        let harness = try ExchangeHarness(settings: settings)
        let member = try harness.connectJSON()
        _ = try harness.publish([draft("room/1", "kept 1")])
        _ = try set(member, "room/ann", "here")
        _ = try harness.publish([draft("room/1", "kept 2")])
        _ = try set(member, "room/ann", "")
        _ = try set(member, "room/ann", "again")
        let stub = try harness.connectJSON()
        try stub.send(#"{"op":"subscribe","id":1,"filter":"room/#","since":1}"#)
        var seen: [Notice] = []
        repeat { seen.append(try stub.receive()) } while seen.last?.op != "live"
        #expect(seen.map(\.seq) == [5, 2, 3, 4, 5, 5] && seen.map(\.removed) == [nil, nil, nil, true, nil, nil])
        #expect(seen.allSatisfy { $0.op != "gap" && $0.retained == nil })
        // More changes than are remembered.
        for number in 0..<RecentEphemerals.maximumCount {
            try member.send(
                #"{"op":"publish","topic":"room/ann","data":"\#(number)","ephemeral":true}"#)
        }
        _ = try member.ask(#"{"op":"ping","id":7}"#, id: 7)
        let late = try harness.connectJSON()
        try late.send(#"{"op":"subscribe","id":1,"filter":"room/1","since":1}"#)
        seen = []
        repeat { seen.append(try late.receive()) } while seen.last?.op != "live"
        // In two parts, as a message of the history lies between them.
        #expect(seen.filter { $0.op == "gap" }.map(\.since) == [1, 3])
        #expect(seen.filter { $0.op == "message" }.map(\.data) == ["kept 2"])
    }

    /// After the end of a process the values are unknown: a gap says so, but only if a rule keeps such topics.
    @Test(arguments: [true, false])
    func aRestartIsReportedAsAGap(isKept: Bool) throws {
        let directory = TestDirectory()
        var settings = Settings()
        settings.history = [Settings.History(filter: isKept ? "#" : "chat/#", messages: 100)]
        do {
            let harness = try ExchangeHarness(try directory.open(), settings: settings)
            _ = try harness.publish([draft("chat/1", "1")])
            _ = try set(try harness.connectJSON(), "who/ann", "here")
            _ = try harness.publish([draft("chat/1", "2")])
        }
        let harness = try ExchangeHarness(try directory.open(), settings: settings)
        let stub = try harness.connectJSON()
        try stub.send(#"{"op":"subscribe","id":1,"filter":"chat/#","since":1}"#)
        var seen: [Notice] = []
        repeat { seen.append(try stub.receive()) } while seen.last?.op != "live"
        #expect(seen.contains { $0.op == "gap" && $0.since == 1 } == isKept)
        #expect(seen.contains { $0.data == "2" })
    }

    /// A reader's table stays as it was, and is read in pieces of any size.
    @Test(arguments: 0..<20)
    func aTableIsReadInPieces(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var table = EphemeralTable()
        var truth: [Topic: UInt64] = [:]
        for seq in 1...600 as ClosedRange<UInt64> {
            let name = try topic("t/\(Int.random(in: 0..<200, using: &random))")
            if Int.random(in: 0..<4, using: &random) == 0 {
                table.remove(name)
                truth[name] = nil
            } else {
                table.set(Message(topic: name, payload: [1], kind: .text, isRetained: true, seq: seq, time: 1))
                truth[name] = seq
            }
        }
        #expect(table.count == truth.count)
        let copy = table
        for name in truth.keys { table.remove(name) }
        #expect(table.isEmpty && table.bytes == 0)
        var (place, found, isAll) = (EphemeralTable.Place(), [Topic: UInt64](), false)
        while !isAll {
            isAll = copy.read(try TopicFilter("t/+"), from: &place, visiting: Int.random(in: 1...9, using: &random)) {
                #expect(found.updateValue($0.seq, forKey: $0.topic) == nil)
                return Int.random(in: 0..<3, using: &random) > 0
            }
        }
        #expect(found == truth)
    }
}
