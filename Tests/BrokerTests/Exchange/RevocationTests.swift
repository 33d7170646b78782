import Testing

@testable import Broker
@testable import WSTransport

@Suite("Rights revoked from connected clients")
struct RevocationTests {
    private func settings(publish: [String] = ["#"], subscribe: [String] = ["#"]) -> Settings {
        var settings = Settings()
        settings.access.anonymous.publish = publish
        settings.access.anonymous.subscribe = subscribe
        return settings
    }

    private func subscribe(_ stub: StubClient, _ filters: String) throws {
        try stub.ask(#"{"op":"subscribe","id":1,"snapshot":false,"filter":\#(filters)}"#, id: 1)
    }

    /// The next message that is no marker.
    private func next(_ stub: StubClient) throws -> Notice {
        var notice: Notice
        repeat { notice = try stub.receive() } while notice.op == "live"
        return notice
    }

    @Test func tellsTheClientAndKeepsOtherSubscriptions() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        try subscribe(stub, #"["a/#","b","a/1"]"#)
        try harness.reload(settings(subscribe: ["b"]))
        #expect(try next(stub).filter == "a/#")
        let last = try next(stub)
        #expect(last.op == "revoked" && last.filter == "a/1")
        _ = try harness.publish([draft("a/1"), draft("a/2"), draft("b", "still")])
        #expect(try next(stub).data == "still")
        #expect(harness.counters[0].subscriptions.current == 1 && harness.counters[0].revoked.current == 2)
        #expect(try stub.ask(#"{"op":"subscribe","id":2,"filter":"a/1"}"#, id: 2).last?.code == "forbidden")
        #expect(try stub.ask(#"{"op":"unsubscribe","id":3,"filter":"a/1"}"#, id: 3).last?.code == "not-found")
        try harness.reload(settings())
        #expect(try stub.ask(#"{"op":"subscribe","id":4,"snapshot":false,"filter":"a/1"}"#, id: 4).last?.op == "ok")
    }

    /// Messages published before the change and in the same turn.
    @Test func nothingIsDeliveredAfterwards() throws {
        let harness = try ExchangeHarness()
        let stubs = try (0..<20).map { _ in try harness.connectJSON() }
        for stub in stubs { try subscribe(stub, #"["a/+","a/#","b"]"#) }
        nonisolated(unsafe) let drafts = try [draft("a/1", "before"), draft("a/1", "with"), draft("b", "still")]
        let changed = settings(subscribe: ["b"])
        try harness.run { shard in
            // One client a turn, so that most are still to be looked at when the messages come.
            shard.reviewTime = 0
            shard.publish(drafts[0], from: nil)
            shard.adopt(changed)
            shard.publish(drafts[1], from: nil)
            shard.publish(drafts[2], from: nil)
        }
        for stub in stubs {
            #expect(try [next(stub), next(stub)].map(\.op) == ["revoked", "revoked"])
            #expect(try next(stub).data == "still")
        }
        #expect(harness.counters[0].delivered.current == 20)
    }

    /// However many there are, other clients wait for one turn's part of them only.
    @Test(arguments: [(0, 19), (Int64.max, 0)])
    func limitsTheTimeOfReviewsPerTurn(time: Int64, left: Int) throws {
        let harness = try ExchangeHarness()
        let stubs = try (0..<20).map { _ in try harness.connectJSON() }
        for stub in stubs { try subscribe(stub, #"["a/#","b"]"#) }
        let changed = settings(subscribe: ["b"])
        let unreviewed = try harness.run { shard in
            shard.reviewTime = time
            shard.adopt(changed)
            return shard.unreviewed.count
        }
        #expect(unreviewed == left)
        for stub in stubs { #expect(try next(stub).op == "revoked") }
    }

    /// Bans, kicks and ended logins: a turn ends its part of the clients, and the remaining ones get nothing meanwhile.
    @Test(arguments: [true, false])
    func closesManyClientsOverSeveralTurns(byBan: Bool) throws {
        var rule = Settings.Access.Rule()
        (rule.everyone, rule.subscribe) = (true, ["a"])
        var settings = settings()
        settings.access.rules = [rule]
        let harness = try ExchangeHarness(settings: settings)
        let bob = try (0..<20).map { _ in try harness.connectJSON(as: Principal(.token, user: "bob")) }
        let eve = try harness.connectJSON(as: Principal(.token, user: "eve"))
        for stub in bob + [eve] { try subscribe(stub, #"["a"]"#) }
        let subject = try #require(Ban.Subject(.user, "bob"))
        let list = Bans().add([subject], seconds: nil, note: "", atMost: 9, now: MonotonicTime.now).list
        nonisolated(unsafe) let message = try draft("a", "with")
        let ended = Answer<Int>()
        let left = try harness.run { shard in
            shard.reviewTime = 0
            let tell: (Int) -> Void = { ended.put($0) }
            if byBan {
                shard.adopt(list, then: tell)
            } else {
                shard.endSessions(judge: { $0.client.principal.user == "bob" ? .kicked("banned") : nil }, then: tell)
            }
            shard.publish(message, from: nil)
            return shard.unreviewed.count
        }
        #expect(left == 20)
        for stub in bob { #expect(try end(stub) == "banned") }
        #expect(try next(eve).data == "with")
        // Asked after the last piece: an answer comes only when all have been judged.
        #expect(try ended.get() == 20)
        #expect(harness.counters[0].delivered.current == 1)
    }

    /// The reason of a CLOSE, before which there is at most the marker of the subscription.
    private func end(_ stub: StubClient) throws -> String? {
        var frame = try #require(try stub.frame())
        if frame.opcode == 1 {
            #expect(frame.text.contains(#""op":"live""#))
            frame = try #require(try stub.frame())
        }
        #expect(frame.opcode == 8)
        return String(validating: frame.payload.dropFirst(2), as: UTF8.self)
    }

    /// The revoked filter is found first, and the other one must deliver the message.
    @Test func anotherMatchingFilterStillDelivers() throws {
        let harness = try ExchangeHarness()
        let stubs = try (0..<20).map { _ in try harness.connectJSON() }
        for stub in stubs { try subscribe(stub, #"["a/+","+/1"]"#) }
        nonisolated(unsafe) let message = try draft("a/1", "with")
        let changed = settings(subscribe: ["+/1"])
        try harness.run { shard in
            shard.reviewTime = 0
            shard.adopt(changed)
            shard.publish(message, from: nil)
        }
        for stub in stubs {
            #expect(try next(stub).op == "revoked")
            #expect(try next(stub).data == "with")
        }
        #expect(harness.counters[0].delivered.current == 20)
    }

    /// A client that is behind, whose snapshot and messages wait for the store.
    @Test func dropsMessagesWaitingForTheStore() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate)
        _ = try harness.publish([draft("a/1", "old", retained: true), draft("b", "value", retained: true)])
        let stub = try harness.connectJSON()
        gate.setBusy(true)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":["a/#","b"]}"#, id: 1)
        try stub.send(#"{"op":"publish","topic":"a/1","data":"later"}"#)
        try stub.ask(#"{"op":"publish","id":2,"topic":"b","data":"live"}"#, id: 2)
        try harness.reload(settings(subscribe: ["b"]))
        gate.setBusy(false)
        var seen: [Notice] = []
        repeat { seen.append(try stub.receive()) } while seen.last?.data != "live"
        let revoked = try #require(seen.firstIndex { $0.op == "revoked" })
        #expect(seen[revoked...].allSatisfy { $0.topic != "a/1" })
        #expect(seen.contains { $0.data == "value" && $0.retained == true })
    }

    /// The history that a client resumes, and messages due to a subscription that it has ended itself.
    @Test(arguments: [false, true])
    func sendsNoHistory(isEnded: Bool) throws {
        let gate = GateStore()
        var settings = settings()
        settings.history = [Settings.History(filter: "#", messages: 100)]
        let harness = try ExchangeHarness(gate, settings: settings)
        let stub = try harness.connectJSON()
        let first = try #require(try harness.publish([draft("b", "first")]).first?.value?.seq)
        _ = try harness.publish([draft("a/1", "old"), draft("b", "kept"), draft("a/2", "old")])
        // The history is on disk, and no longer in memory.
        _ = try harness.publish([draft("c", "stored", retained: true)])
        gate.setBusy(true)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":["a/#","b"],"since":\#(first)}"#, id: 1)
        if isEnded { try stub.send(#"{"op":"unsubscribe","id":2,"filter":"a/#"}"#) }
        try stub.ask(#"{"op":"ping","id":3}"#, id: 3)
        settings.access.anonymous.subscribe = ["b"]
        try harness.reload(settings)
        gate.setBusy(false)
        try stub.send(#"{"op":"publish","topic":"b","data":"end"}"#)
        var seen: [Notice] = []
        repeat { seen.append(try stub.receive()) } while seen.last?.data != "end"
        #expect(seen.allSatisfy { $0.topic != "a/1" && $0.topic != "a/2" })
        #expect(seen.compactMap(\.data) == ["kept", "end"])
        #expect(seen.contains { $0.op == "revoked" } == !isEnded)
        #expect(seen.contains { $0.id == 2 } == isEnded, "the end is answered all the same")
    }

    /// The store was to deliver a message to both, so it was not kept for the one with `latest`.
    @Test func announcesMessagesLostWithAnotherSubscription() throws {
        let gate = GateStore()
        var settings = settings()
        settings.history = [Settings.History(filter: "t/#", messages: 100)]
        let harness = try ExchangeHarness(gate, settings: settings)
        let stub = try harness.connectJSON()
        _ = try harness.publish([draft("t/2", "old")])
        gate.setBusy(true)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"t/1","slow":"latest","snapshot":false}"#, id: 1)
        try stub.ask(#"{"op":"subscribe","id":2,"filter":"t/#","since":0}"#, id: 2)
        let seq = try #require(try harness.publish([draft("t/1", "lost")])[0].value?.seq)
        settings.access.anonymous.subscribe = ["t/1"]
        try harness.reload(settings)
        gate.setBusy(false)
        _ = try harness.publish([draft("t/1", "end")])
        var seen: [Notice] = []
        repeat { seen.append(try stub.receive()) } while seen.last?.data != "end"
        let gap = try #require(seen.first { $0.op == "gap" && $0.filter == "t/1" })
        #expect(try #require(gap.since) < seq && seq <= #require(gap.seq))
    }

    @Test func publishingEndsAtOnce() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        func publish(_ id: Int, _ topic: String, _ more: String = "") throws -> String? {
            try stub.ask(#"{"op":"publish","id":\#(id),"topic":"\#(topic)","data":1\#(more)}"#, id: id).last?.code
        }
        #expect(try publish(1, "a") == nil && publish(2, "a") == nil)
        try harness.reload(settings(publish: ["b/+"], subscribe: ["b/1"]))
        #expect(try publish(3, "a") == "forbidden" && publish(4, "b/1") == nil && publish(5, "b/2") == nil)
        // The outcome of a condition reveals a value that may not be read.
        #expect(try publish(6, "b/2", #","retain":true,"ifSeq":7"#) == "forbidden")
        #expect(try publish(7, "b/1", #","retain":true,"ifSeq":7"#) == "conflict")
        try harness.reload(settings(publish: []))
        #expect(try publish(8, "b/1") == "forbidden")
        try harness.reload(settings())
        #expect(try publish(9, "a") == nil)
    }

    /// A client keeps its rights if a reload changes something else, or adds rights.
    @Test func unrelatedReloadsRevokeNothing() throws {
        let harness = try ExchangeHarness(settings: settings(subscribe: ["a/#"]))
        let stub = try harness.connectJSON()
        try subscribe(stub, #"["a/#","a/b"]"#)
        try harness.reload(settings(subscribe: ["#"]))
        var other = settings(subscribe: ["#"])
        other.limits.topic = 100
        try harness.reload(other)
        _ = try harness.publish([draft("a/b", "still")])
        #expect(try next(stub).data == "still")
        #expect(harness.counters[0].revoked.current == 0)
    }
}
