import Dispatch
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Sequencer: one order for all subscribers")
struct SequencerTests {
    private final class Woken: Sendable {
        let numbers = Mutex<[Int]>([])
    }

    private func seqs(_ results: [Result<(seq: UInt64, isQueued: Bool), Refusal>]) -> [UInt64] {
        results.compactMap { $0.value?.seq }
    }

    private func messages(in mailbox: Mailbox<ShardEvent>) -> [Message] {
        mailbox.drain().flatMap { event in
            guard case .applied(let batch) = event else { return [Message]() }
            return batch.messages
        }
    }

    @Test func numbersMessagesConsecutively() throws {
        let order = try LocalOrder(store: InMemoryStore())
        #expect(order.newest == 0)
        #expect(seqs(order.sequence([try draft("a"), try draft("b")], from: 0)) == [1, 2])
        #expect(seqs(order.sequence([], from: 0)).isEmpty)
        #expect(seqs(order.sequence([try draft("c")], from: 1)) == [3])
        #expect(order.newest == 3)
    }

    @Test func aRefusedDraftTakesNoNumber() throws {
        let order = try LocalOrder(store: InMemoryStore())
        var second = try draft("b", retained: true)
        second.condition = .present
        let results = order.sequence([try draft("a"), second, try draft("c")], from: 0)
        #expect(seqs(results) == [1, 2])
        #expect(results[1].error?.code == .notFound)
    }

    @Test func everyMailboxSeesOneOrderThatKeepsEachPublishers() throws {
        let order = try LocalOrder(store: InMemoryStore())
        let mailboxes = (0..<3).map { _ in Mailbox<ShardEvent>(wakeup: {}) }
        for (number, mailbox) in mailboxes.enumerated() { order.join(mailbox, shard: number) }
        let (publishers, each) = (4, 300)
        let start = DispatchSemaphore(value: 0)
        let threads = try (0..<publishers).map { publisher in
            let drafts = try (0..<each).map { try draft("p\(publisher)", "\($0)") }
            nonisolated(unsafe) let owned = drafts
            return try startThread(named: "publisher") {
                start.wait()
                for first in stride(from: 0, to: each, by: 3) {
                    _ = order.sequence(Array(owned[first..<first + 3]), from: publisher)
                }
            }
        }
        for _ in threads { start.signal() }
        for thread in threads { thread.join() }
        let seen = mailboxes.map { messages(in: $0) }
        let first = seen[0]
        #expect(first.map(\.seq) == (1...UInt64(publishers * each)).map { $0 })
        for other in seen {
            #expect(other.map(\.seq) == first.map(\.seq) && other.map(\.topic) == first.map(\.topic))
            #expect(other.map(\.payload) == first.map(\.payload))
        }
        for publisher in 0..<publishers {
            let own = first.filter { $0.topic.name == "p\(publisher)" }.map {
                String(decoding: $0.payload, as: UTF8.self)
            }
            #expect(own == (0..<each).map(String.init))
        }
    }

    @Test func wakesAllShardsExceptThePublishers() throws {
        let order = try LocalOrder(store: InMemoryStore())
        let woken = Woken()
        // Threads start in any order, so shards join in any order.
        for number in [2, 0, 1] {
            order.join(Mailbox(wakeup: { woken.numbers.withLock { $0.append(number) } }), shard: number)
        }
        _ = order.sequence([try draft("a")], from: 1)
        #expect(woken.numbers.withLock { $0 } == [2, 0])
        _ = order.sequence([try draft("a")], from: 1)
        #expect(woken.numbers.withLock { $0 } == [2, 0], "a mailbox that is not empty was woken before")
    }

    @Test func takingAPositionEmptiesTheMailbox() throws {
        let order = try LocalOrder(store: InMemoryStore())
        let mailbox = Mailbox<ShardEvent>(wakeup: {})
        order.join(mailbox, shard: 0)
        _ = order.sequence([try draft("a"), try draft("b")], from: 0)
        let position = order.position(emptying: mailbox, matching: try filter("#"))
        #expect(position.seq == 2 && position.overlay.isEmpty && position.events.count == 1)
        #expect(mailbox.drain().isEmpty)
    }

    // MARK: Reservation

    @Test func aRestartContinuesAfterTheReservedNumbers() throws {
        let store = InMemoryStore()
        var last: UInt64 = 0
        for _ in 0..<3 {
            let order = try LocalOrder(store: store)
            #expect(order.newest >= last)
            for _ in 0..<5 {
                for seq in seqs(order.sequence([try draft("a"), try draft("b")], from: 0)) {
                    #expect(seq > last && seq <= store.reservedSeq)
                    last = seq
                }
            }
            // Killed here: nothing is written.
            last = max(last, store.reservedSeq)
        }
    }

    /// Every number is within the reservation on disk, however fast numbers are assigned.
    @Test func reservesNumbersAhead() throws {
        let harness = try ExchangeHarness()
        let first = harness.store.reservedSeq
        // Half a block and a little; submitted without payloads and without subscribers.
        let block: UInt64 = 1 << 13
        let many = Array(repeating: try draft("a"), count: 1 << 7)
        let order = try LocalOrder(store: harness.store, block: block)
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 1 << 20, onSettled: { _ in })
        try thread.start()
        order.attach(thread)
        for _ in 0..<33 { #expect(seqs(order.sequence(many, from: 0)).count == many.count) }
        thread.stop()
        #expect(harness.store.reservedSeq >= first + 2 * block)
    }
}
