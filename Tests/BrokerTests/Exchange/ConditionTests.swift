import Dispatch
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Sequencer: conditions and values that are not on disk yet")
struct ConditionTests {
    private let gate = GateStore()

    /// A order that stores by way of `gate`, and its thread, to be stopped.
    private func make(maximumQueuedBytes: Int = 1 << 20) throws -> (order: LocalOrder, thread: StoreThread) {
        let order = try LocalOrder(store: gate)
        let thread = StoreThread(store: gate, maximumQueuedBytes: maximumQueuedBytes) { order.settled($0) }
        try thread.start()
        order.attach(thread)
        return (order, thread)
    }

    private func publish(
        _ order: LocalOrder, _ name: String, _ payload: String, if condition: Draft.Condition = .none,
        timeToLive: Int64? = nil
    ) throws -> Result<UInt64, Refusal> {
        var draft = try draft(name, payload, retained: true)
        draft.condition = condition
        draft.timeToLive = timeToLive
        return order.sequence([draft], from: 0)[0].map(\.seq)
    }

    private func text(_ order: LocalOrder, _ name: String) throws -> String? {
        try order.value(of: topic(name)).map { String(decoding: $0.payload, as: UTF8.self) }
    }

    /// Ends the thread when everything is committed.
    private func settle(_ thread: StoreThread) {
        gate.open()
        thread.stop()
    }

    private final class Wins: Sendable {
        let seqs = Mutex<[UInt64]>([])
    }

    // MARK: Conditions

    struct Case: Sendable, CustomTestStringConvertible {
        let condition: Draft.Condition
        /// Without a value, and with one whose seq is 1.
        let without: ErrorCode?
        let with: ErrorCode?
        var testDescription: String { "\(condition)" }
    }

    static let cases = [
        Case(condition: .none, without: nil, with: nil),
        Case(condition: .absent, without: nil, with: .conflict),
        Case(condition: .present, without: .notFound, with: nil),
        Case(condition: .matches([1]), without: .conflict, with: nil),
        Case(condition: .matches([7, 1]), without: .conflict, with: nil),
        Case(condition: .matches([7]), without: .conflict, with: .conflict),
        Case(condition: .matches([]), without: .conflict, with: nil),
    ]

    /// The same whether the value is only numbered or on disk.
    @Test(arguments: cases, [false, true])
    func enforcesConditions(_ expected: Case, isCommitted: Bool) throws {
        var (order, thread) = try make()
        if !isCommitted { gate.shut() }
        #expect(try publish(order, "there", "1").value == 1)
        if isCommitted {
            thread.stop()
            thread = StoreThread(store: gate, maximumQueuedBytes: 1 << 20) { [order] in order.settled($0) }
            try thread.start()
            order.attach(thread)
        }
        #expect(try publish(order, "none", "x", if: expected.condition).error?.code == expected.without)
        #expect(try publish(order, "there", "x", if: expected.condition).error?.code == expected.with)
        settle(thread)
    }

    @Test func aDraftSeesEarlierDraftsOfItsBatch() throws {
        let (order, thread) = try make()
        gate.shut()
        var conditional = try draft("a", "2", retained: true)
        conditional.condition = .absent
        let results = order.sequence([try draft("a", "1", retained: true), conditional], from: 0)
        #expect(results[0].value?.seq == 1 && results[1].error?.code == .conflict)
        settle(thread)
    }

    /// A slow disk delays only the publishers that ask for it.
    @Test func readsTheDiskOutsideTheLock() throws {
        let (order, thread) = try make()
        try gate.inner.apply([retained("a", "x", seq: 7)], reserving: nil)
        let reads = Mutex(0)
        gate.setOnRead {
            // Another thread uses the order meanwhile.
            let answer = Answer<UInt64>()
            DispatchQueue.global().async { answer.put(order.newest) }
            #expect((try? answer.get()) != nil)
            reads.withLock { $0 += 1 }
        }
        #expect(try publish(order, "a", "y", if: .absent).error?.code == .conflict)
        #expect(reads.withLock { $0 } == 1)
        var known = Sequencer.KnownView()
        let position = order.position(emptying: Mailbox(wakeup: {}), matching: try filter("#"), known: &known)
        #expect(position.view != nil && reads.withLock { $0 } == 2)
        // Many conditions are looked up some at a time.
        let drafts = try (0..<200).map { number in
            var draft = try draft("c/\(number)", "x", retained: true)
            draft.condition = number % 2 == 0 ? .absent : .present
            return draft
        }
        let results = order.sequence(drafts, from: 0)
        #expect(results.map { $0.error?.code } == (0..<200).map { $0 % 2 == 0 ? nil : .notFound })
        gate.setOnRead(nil)
        settle(thread)
    }

    /// A value is looked up again if the store has committed meanwhile.
    @Test func rereadsAValueAfterACommit() throws {
        let (order, thread) = try make()
        let theirs = try topic("a")
        gate.setOnRead { [gate] in
            // Another publisher is quicker, and is on disk first.
            gate.setOnRead(nil)
            var draft = Draft(topic: theirs, payload: Array("theirs".utf8), kind: .text)
            draft.isRetained = true
            _ = order.sequence([draft], from: 1)
            let isDone = Answer<Bool>()
            order.probeStore { isDone.put($0 == nil) }
            #expect((try? isDone.get()) == true)
        }
        #expect(try publish(order, "a", "mine", if: .absent).error?.code == .conflict)
        settle(thread)
        #expect(try text(order, "a") == "theirs")
    }

