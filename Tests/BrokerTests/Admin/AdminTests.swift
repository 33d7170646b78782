import Foundation
import Testing

@testable import Broker
@testable import WSTransport

@Suite("The administrator's requests and answers")
struct AdminTests {
    @Test func addsUpTheCountsOfAllShards() throws {
        func merged(_ answers: [[(String, Int)]]) throws -> [FilterCount] {
            FilterCount.merge(
                try answers.map { try $0.map { FilterCount(filter: try TopicFilter($0.0), clients: $0.1) } })
        }
        let counts = try merged([[("a/+", 2), ("b c", 1)], [], [("a/+", 3), ("A", 40)]])
        #expect(counts.map(\.filter.name) == ["A", "a/+", "b c"])
        #expect(counts.map(\.clients) == [40, 5, 1])
        #expect(FilterCount.merge([]).isEmpty)
        // Bytes decide: these two names look the same.
        #expect(try merged([[("\u{E9}", 1)], [("e\u{301}", 1)]]).count == 2)
    }

    // MARK: The desk

    /// - Parameter copy: the bytes of a backup, which fails after them from 100 on.
    private func facts(_ harness: ExchangeHarness, copy: Int = 10) -> BrokerFacts {
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: harness.counters, sequencer: harness.sequencer, store: harness.store,
            storeThread: thread)
        return BrokerFacts(
            figures: figures, listen: ["x"], dataDirectory: "d", epoch: 5, movedAside: nil,
            backup: { (descriptor) throws(StorageError) in
                var bytes = [UInt8](repeating: 7, count: copy)
                guard write(descriptor, &bytes, copy) == copy else { throw .system(code: 32, what: "cut off") }
                guard copy >= 100 else { return }
                throw .system(code: 5, what: "the disk fails")
            })
    }

    /// An administrator of a broker of two shards, with clients on both.
    private func desk(
        _ harness: ExchangeHarness, on index: Int = 0, _ facts: BrokerFacts? = nil,
        rights: Set<AdminRight> = Set(AdminRight.allCases)
    ) throws -> StubClient {
        let facts = facts ?? self.facts(harness)
        let remotes = harness.remotes
        return try harness.connect(on: index) { shard, socket in
            let desk = AdminDesk(shard: shard, everyone: ShardGroup(remotes), facts: facts)
            return AdminSession(socket: socket, desk: desk, rights: rights)
        }
    }

    private func ask(_ stub: StubClient, _ members: String) throws -> String {
        try stub.send("{\"id\":1,\(members)}")
        let text = try #require(try stub.frame()).text
        #expect(text.hasPrefix(#"{"id":1,"#))
        return String(text.dropFirst(8).dropLast())
    }

    @Test(arguments: [0, 1])
    func findsAndKicksClientsOfEveryShard(from shard: Int) throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let stubs = try [0, 1, 1].map { try harness.connectJSON(on: $0) }
        for (number, stub) in stubs.enumerated() {
            try stub.ask(#"{"op":"subscribe","id":1,"filter":["a/+","only/\#(number)"],"snapshot":false}"#, id: 1)
        }
        let desk = try desk(harness, on: shard)
        #expect(
            try ask(desk, #""verb":"subscriptions","filter":"a/#""#) == #""result":[{"filter":"a/+","clients":3}]"#)
        #expect(try ask(desk, #""verb":"topics","filter":"only/1""#).contains(#""topic":"only/1","subscriptions":1,"#))
        let name = String(stubs[2].client, radix: 36)
        let client = try ask(desk, #""verb":"client","client":"\#(name)""#)
        #expect(client.contains(#""filters":["a/+","only/2"]"#) && client.contains(#""user":null"#))
        let all = try ask(desk, #""verb":"clients""#)
        #expect(all.split(separator: #""id":"#).count == 4)
        #expect(try ask(desk, #""verb":"kick","filter":"only/1""#) == #""result":{"kicked":1}"#)
        #expect(try ask(desk, #""verb":"kick","client":"\#(name)""#) == #""result":{"kicked":1}"#)
        #expect(try ask(desk, #""verb":"kick","client":"\#(name)""#).contains(#""code":"not-found""#))
        #expect(try ask(desk, #""verb":"kick""#).contains(#""code":"bad-request""#))
        #expect(try ask(desk, #""verb":"subscriptions","filter":"only/+""#).contains("only/0"))
        #expect(harness.counters[1].clients.current == 0)
    }

    @Test func refusesVerbsTheCallerHasNoRightTo() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        for right in AdminRight.allCases {
            let desk = try desk(harness, rights: [right])
            for (verb, type) in AdminSession.verbs where type.right != right {
                #expect(
                    try ask(desk, "\"verb\":\"\(verb)\"")
                        == #""error":{"code":"forbidden","message":"\#(verb): needs the right \"\#(type.right)\"."}"#)
            }
        }
        #expect(try ask(try desk(harness, rights: [.write]), #""verb":"kick""#).contains(#""code":"bad-request""#))
    }

    @Test func exportsTheValuesThatWereSet() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let desk = try desk(harness)
        for (topic, members) in [
            ("t/1", #""data":"x","kind":"text""#), ("t/2", #""data":{"a":1}"#), ("t/3", #""data":"s","kind":"json""#),
            ("t/4", #""data":"AP8=","encoding":"base64""#),
        ] {
            #expect(try ask(desk, #""verb":"retained.set","topic":"\#(topic)",\#(members)"#).contains("seq"))
        }
        let gone = try ask(desk, #""verb":"retained.set","topic":"t/5","data":1,"expires":1000"#)
        #expect(gone == #""result":{"expired":true}"#)
        let wrong = try ask(desk, #""verb":"retained.set","topic":"t/5","data":1,"kind":"text""#)
        #expect(wrong.contains(#""code":"bad-request""#))
        let all = try ask(desk, #""verb":"retained.export""#)
        for part in [
            #""kind":"text","topic":"t/1""#, #""data":{"a":1}"#, #""kind":"json","topic":"t/3""#, #""data":"s""#,
            #""encoding":"base64","data":"AP8=""#,
        ] { #expect(all.contains(part), "\(part)") }
        #expect(!all.contains(#""next""#))
        let rest = try ask(desk, #""verb":"retained.export","filter":"t/+","after":"t/2""#)
        #expect(rest.split(separator: #""topic""#).count == 3)
        #expect(
            try ask(desk, #""verb":"retained.delete","filter":"t/+","dryRun":true"#)
                == #""result":{"deleted":0,"matching":4}"#)
        #expect(try ask(desk, #""verb":"retained.delete","filter":"t/+""#) == #""result":{"deleted":4}"#)
    }

    @Test func sendsABackupInPieces() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let facts = facts(harness)
        // There is one at a time, over all reactors.
        let (desk, other) = (try desk(harness, facts), try desk(harness, on: 1, facts))
        #expect(try ask(desk, #""verb":"backup.next""#).contains(#""code":"conflict""#))
        for _ in 0..<2 {
            #expect(try ask(desk, #""verb":"backup""#) == #""result":{}"#)
            #expect(try ask(other, #""verb":"backup""#).contains(#""code":"conflict""#))
            #expect(try ask(other, #""verb":"backup.next""#).contains(#""code":"conflict""#))
            try desk.send(#"{"id":1,"verb":"backup.next"}"#)
            #expect(try desk.frame() == StubClient.Frame(opcode: 2, payload: [UInt8](repeating: 7, count: 10)))
            #expect(try ask(desk, #""verb":"backup.next""#) == #""result":{}"#)
        }
    }

    @Test func reportsWhyABackupFailed() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let desk = try desk(harness, facts(harness, copy: 100))
        #expect(try ask(desk, #""verb":"backup""#) == #""result":{}"#)
        try desk.send(#"{"id":1,"verb":"backup.next"}"#)
        #expect(try desk.frame()?.payload.count == 100)
        #expect(try ask(desk, #""verb":"backup.next""#).contains("the disk fails"))
    }

    /// The next one can have its own at once, or as soon as the threads have ended.
    @Test func abandonsTheBackupOfADisconnectedSession() throws {
        // As the broker does.
        signal(SIGPIPE, SIG_IGN)
        let harness = try ExchangeHarness(order: [0, 1])
        let facts = facts(harness, copy: 4 << 20)
        try { try expectBackupBegun(desk(harness, facts)) }()
        let other = try desk(harness, on: 1, facts)
        var answer = ""
        repeat { answer = try ask(other, #""verb":"backup""#) } while answer.contains(#""code":"conflict""#)
        #expect(answer == #""result":{}"#)
    }

    private func expectBackupBegun(_ desk: StubClient) throws {
        #expect(try ask(desk, #""verb":"backup""#) == #""result":{}"#)
    }

    @Test func setsListsAndDeletesRetainedValues() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let desk = try desk(harness)
        func set(_ topic: String, _ members: String) throws -> String {
            try ask(desk, #""verb":"retained.set","topic":"\#(topic)",\#(members)"#)
        }
        #expect(try set("a/1", #""data":"x""#).hasSuffix(#""stored":true}"#))
        #expect(try set("a/2", #""data":"AP8=","encoding":"base64","type":"image/png""#).hasSuffix(#""stored":true}"#))
        #expect(try set("a/3", #""data":"[1]","type":"application/json""#).hasSuffix(#""stored":true}"#))
        #expect(try set("$SYS/x", #""data":"x""#).contains(#""code":"forbidden""#))
        #expect(try set("a/+", #""data":"x""#).contains(#""code":"bad-topic""#))
        #expect(try set("a", #""data":"!","encoding":"base64""#).contains(#""code":"bad-request""#))
        #expect(try set("a", #""type":"x""#).contains(#""code":"bad-request""#))
        let second = try ask(desk, #""verb":"retained.get","topic":"a/2""#)
        #expect(second.contains(#""kind":"binary","topic":"a/2""#) && second.contains(#""data":"AP8=""#))
        #expect(try ask(desk, #""verb":"retained.get","topic":"a/3""#).contains(#""data":[1]"#))
        #expect(try ask(desk, #""verb":"retained.get","topic":"b""#).contains(#""code":"not-found""#))
        let list = try ask(desk, #""verb":"retained.list","filter":"a/+""#)
        #expect(list.split(separator: #""topic":"#).count == 4)
        #expect(try ask(desk, #""verb":"retained.delete","filter":"a/1""#) == #""result":{"deleted":1}"#)
        #expect(try ask(desk, #""verb":"retained.delete","filter":"a/1""#).contains(#""code":"not-found""#))
        #expect(try ask(desk, #""verb":"retained.delete","filter":"a/#""#) == #""result":{"deleted":2}"#)
        #expect(try ask(desk, ##""verb":"retained.list","filter":"#""##) == #""result":[]"#)
        #expect(try ask(desk, #""verb":"nonsense""#).contains(#""code":"bad-request""#))
        #expect(try ask(desk, #""verb":"clients","filter":"a/#/b""#).contains(#""code":"bad-filter""#))
    }
}
