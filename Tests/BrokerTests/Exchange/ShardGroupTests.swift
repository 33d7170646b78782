import Testing

@testable import Broker
@testable import WSTransport

@Suite("ShardGroup: one question to every shard")
struct ShardGroupTests {
    private func ask(_ house: ExchangeHouse) throws -> [String] {
        let answer = Answer<[String]>()
        let group = ShardGroup(house.remotes)
        try house.run(on: 1) { shard in
            group.ask(from: shard) {
                "\($0.index)"
            } then: { answers in
                // On the asker's own thread.
                answer.put(shard.reactor.remote.isCurrentThread ? answers : [])
            }
        }
        return try answer.get()
    }

    @Test func getsTheAnswersInTheOrderOfTheShards() throws {
        #expect(try ask(ExchangeHouse(order: [0, 1, 2])) == ["0", "1", "2"])
    }

    @Test func getsTheAnswersOfThoseThatAreLeft() throws {
        let house = try ExchangeHouse(order: [0, 1, 2])
        try house.run(on: 0) { $0.reactor.stop() }
        while house.remotes[0].run({ _ in }) {}
        #expect(try ask(house) == ["1", "2"])
    }

    @Test func runsOnEveryShardBeforeItReturns() throws {
        let house = try ExchangeHouse(order: [0, 1])
        ShardGroup(house.remotes).runAndWait { $0.counters.errors.add($0.index + 1) }
        #expect(house.counters.map { $0.errors.current } == [1, 2])
    }
}
