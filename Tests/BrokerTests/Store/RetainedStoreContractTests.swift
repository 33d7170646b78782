import Foundation
import Testing

@testable import Broker

@Suite("Contract of RetainedStore")
struct RetainedStoreContractTests {
    @Test(arguments: Conformer.allCases)
    func keepsEveryPropertyOfAMessage(conformer: Conformer) throws {
        let made = try conformer.make()
        let store = made.store
        let properties = try MessageProperties(
            headers: [.init(name: "n", value: "v"), .init(name: "n", value: "")], replyTo: topic("r"), correlation: [1])
        let messages = [
            Message(
                topic: try topic("a/b"), payload: [0, 255, 10], kind: .binary, contentType: "image/png",
                properties: properties, isRetained: true,
                seq: .max, time: -5, expiry: .max),
            Message(
                topic: try topic("a/json"), payload: Array("{}".utf8), kind: .json, contentType: "", isRetained: true,
                seq: 0,
                time: .max, expiry: 0),
            Message(
                topic: try topic("ü/☃"), payload: [UInt8](repeating: 7, count: 300_000), kind: .text, isRetained: true,
                seq: 3, time: 0),
        ]
        try store.apply(messages, reserving: nil)
        for message in messages {
            let found = try #require(try store.value(of: message.topic, now: 0))
            #expect(found.topic == message.topic)
            #expect(found.payload == message.payload)
            #expect(found.kind == message.kind)
            #expect(found.contentType == message.contentType)
            #expect(found.properties == message.properties)
            #expect(found.isRetained)
            #expect(found.seq == message.seq)
            #expect(found.time == message.time)
            #expect(found.expiry == message.expiry)
        }
        #expect(try store.statistics().values == 3)
        #expect(try store.statistics().payloadBytes == 300_005)
    }

    @Test(arguments: Conformer.allCases)
    func replacesAndRemoves(conformer: Conformer) throws {
        let made = try conformer.make()
        let store = made.store
        try store.apply([retained("a", "one"), retained("b", "two"), retained("a", "three")], reserving: nil)
        #expect(try value(store, "a") == "three")
        #expect(try store.statistics().payloadBytes == 8)
        try store.apply([retained("a", ""), retained("never/there", "")], reserving: nil)
        #expect(try value(store, "a") == nil)
        #expect(try value(store, "b") == "two")
        #expect(try store.statistics().values == 1)
        #expect(try store.statistics().payloadBytes == 3)
        try store.apply([retained("b", ""), retained("b", "again")], reserving: nil)
        #expect(try value(store, "b") == "again")
    }

    @Test(arguments: Conformer.allCases)
    func ignoresMessagesThatAreNotRetained(conformer: Conformer) throws {
        let made = try conformer.make()
        let passing = Message(topic: try topic("a"), payload: [1], kind: .text, seq: 2, time: 1)
        try made.store.apply([retained("a", "kept"), passing], reserving: nil)
        #expect(try value(made.store, "a") == "kept")
    }

    @Test(arguments: Conformer.allCases)
    func appliesAllOrNothing(conformer: Conformer) throws {
        let made = try conformer.make(limits: RetainedLimits(maximumMessages: 2))
        let store = made.store
        try store.apply([retained("a", "1")], reserving: nil)
        let tooMany = try [retained("a", "changed"), retained("b", "2"), retained("c", "3")]
        #expect(throws: StorageError.limit("retained.maximum_messages")) { try store.apply(tooMany, reserving: 50) }
        #expect(try value(store, "a") == "1")
        #expect(try matches(store, "#") == ["a"])
        #expect(store.reservedSeq == 0)
        try store.apply([retained("b", "2"), retained("b", "3")], reserving: nil)
        #expect(try matches(store, "#") == ["a", "b"])
    }

    @Test(arguments: Conformer.allCases)
    func limitsPayloadBytes(conformer: Conformer) throws {
        let made = try conformer.make(limits: RetainedLimits(maximumBytes: 10))
        let store = made.store
        try store.apply([retained("a", "12345"), retained("b", "12345")], reserving: nil)
        #expect(throws: StorageError.limit("retained.maximum_bytes")) {
            try store.apply([retained("a", "123456")], reserving: nil)
        }
        try store.apply([retained("a", "1234"), retained("b", "123456")], reserving: nil)
        #expect(try store.statistics().payloadBytes == 10)
    }

    @Test(arguments: Conformer.allCases)
    func removesExpiredValues(conformer: Conformer) throws {
        let made = try conformer.make()
        let store = made.store
        try store.apply(
            [
                retained("brief", "x", time: 1000, expiry: 2000), retained("lasting", "y", time: 1000),
                retained("renewed", "z", time: 1000, expiry: 2000),
            ], reserving: nil)
        #expect(try value(store, "brief", now: 1999) == "x")
        #expect(try value(store, "brief", now: 2000) == nil)
        #expect(try matches(store, "+", now: 1999) == ["brief", "lasting", "renewed"])
        #expect(try matches(store, "+", now: 2000) == ["lasting"])
        #expect(try matches(store, "brief", now: 2000) == [])
        try store.apply([retained("renewed", "z", time: 1500, expiry: 9000)], reserving: nil)
        #expect(try store.statistics().values == 3)
        try store.apply([retained("other", "o", time: 2000)], reserving: nil)
        #expect(try store.statistics().values == 4, "it stays until a message removes it")
        #expect(try store.expired(by: 1999, atMost: 10) == [])
        #expect(store.nextExpiry == 2000)
        #expect(try store.expired(by: 2000, atMost: 10) == [ExpiredValue(topic: topic("brief"), seq: 1)])
        try store.apply([retained("brief", "", time: 2000)], reserving: nil)
        #expect(store.nextExpiry == 9000)
        #expect(try store.statistics().values == 3)
        #expect(try store.statistics().payloadBytes == 3)
        #expect(try matches(store, "#", now: 2000) == ["lasting", "other", "renewed"])
    }

    @Test(arguments: Conformer.allCases)
    func aScanMayReadOtherValues(conformer: Conformer) throws {
        let made = try conformer.make()
        try made.store.apply([retained("a/1", "x"), retained("a/2", "y")], reserving: nil)
        var found: [String?] = []
        let end = try made.store.scan(TopicFilter("a/+"), after: nil, visiting: 10, now: 0) { message in
            found.append(try? value(made.store, message.topic.name == "a/1" ? "a/2" : "a/1"))
            return true
        }
        #expect(end == .finished)
        #expect(found == ["y", "x"])
    }

    @Test(arguments: Conformer.allCases)
    func readsWhileItWrites(conformer: Conformer) async throws {
        let made = try conformer.make()
        let store = made.store
        try store.apply([retained("a", "0"), retained("b", "0")], reserving: nil)
        let torn = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var torn = 0
                    for _ in 0..<300 {
                        var payloads: Set<[UInt8]> = []
                        _ = try? store.scan(TopicFilter("#"), after: nil, visiting: 10, now: 0) { message in
                            payloads.insert(message.payload.array)
                            return true
                        }
                        if payloads.count != 1 { torn += 1 }
                    }
                    return torn
                }
            }
            group.addTask {
                for round in 1...100 {
                    guard let a = try? retained("a", "\(round)"), let b = try? retained("b", "\(round)"),
                        (try? store.apply([a, b], reserving: nil)) != nil
                    else { return 1 }
                }
                return 0
            }
            return await group.reduce(0, +)
        }
        #expect(torn == 0)
        #expect(try value(store, "b") == "100")
    }
}
