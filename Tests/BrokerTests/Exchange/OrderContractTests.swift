import Testing

@testable import Broker
@testable import WSTransport

/// All orders.
enum OrderKind: CaseIterable {
    case local
    case delayed
    case logged
    case partitioned
}

extension ExchangeHarness {
    convenience init(order: [Int] = [0], kind: OrderKind) throws {
        try self.init(
            order: order, isDelayed: kind == .delayed, isLogged: kind == .logged,
            partitions: Partitions(kind == .partitioned ? 2 : 1))
    }
}

/// The contract of every order, as the shards see it.
@Suite("Contract of Order")
struct OrderContractTests {
    /// The results of each draft, published in turns of three by two shards that do not wait.
    @Test(arguments: OrderKind.allCases)
    func answersInSubmissionOrder(kind: OrderKind) throws {
        let harness = try ExchangeHarness(order: [0, 1], kind: kind)
        let seen = try (0..<2).map { shard in
            try (0..<60).map { number in
                var draft = try draft("p/\(shard)", "\(number)", retained: true)
                // Every fourth is refused: there is a value since the first.
                if number % 4 == 3 { draft.condition = .absent }
                return draft
            }
        }
        let answers = try seen.enumerated().map { try harness.publish(on: $0, $1) }
        for results in answers {
            for (number, result) in results.enumerated() {
                #expect((result.error?.code == .conflict) == (number % 4 == 3), "\(number)")
            }
            let seqs = results.compactMap { $0.value?.seq }
            #expect(seqs == seqs.sorted() && results.allSatisfy { $0.value?.isStored ?? true })
        }
        let log = harness.published()
        if kind == .logged || kind == .partitioned {
            #expect(zip(log, log.dropFirst()).allSatisfy { $0.seq < $1.seq } && log.count == 90)
        } else {
            #expect(log.map(\.seq) == Array(1...90), "refused drafts take no numbers")
        }
        for shard in 0..<2 {
            let own = log.filter { $0.topic.name == "p/\(shard)" }.map { String(decoding: $0.payload, as: UTF8.self) }
            #expect(own == (0..<60).filter { $0 % 4 != 3 }.map(String.init))
        }
    }

    /// A condition is decided when the draft is applied, not when it is handed over.
    @Test(arguments: OrderKind.allCases)
    func oneOfTwoCompetingDraftsWins(kind: OrderKind) throws {
        let harness = try ExchangeHarness(order: [0, 1], kind: kind)
        for round in 0..<20 {
            let results = [Answer<Bool>(), Answer<Bool>()]
            for shard in 0..<2 {
                let name = "mutex/\(round)"
                try harness.run(on: shard) { running in
                    guard var draft = try? draft(name, "\(shard)", retained: true) else { return }
                    draft.condition = .absent
                    draft.completion = { results[shard].put($0.value != nil) }
                    running.publish(draft, from: nil)
                }
            }
            #expect(try results.map { try $0.get() }.filter { $0 }.count == 1)
        }
    }

