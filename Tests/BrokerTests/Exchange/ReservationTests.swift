import Testing

@testable import Broker
@testable import WSTransport

/// What happens when the store reserves no further numbers.
///
/// In separate processes, because a trap ends them.
@Suite("Sequencer: when no more numbers are reserved")
struct ReservationTests {
    @Test func refusesOnceAllReservedNumbersAreUsed() async {
        await #expect(processExitsWith: .success) {
            let order = try LocalOrder(store: InMemoryStore(), block: 1 << 13)
            let many = Array(repeating: try draft("a"), count: 1 << 8)
            // 2¹³ and some, without anything that would reserve more.
            for _ in 0..<32 { _ = order.sequence(many, from: 0) }
            let last = order.newest
            let results = order.sequence(Array(many.prefix(5)), from: 0)
            let isRefused = results.last?.error?.code == .storageFull
            try #require(isRefused && order.newest < last + 5 && last == 1 << 13)
        }
    }

    @Test func aClosedStoreAnswersAtOnce() async {
        await #expect(processExitsWith: .success) {
            let store = InMemoryStore()
            let order = try LocalOrder(store: store, block: 1 << 13)
            let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: { _ in })
            try thread.start()
            order.attach(thread)
            thread.stop()
            let many = Array(repeating: try draft("a"), count: 1 << 8)
            // Half a block and some, after which more numbers are reserved.
            for _ in 0..<17 { _ = order.sequence(many, from: 0) }
            try #require(order.newest == 17 << 8)
        }
    }
}
