import Testing

@testable import Broker
@testable import WSTransport

@Suite("§1: a publication with a key counts once", .timeLimit(.minutes(10)))
struct PublishKeyTests {
    private func key(_ text: String, owner: String = "ann") -> PublishKey {
        PublishKey(stored: Array(text.utf8), owner: owner)
    }

    @Test func remembersAKeyForItsWindow() {
        var table = KeyTable()
        table.rules.window = 1000
        table.add(key("a"), seq: 1, time: 100, isQueued: true)
        table.add(key("b"), seq: 3, time: 600, isQueued: false)
        #expect(table.message(of: key("a"), at: 1099)?.seq == 1)
        #expect(table.message(of: key("a"), at: 1099)?.isQueued == true)
        #expect(table.message(of: key("c"), at: 1099) == nil)
        // Too old, whether it has been removed or not.
        #expect(table.message(of: key("a"), at: 1100) == nil && table.count == 2)
        table.add(key("a"), seq: 5, time: 1200, isQueued: true)
        table.forget(at: 1200)
        #expect(table.message(of: key("a"), at: 1300)?.seq == 5)
        table.forget(at: 1600)
        #expect(table.count == 1)
        table.forget([5])
        #expect(table.count == 0 && table.bytes == 0)
    }

    @Test func limitsKeysPerUserAndInTotal() throws {
        var table = KeyTable()
        (table.rules.maximumBytes, table.rules.maximumBytesPerUser) = (1000, 500)
        func add(_ text: String, _ owner: String, _ seq: UInt64) throws(Refusal) {
            try table.check(key(text, owner: owner))
            table.add(key(text, owner: owner), seq: seq, time: Int64(seq), isQueued: false)
        }
        for seq in 1...3 { try add("\(seq)", "ann", UInt64(seq)) }
        #expect(throws: Refusal(.limitExceeded, "The limit publish.keys_per_user is reached.")) {
            try add("4", "ann", 4)
        }
        for seq in 5...7 { try add("\(seq)", "bob", UInt64(seq)) }
        try add("8", "eve", 8)
        #expect(throws: Refusal(.limitExceeded, "The limit publish.keys is reached.")) { try add("9", "eve", 9) }
        table.forget(at: .max)
        try add("9", "eve", 9)
    }

    @Test func refusalsNameTheirLimits() {
        var table = KeyTable()
        (table.rules.maximumBytes, table.rules.maximumBytesPerUser) = (1000, 10)
        let refusal = #expect(throws: Refusal.self) { try table.check(key("a")) }
        #expect(refusal?.limit == "publish.keys_per_user")
        #expect(Refusal(afterDelivery: .limit("retained.maximum_bytes")).limit == "retained.maximum_bytes")
        #expect(Refusal(.forbidden, "No.").limit == nil)
    }

    @Test func forgetsOldKeys() {
        var table = KeyTable()
        table.rules.window = 50
        for seq in 1...20_000 {
            table.forget(at: Int64(seq))
            table.add(key("\(seq)"), seq: UInt64(seq), time: Int64(seq), isQueued: false)
        }
        #expect(table.count == 50 && table.message(of: key("19951"), at: 20_000)?.seq == 19_951)
        #expect(table.message(of: key("19950"), at: 20_000) == nil)
    }

    private func draft(_ name: String, _ key: String, isRetained: Bool = false) throws -> Draft {
        var draft = Draft(topic: try topic(name), payload: [1], kind: .text)
        draft.key = PublishKey(stored: Array("\(name) \(key)".utf8), owner: "ann")
        draft.isRetained = isRetained
        if isRetained { draft.acknowledgement = .stored }
        return draft
    }

    /// The first answer again, in one turn or many, on any reactor; another topic or key is another message.
    @Test(arguments: [false, true])
    func answersARepetitionLikeTheOriginal(isDelayed: Bool) throws {
        let harness = try ExchangeHarness(order: [0, 1], isDelayed: isDelayed)
        let first = try harness.publish(on: 0, [draft("a", "k"), draft("a", "k"), draft("b", "k"), draft("a", "l")])
        #expect(try first.map { try $0.get().seq } == [1, 1, 2, 3])
        let stored = try harness.publish(on: 1, [draft("r", "k", isRetained: true), draft("a", "k")])
        #expect(try stored.map { try $0.get() } == [Receipt(seq: 4, isStored: true), Receipt(seq: 1, isStored: false)])
        let again = try harness.publish(on: 0, [draft("r", "k", isRetained: true)])
        #expect(try again.map { try $0.get() } == [Receipt(seq: 4, isStored: true)])
        #expect(harness.published().map(\.seq) == [1, 2, 3, 4])
        #expect(harness.counters.reduce(0) { $0 + $1.repeatedPublishes.current } == 3)
    }

    /// Its publisher waits with the first one, and may try again where that could not be stored.
    @Test func aRepetitionWaitsForTheOriginalToBeStored() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate)
        gate.shut()
        let stub = try harness.connectJSON()
        for id in 1...2 {
            try stub.send(
                #"{"op":"publish","id":\#(id),"topic":"r","data":"x","retain":true,"key":"k"}"#)
        }
        // Both have been read before the store answers the first.
        try stub.ask(#"{"op":"ping","id":9}"#, id: 9)
        gate.fail(with: .full)
        gate.open()
        let failed = try [stub.receive(), stub.receive()]
        #expect(failed.map(\.op) == ["error", "error"] && Set(failed.map(\.id)) == [1, 2])
        gate.fail(with: nil)
        try stub.send(#"{"op":"publish","id":3,"topic":"r","data":"x","retain":true,"key":"k"}"#)
        let stored = try stub.receive()
        #expect(stored.op == "ok" && stored.stored == true)
        try stub.send(#"{"op":"publish","id":4,"topic":"r","data":"x","retain":true,"ifSeq":0,"key":"k"}"#)
        let again = try stub.receive()
        #expect(again.seq == stored.seq && again.stored == true)
        // What was refused is taken back, which is no publication of the client's.
        #expect(harness.published().count { !$0.payload.isEmpty } == 2)
    }

    @Test func keysOfStoredMessagesSurviveARestart() throws {
        let directory = TestDirectory()
        var seq: UInt64 = 0
        do {
            let harness = try ExchangeHarness(directory.open())
            seq = try harness.publish([draft("r", "k", isRetained: true), draft("a", "k")])[0].get().seq
        }
        let harness = try ExchangeHarness(directory.open())
        let again = try harness.publish([draft("r", "k", isRetained: true), draft("a", "k")])
        #expect(try again[0].get() == Receipt(seq: seq, isStored: true))
        #expect(harness.published().map(\.topic.name) == ["a"], "keys that are not stored are forgotten by a restart")
    }

    @Test func removesOldKeysFromTheStore() throws {
        let store = try TestDirectory().open()
        store.adopt(keyWindow: 1000)
        func apply(_ seq: UInt64, time: Int64) throws {
            let message = try retained("a", "x", seq: seq, time: time)
            let key = PublishKey(stored: Array("k\(seq)".utf8), owner: "ann")
            try store.apply([StoreEntry(message, key: key)], reserving: nil, now: time)
        }
        try apply(1, time: 100)
        try apply(2, time: 900)
        #expect(
            try store.keys().first == StoredKey(seq: 1, time: 100, name: Array("k1".utf8), owner: "ann"))
        try apply(3, time: 1100)
        #expect(try store.keys().map(\.seq) == [2, 3])
        while try store.maintain(now: 1900) {}
        #expect(try store.keys().map(\.seq) == [3])
    }
}