    /// A counter that several threads raise by compare-and-set: each round is won once.
    @Test func comparesAndSetsUnderContention() throws {
        let (order, thread) = try make()
        let counter = try topic("counter")
        let begin = try #require(try publish(order, "counter", "0").value)
        let wins = Wins()
        let goal = 400
        let threads = try (0..<4).map { _ in
            try startThread(named: "racer") { [order] in
                while true {
                    guard let found = try? order.value(of: counter),
                        let count = Int(String(decoding: found.payload, as: UTF8.self)), count < goal
                    else { return }
                    var draft = Draft(topic: counter, payload: Array("\(count + 1)".utf8), kind: .text)
                    draft.isRetained = true
                    draft.condition = .matches([found.seq])
                    if case .success((let seq, _)) = order.sequence([draft], from: 0)[0] {
                        wins.seqs.withLock { $0.append(seq) }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        settle(thread)
        #expect(wins.seqs.withLock { $0.sorted() } == (1...UInt64(goal)).map { begin + $0 })
        #expect(try text(order, "counter") == "\(goal)")
    }

    // MARK: The overlay

    @Test func seesAValueBeforeItIsCommitted() throws {
        let (order, thread) = try make()
        gate.shut()
        _ = try publish(order, "a", "1")
        #expect(try text(order, "a") == "1")
        #expect(try gate.value(of: topic("a"), now: 0) == nil)
        _ = try publish(order, "a", "2")
        #expect(try text(order, "a") == "2")
        settle(thread)
        #expect(try text(order, "a") == "2")
        #expect(try gate.value(of: topic("a"), now: 0) != nil)
    }

    @Test func seesARemovalBeforeItIsCommitted() throws {
        try gate.inner.apply([retained("a", "old")], reserving: nil)
        let (order, thread) = try make()
        #expect(try text(order, "a") == "old")
        gate.shut()
        _ = try publish(order, "a", "")
        #expect(try text(order, "a") == nil)
        #expect(try gate.value(of: topic("a"), now: 0) != nil)
        #expect(try publish(order, "a", "", if: .present).error?.code == .notFound)
        let position = order.position(emptying: Mailbox(wakeup: {}), matching: try filter("#"))
        #expect(position.overlay.map(\.payload.array) == [[]], "a removal hides what the store still has")
        settle(thread)
        #expect(try text(order, "a") == nil)
        #expect(try gate.value(of: topic("a"), now: 0) == nil)
    }

    @Test func ignoresExpiredValuesOnDiskOrNot() throws {
        try gate.inner.apply([retained("old", "x", expiry: 2000)], reserving: nil)
        let (order, thread) = try make()
        gate.shut()
        #expect(try text(order, "old") == nil)
        #expect(try publish(order, "old", "x", if: .present).error?.code == .notFound)
        _ = try publish(order, "new", "x", timeToLive: -1)
        #expect(try text(order, "new") == nil)
        #expect(try publish(order, "new", "y", if: .absent).error == nil)
        _ = try publish(order, "later", "x", timeToLive: 3_600_000)
        #expect(try text(order, "later") == "x")
        settle(thread)
    }

    @Test func aFailedCommitRestoresTheOldValue() throws {
        try gate.inner.apply([retained("a", "old")], reserving: nil)
        let (order, thread) = try make()
        gate.shut()
        _ = try publish(order, "a", "new")
        #expect(try text(order, "a") == "new")
        gate.fail(with: .full)
        settle(thread)
        #expect(try text(order, "a") == "old")
    }

    @Test func theOverlayListsMatchesOldestFirst() throws {
        let (order, thread) = try make()
        gate.shut()
        for name in ["a/2", "b", "a/1", "a/2", "$x"] { _ = try publish(order, name, name) }
        func names(_ name: String) throws -> [String] {
            order.position(emptying: Mailbox(wakeup: {}), matching: try filter(name)).overlay.map(\.topic.name)
        }
        #expect(try names("a/+") == ["a/1", "a/2"])
        #expect(try names("#") == ["b", "a/1", "a/2"])
        #expect(try names("$x") == ["$x"])
        #expect(try names("c") == [])
        settle(thread)
        #expect(try names("#") == [])
    }

    @Test func refusesWhatExceedsTheStoreQueue() throws {
        let (order, thread) = try make(maximumQueuedBytes: 4096)
        gate.shut()
        #expect(try publish(order, "a", String(repeating: "x", count: 3000)).value == 1)
        #expect(try publish(order, "b", String(repeating: "x", count: 3000)).error?.code == .unavailable)
        #expect(try text(order, "b") == nil)
        // Messages that are not retained need no store, and the numbers have no hole.
        #expect(order.sequence([try draft("c")], from: 0)[0].value?.seq == 2)
        settle(thread)
        #expect(try publish(order, "d", "x").error?.code == .unavailable, "the store is closed")
        #expect(order.newest == 2)
    }
}
