import Testing

@testable import Broker
@testable import WSTransport

@Suite("Clients")
struct ClientTests {
    /// `echo=false` uses these numbers: a client with another client's number would miss its messages.
    @Test func numbersAreUniqueAcrossReactors() throws {
        let store = InMemoryStore()
        let order = try LocalOrder(store: store)
        var seen: Set<UInt64> = []
        for index in 0..<4 {
            let reactor = try Reactor(index: index, counters: ReactorCounters(), remote: Remote())
            let shard = Shard(
                reactor: reactor, sequencer: order.sequencer, order: order, store: store, settings: Settings(),
                counters: ShardCounters())
            for _ in 0..<20_000 {
                let id = shard.makeClient(.anonymous, peer: nil, protocolName: "topic").id
                #expect(id != 0)
                #expect(seen.insert(id).inserted, "\(id) was given twice")
            }
            reactor.endOfTurn = []
        }
    }

    @Test(arguments: [0, 9, 10, 35, 36, 1295, 1296, 1 << 32, 1 << 63, UInt64.max - 1, .max])
    func aNameIsTheNumberInBase36(_ number: UInt64) {
        #expect(Client.name(number) == String(number, radix: 36))
        #expect(Client.number(named: Client.name(number)) == number)
    }
}