    /// A publisher subscribes right after its answer: earlier messages are delivered first, and once.
    @Test(arguments: OrderKind.allCases)
    func aPublisherMaySubscribeFromItsAnswer(kind: OrderKind) throws {
        let harness = try ExchangeHarness(order: [0, 1], kind: kind)
        let stub = try harness.connectJSON()
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"a/#","snapshot":false}"#, id: 1)
        try harness.run { shard in
            guard let session = shard.everybody.first as? JSONSession else { return }
            func publish(_ rest: Int) {
                guard rest > 0, var draft = try? draft("a/\(rest)") else { return }
                draft.completion = { _ in
                    publish(rest - 1)
                    let command = #"{"op":"subscribe","id":\#(rest + 10),"filter":"b/\#(rest)/#","snapshot":false}"#
                    session.received(.text, Array(command.utf8).span)
                }
                shard.publish(draft, from: nil)
            }
            for first in [100, 200, 300] { publish(first) }
        }
        var shown: [UInt64] = []
        while shown.count < 600 {
            let notice = try stub.receive()
            if notice.op == "message", let seq = notice.seq { shown.append(seq) }
        }
        let partitions = harness.sequencer.partitions
        let log = try partitions.partition(of: topic("a"))
        #expect(shown == (1...600).map { partitions.number($0, of: log) })
    }

    /// A message published during a subscription is before its position, or is delivered.
    @Test func aNewSubscriptionMissesNoMessage() throws {
        let harness = try ExchangeHarness()
        let (stub, other) = (try harness.connectJSON(), try harness.connectJSON())
        let number = stub.client
        let drafts = try ["first", "a/late"].map { try draft($0) }
        nonisolated(unsafe) let owned = drafts
        try harness.run { shard in
            let sessions = shard.everybody.compactMap { $0 as? JSONSession }
            guard let mine = sessions.first(where: { $0.client.id == number }),
                let theirs = sessions.first(where: { $0.client.id != number })
            else { return }
            var first = owned[0]
            first.completion = { _ in
                shard.publish(owned[1], from: nil)
                theirs.received(.text, Array(#"{"op":"subscribe","id":1,"filter":"b"}"#.utf8).span)
            }
            shard.publish(first, from: nil)
            mine.received(.text, Array(#"{"op":"subscribe","id":1,"filter":"a/#"}"#.utf8).span)
        }
        #expect(try stub.receive().seq == 2, "the second message had been delivered before")
        #expect(try other.receive().seq == 2)
    }

    /// Figures and the probe have no place in the order.
    @Test(arguments: OrderKind.allCases)
    func figuresAndProbesTakeNoNumbers(kind: OrderKind) throws {
        let harness = try ExchangeHarness(order: [0, 1], kind: kind)
        let stub = try harness.connectJSON(on: 1)
        let system = try topic("$SYS/broker/uptime")
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"$SYS/#","snapshot":false}"#, id: 1)
        try stub.ask(#"{"op":"subscribe","id":2,"filter":"a","snapshot":false}"#, id: 2)
        let partitions = harness.sequencer.partitions
        let log = try partitions.partition(of: topic("a"))
        let numbers = (1...2).map { partitions.number($0, of: log) }
        #expect(try harness.publish([draft("a", "1")])[0].value?.seq == numbers[0])
        // A log is known to have reached a number after its messages are applied.
        try harness.wait { ($0.sequencer.position(at: .max)?[log] ?? .max) >= numbers[0] }
        for number in 0..<3 { try harness.run { $0.show([(system, Array("\"\(number)\"".utf8))]) } }
        let ready = Answer<String?>()
        try harness.run { shard in shard.probe(patience: 60_000_000_000) { ready.put($0) } }
        #expect(try ready.get() == nil)
        #expect(try harness.publish([draft("a", "2")])[0].value?.seq == numbers[1])
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.topic != "a" || notices.last?.data != "2"
        let messages = notices.filter { $0.op == "message" }
        // With several logs, that of the newest message of the first.
        let newest = log == 0 ? numbers[0] : 0
        #expect(messages.compactMap(\.seq) == [numbers[0], newest, newest, newest, numbers[1]])
        #expect(try harness.sequencer.value(of: system)?.payload.array == Array("\"2\"".utf8))
        #expect(harness.published().count == 2)
    }

    /// A client that is behind gets the newest figures when it is live.
    @Test(arguments: OrderKind.allCases)
    func aClientThatWasBehindGetsTheNewestFigures(kind: OrderKind) throws {
        let harness = try ExchangeHarness(kind: kind)
        let stub = try harness.connectJSON()
        let system = try topic("$SYS/broker/uptime")
        try harness.run { shard in
            guard let session = shard.everybody.first as? JSONSession else { return }
            // In one turn: its values have not been shown when the figures come.
            session.received(.text, Array(#"{"op":"subscribe","id":1,"filter":"$SYS/#"}"#.utf8).span)
            for number in 0..<3 { shard.show([(system, Array("\"\(number)\"".utf8))]) }
        }
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.op != "message"
        #expect(notices.map(\.op) == ["ok", "live", "message"])
        #expect(notices.last?.data == "2")
    }
}
