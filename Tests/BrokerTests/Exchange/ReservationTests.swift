import Testing

@testable import Broker
@testable import WSTransport

/// What happens when the store reserves no further numbers.
///
/// In processes of their own, since a trap ends them.
@Suite("Sequencer: when no more numbers are reserved")
struct ReservationTests {
    @Test func refusesWhenTheBlockIsUsedUp() async {
        await #expect(processExitsWith: .success) {
            let sequencer = try Sequencer(store: InMemoryStore())
            let many = Array(repeating: try draft("a"), count: 1 << 19)
            // 2²⁴ and some, without anything that would reserve more.
            for _ in 0..<32 { _ = sequencer.sequence(many, from: 0) }
            let last = sequencer.newest
            let results = sequencer.sequence(Array(many.prefix(5)), from: 0)
            let isRefused = results.last?.error?.code == .storageFull
            try #require(isRefused && sequencer.newest < last + 5 && last >= LocalOrder.block)
        }
    }

    @Test func aClosedStoreKeepsNobodyWaiting() async {
        await #expect(processExitsWith: .success) {
            let store = InMemoryStore()
            let sequencer = try Sequencer(store: store)
            let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: { _ in })
            try thread.start()
            sequencer.attach(thread)
            thread.stop()
            let many = Array(repeating: try draft("a"), count: 1 << 19)
            for _ in 0..<17 { _ = sequencer.sequence(many, from: 0) }
            try #require(sequencer.newest == 17 << 19)
        }
    }
}
