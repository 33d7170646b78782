import Testing

@testable import Broker
@testable import WSTransport

@Suite("ShardGroup: one question to every shard")
struct ShardGroupTests {
    private func ask(_ harness: ExchangeHarness) throws -> [String] {
        let answer = Answer<[String]>()
        let group = ShardGroup(harness.remotes)
        try harness.run(on: 1) { shard in
            group.ask(from: shard) {
                "\($0.index)"
            } then: { answers in
                // On the asker's own thread.
                answer.put(shard.reactor.remote.isCurrentThread ? answers : [])
            }
        }
        return try answer.get()
    }

    @Test func collectsAnswersInShardOrder() throws {
        #expect(try ask(ExchangeHarness(order: [0, 1, 2])) == ["0", "1", "2"])
    }

    @Test func skipsStoppedShards() throws {
        let harness = try ExchangeHarness(order: [0, 1, 2])
        harness.stop(0)
        #expect(try ask(harness) == ["1", "2"])
    }

    /// Another shard may be busy: only the client's shard is asked.
    @Test func asksOnlyTheClientsShard() throws {
        let harness = try ExchangeHarness(order: [0, 1, 2])
        let stub = try harness.connectJSON(on: 1)
        let name = String(stub.client, radix: 36)
        let busy = Latch(count: 1)
        defer { busy.arrive() }
        harness.remotes[0].run { _ in busy.wait() }
        let group = ShardGroup(harness.remotes)
        func find(_ name: String) throws -> String? {
            let answer = Answer<String?>()
            try harness.run(on: 2) { shard in
                group.ask(client: name, from: shard) {
                    $0.client.name
                } then: {
                    answer.put($0)
                }
            }
            return try answer.get()
        }
        #expect(try find(name) == name)
        let stranger = String(stub.client + 1, radix: 36)
        for other in [stranger, "", "!", name.uppercased(), "0" + name, "zzzzzzzzzzzzzzzzzz"] {
            #expect(try find(other) == nil, "\(other)")
        }
    }

    /// An administrator gets the data of the others, and the number of the busy one.
    @Test func reportsABusyShardAfterATimeout() throws {
        let harness = try ExchangeHarness(order: [0, 1, 2])
        let group = ShardGroup(harness.remotes)
        let busy = Latch(count: 1)
        harness.remotes[1].run { _ in busy.wait() }
        func ask(within patience: Int64) throws -> [[Int]] {
            let answer = Answer<[[Int]]>()
            try harness.run(on: 0) { shard in
                group.ask(from: shard, within: patience) {
                    $0.index
                } then: {
                    answer.put([$0, $1])
                }
            }
            return try answer.get()
        }
        // On a busy machine the third may be late as well.
        let outcome = try ask(within: 1_000_000)
        #expect(outcome[0].first == 0 && !outcome[0].contains(1) && outcome[1].contains(1))
        busy.arrive()
        #expect(try ask(within: 600_000_000_000) == [[0, 1, 2], []])
    }

    /// `/metrics` omits the pending bytes while an event loop is busy, and shows them afterwards.
    @Test func omitsPendingFiguresOfABusyShard() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let group = ShardGroup(harness.remotes)
        try harness.run(on: 1) { $0.reactor[PendingLook.self] = PendingLook(on: $0, group, patience: 1_000_000) }
        func look() throws -> Int? {
            let answer = Answer<Int?>()
            try harness.run(on: 1) { $0.reactor[PendingLook.self]?.look { answer.put($0?.bytes) } }
            return try answer.get()
        }
        let busy = Latch(count: 1)
        harness.remotes[0].run { _ in busy.wait() }
        #expect(try look() == nil && look() == nil)
        busy.arrive()
        // What it was asked meanwhile is answered before this is.
        try harness.run(on: 0) { _ in }
        try harness.run(on: 1) { $0.reactor[PendingLook.self]?.patience = 600_000_000_000 }
        #expect(try look() == 0)
    }

    /// Hundreds of requests for the metrics cost little more than one.
    @Test func makesTheMetricsOnceInATurn() throws {
        let harness = try ExchangeHarness()
        let group = ShardGroup(harness.remotes)
        func make() throws -> [UInt8] {
            try harness.run { shard in
                let look = shard.reactor[PendingLook.self] ?? PendingLook(on: shard, group)
                shard.reactor[PendingLook.self] = look
                return (0..<3).flatMap { _ in
                    look.text {
                        shard.counters.errors.add(1)
                        return [UInt8(shard.counters.errors.current)]
                    }
                }
            }
        }
        #expect(try make() == [1, 1, 1])
        #expect(try make() == [2, 2, 2])
    }

    @Test func runAndWaitRunsOnEveryShard() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        ShardGroup(harness.remotes).runAndWait { $0.counters.errors.add($0.index + 1) }
        #expect(harness.counters.map { $0.errors.current } == [1, 2])
    }
}
