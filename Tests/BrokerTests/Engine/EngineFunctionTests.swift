import Glibc
import Testing

@testable import Broker
@testable import WSTransport

extension Link {
    func load() throws { _ = try ask("FUNCTION", "LOAD", .text(EngineFunctions.source)) }

    func call(_ function: String, _ keys: EngineFunctions.Keys, count: UInt64 = 4, _ arguments: RESPCommand.Word...)
        throws -> [String]
    {
        let names = [keys.log, keys.head, keys.nodes, keys.ready].prefix(Int(count)).map { RESPCommand.Word.text($0) }
        let words: [RESPCommand.Word] = ["FCALL", .text("broker1_" + function), .number(count)] + names + arguments
        switch try all([RESPCommand(words)])[0] {
        case .success(let value): return (value.elements ?? [value]).map { $0.text ?? "-" }
        case .failure(.refused(let error)): return [String(error.code)]
        case .failure(let failure): throw failure
        }
    }

    /// Appends a record of this many numbers; returns the last of them, or the refusal.
    func append(_ keys: EngineFunctions.Keys, term: UInt64, _ count: UInt64 = 1, _ record: String = "x") throws
        -> String
    {
        try call("append", keys, count: 2, .number(term), .number(count), .text(record))[0]
    }

    /// Appends a record by a transaction; returns the last of its numbers and its position, or the refusal.
    func appendLarge(_ keys: EngineFunctions.Keys, term: UInt64, _ count: Int = 1) throws -> [String] {
        switch try transaction(keys.append([7], numbers: count, term: term, time: 5)) {
        case .success(let results): [results[0].text ?? "-", results[1].text ?? "-"]
        case .failure(.refused(let error)): [String(error.code)]
        case .failure(let failure): throw failure
        }
    }

    /// Reports how far a broker has read, and waits for others for at most a second.
    func ready(
        _ keys: EngineFunctions.Keys, _ node: String, _ last: String, peers: UInt64 = 1, epoch: UInt64 = 77,
        grace: UInt64 = 60_000
    ) throws -> [String] {
        try call(
            "ready", keys, .text(node), .text(last), .number(epoch), .number(grace), .number(1024), .number(peers))
    }

    /// The positions in the log.
    func positions(_ keys: EngineFunctions.Keys) throws -> [String] {
        (try ask("XRANGE", .text(keys.log), "-", "+").elements ?? []).compactMap { $0.elements?.first?.text }
    }
}

/// Records that the library accepts and refuses, in a real Redis.
@Suite("EngineFunctions: terms, arming, appending", .serialized)
struct EngineFunctionTests {
    private let harness: EngineHarness
    private let redis: RedisServer
    private let link: Link
    private let keys = EngineFunctions.Keys(cluster: "test")

    init() throws {
        harness = try EngineHarness()
        redis = try RedisServer()
        link = try harness.open(redis)
        try link.load()
    }

    @Test func acceptsRecordsOfItsTermOnly() throws {
        #expect(try link.append(keys, term: 1) == "UNARMED")
        #expect(try link.call("hello", keys, count: 3, "a", "{}") == ["0", "0-0", "0-0", "", "1"])
        #expect(try link.ready(keys, "a", "0-0", peers: 2) == ["0", "wait"], "another is to come")
        #expect(try link.ready(keys, "a", "0-0", peers: 2) == ["0", "wait"], "it counts once")
        #expect(try link.ready(keys, "b", "0-0", peers: 2) == ["1", "0-0"])
        #expect(try link.ready(keys, "a", "0-0", peers: 2) == ["1", "0-0"])
        #expect(try link.append(keys, term: 1, 3) == "1027")
        #expect(try link.append(keys, term: 1) == "1028")
        #expect(try link.append(keys, term: 0) == "TERM" && link.append(keys, term: 2) == "TERM")
        #expect(try link.append(keys, term: 1) == "1029", "a wrong term does not disarm the engine")
        #expect(try link.call("hello", keys, count: 3, "a", "{}") == ["1", "1-1029", "0-0", "77", "1"])
        #expect(try link.positions(keys) == ["1-1024", "1-1027", "1-1028", "1-1029"])
        #expect(
            try link.append(EngineFunctions.Keys(cluster: "other"), term: 1) == "UNARMED", "each cluster has its own")
    }

    /// Record and time are stored unchanged, and the time never decreases.
    @Test func storesRecordAndTime() throws {
        _ = try link.ask("HSET", .text(keys.head), "time", "99999999999999")
        _ = try link.ready(keys, "a", "0-0")
        #expect(
            try link.call("append", keys, count: 2, "1", "2", .bytes([0, 255, 13, 10])) == ["1026", "99999999999999"])
        let entries = try #require(try link.ask("XRANGE", .text(keys.log), "1-1026", "1-1026").elements)
        #expect(
            entries.first?.elements?.last?.elements == [
                .bytes(Array("b".utf8)), .bytes([0, 255, 13, 10]), .bytes(Array("m".utf8)),
                .bytes(Array("99999999999999".utf8)),
            ])
    }

    /// A record that does not pass through the functions gets the same numbers, or none.
    @Test func numbersARecordThatFollows() throws {
        _ = try link.ready(keys, "a", "0-0")
        #expect(try link.append(keys, term: 1, 3) == "1027")
        #expect(try link.appendLarge(keys, term: 1, 100) == ["1127", "1-1127"])
        #expect(try link.append(keys, term: 1, 2) == "1129")
        #expect(try link.appendLarge(keys, term: 1) == ["1130", "1-1130"])
        #expect(try link.appendLarge(keys, term: 0) == ["TERM"] && link.appendLarge(keys, term: 2) == ["TERM"])
        #expect(try link.appendLarge(keys, term: 1, 5) == ["1135", "1-1135"], "a wrong term changes nothing")
        #expect(try link.append(keys, term: 1) == "1136")
        let positions = ["1-1024", "1-1027", "1-1127", "1-1129", "1-1130", "1-1135", "1-1136"]
        #expect(try link.positions(keys) == positions)
        let entry = try #require(try link.ask("XRANGE", .text(keys.log), "1-1127", "1-1127").elements?.first)
        #expect(entry.elements?.last?.elements?.map(\.text) == ["b", "\u{7}", "m", "5"])
        // The process is armed no longer, although the connections to it last.
        try link.load(again: true)
        #expect(try link.appendLarge(keys, term: 1, 9) == ["UNARMED"])
        #expect(try link.positions(keys) == positions)
        // A log that refused such a record accepts what brokers put back, and the next term.
        #expect(try link.ready(keys, "a", "1-1140", peers: 1) == ["0", "1-1136"])
        #expect(try link.appendLarge(keys, term: 1, 9) == ["UNARMED"])
        #expect(try link.call("offer", keys, "a", "1-1138", "b", "y", "m", "1") == ["1"])
        #expect(try link.appendLarge(keys, term: 1, 9) == ["UNARMED"])
        #expect(try link.call("offer", keys, "a", "1-1140", "b", "y", "m", "1") == ["1"])
        #expect(try link.call("offer", keys, "a", "1-1140", "b", "y", "m", "1") == ["0"], "it is there")
        #expect(try link.call("arm", keys, "a", "1-1140", "77", "1024") == ["2", "1-1140"])
        #expect(try link.positions(keys) == positions + ["1-1138", "1-1140", "2-2164"])
        #expect(try link.appendLarge(keys, term: 2, 4) == ["2168", "2-2168"])
        #expect(try link.append(keys, term: 2) == "2169")
    }

    /// A log that was removed or changed by another program gets no record of the current term.
    @Test func doesNotNumberInAChangedLog() throws {
        _ = try link.ready(keys, "a", "0-0")
        #expect(try link.append(keys, term: 1, 3) == "1027")
        _ = try link.ask("DEL", .text(keys.log))
        #expect(try link.appendLarge(keys, term: 1, 9) == ["UNARMED"])
        #expect(try link.ask("EXISTS", .text(keys.log)) == .integer(0))
        #expect(try link.ready(keys, "a", "1-1027") == ["0", "1-1027"])
        #expect(try link.call("arm", keys, "a", "1-1027", "77", "1024") == ["2", "1-1027"])
        _ = try link.ask("XADD", .text(keys.log), "2-999999", "x", "y")
        #expect(try link.appendLarge(keys, term: 2, 9) == ["UNARMED"])
        #expect(try link.positions(keys) == ["2-2051", "2-999999"])
    }

    /// A user that lacks a right for it is told so before a record is lost.
    @Test func saysWhetherARecordMayFollow() throws {
        let rights: [RESPCommand.Word] = [
            "+@connection", "+fcall", "+xadd", "+xrevrange", "+hset", "+hmget", "+multi", "+exec", "+xsetid",
        ]
        for missing in 6...rights.count {
            _ = try link.all([
                RESPCommand(
                    ["ACL", "SETUSER", "b", "reset", "on", ">secret", "~*"] + rights.prefix(missing)
                        + rights.dropFirst(missing + 1))
            ])
            var access = EngineLink.Access()
            (access.user, access.password) = ("b", "secret")
            let answer = try harness.open(redis, access).call("hello", keys, count: 3, "a", "{}")
            #expect(answer.last == (missing == rights.count ? "1" : "0"))
        }
    }

    /// Another process knows from the log how far the time has come, even if its clock is behind.
    @Test func continuesWithTheTimeOfTheLog() throws {
        _ = try link.ask("XADD", .text(keys.log), "3-7", "b", "x", "m", "99999999999999")
        #expect(try link.ready(keys, "a", "3-7") == ["4", "3-7"])
        #expect(try link.call("append", keys, count: 2, "4", "1", "y") == ["1032", "99999999999999"])
    }

    /// An append is one command for the replicas and the file, and the next term begins after it nevertheless.
    @Test func replicatesOnlyTheEntry() throws {
        let port = try RedisServer.freePort()
        let primary = try RedisServer(port: port)
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(port)"])
        let (old, new) = (try harness.open(primary), try harness.open(replica))
        try old.load()
        // Until the replica is one: a copy of all data would have the number, too.
        #expect(try old.ask("WAIT", "1", "0") == .integer(1))
        _ = try old.ready(keys, "a", "0-0")
        #expect(try old.append(keys, term: 1, 5) == "1029")
        #expect(try old.ask("WAIT", "1", "0") == .integer(1))
        #expect(try old.ask("HGET", .text(keys.head), "seq").text == "1029")
        #expect(try new.ask("HGET", .text(keys.head), "seq").text == "1024")
        #expect(try new.positions(keys) == ["1-1024", "1-1029"])
        #expect(try old.appendLarge(keys, term: 1, 7) == ["1036", "1-1036"])
        #expect(try old.appendLarge(keys, term: 0, 7) == ["TERM"])
        #expect(try old.ask("WAIT", "1", "0") == .integer(1))
        #expect(try new.ask("HGET", .text(keys.head), "seq").text == "1024")
        #expect(try new.positions(keys) == ["1-1024", "1-1029", "1-1036"])
        _ = try new.ask("REPLICAOF", "NO", "ONE")
        #expect(try new.appendLarge(keys, term: 1, 7) == ["UNARMED"])
        #expect(try new.ready(keys, "a", "1-1036") == ["2", "1-1036"])
        #expect(try new.append(keys, term: 2) == "2061")
    }

    /// Reports to the process that was the primary before, which has died or been replaced, count for nothing.
    @Test func doesNotCountReportsToAnotherProcess() throws {
        _ = try link.ask(
            "HSET", .text(keys.ready), "since", "1", "n:b", "1-5", "e:b", "77", "a:b", "99999999999999", "winner", "b",
            "won", "99999999999999", "from", "1-1")
        #expect(try link.ready(keys, "a", "0-0", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "b", "0-0", peers: 2) == ["1", "0-0"])
    }

    /// A broker that has reported, gone elsewhere and read on there counts again only when it reports again.
    @Test func doesNotCountABrokerThatReportsNoLonger() throws {
        #expect(try link.ready(keys, "b", "0-0", peers: 2) == ["0", "wait"])
        _ = try link.ask("HSET", .text(keys.ready), "a:b", "0")
        #expect(try link.ready(keys, "a", "0-0", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "b", "0-0", peers: 2) == ["1", "0-0"])
    }

    @Test func waitsForOtherBrokersOnlyForItsGracePeriod() throws {
        #expect(try link.ready(keys, "a", "0-0", peers: 3, grace: 0) == ["1", "0-0"])
    }

    /// A reloaded library, as after `FUNCTION FLUSH`, accepts nothing until another term has begun.
    @Test func aReloadedLibraryNeedsANewTerm() throws {
        _ = try link.ready(keys, "a", "0-0")
        #expect(try link.append(keys, term: 1) == "1025")
        _ = try link.ask("FUNCTION", "FLUSH")
        #expect(try link.append(keys, term: 1) == "ERR", "the function is not there")
        try link.load()
        #expect(try link.append(keys, term: 1) == "UNARMED")
        #expect(try link.ready(keys, "a", "1-1025") == ["2", "1-1025"])
        #expect(try link.append(keys, term: 1) == "TERM" && link.append(keys, term: 2) == "2050")
        #expect(try link.positions(keys) == ["1-1024", "1-1025", "2-2049", "2-2050"])
    }

    /// A replica has the data of its primary, but not its permission to accept records.
    @Test func aPromotedReplicaAcceptsNothing() throws {
        let port = try RedisServer.freePort()
        let primary = try RedisServer(port: port)
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(port)"])
        let (old, new) = (try harness.open(primary), try harness.open(replica))
        try old.load()
        _ = try old.ready(keys, "a", "0-0")
        #expect(try old.append(keys, term: 1) == "1025")
        // Until the replica has it.
        #expect(try old.ask("WAIT", "1", "0") == .integer(1))
        #expect(
            try new.refusal("FCALL", "broker1_append", "2", .text(keys.log), .text(keys.head), "1", "1", "x")
                == "READONLY")
        _ = try new.ask("REPLICAOF", "NO", "ONE")
        #expect(try new.append(keys, term: 1) == "UNARMED")
        #expect(try new.ready(keys, "a", "1-1025") == ["2", "1-1025"])
        #expect(try new.append(keys, term: 2) == "2050")
        // The old one becomes its replica and is promoted again: it is armed for a term that has ended.
        #expect(try old.append(keys, term: 1) == "1026", "it does not know yet; its log is discarded")
        let again = try RedisServer.freePort()
        _ = try new.ask("CONFIG", "SET", "port", .text("\(again)"))
        _ = try old.ask("REPLICAOF", "127.0.0.1", .text("\(again)"))
        #expect(try new.ask("WAIT", "1", "0") == .integer(1))
        _ = try old.ask("REPLICAOF", "NO", "ONE")
        #expect(try old.positions(keys) == ["1-1024", "1-1025", "2-2049", "2-2050"])
        #expect(try old.append(keys, term: 2) == "UNARMED" && old.append(keys, term: 1) == "UNARMED")
    }

    /// A primary that is demoted, and promoted again before another term begins, has lost the records that it accepted.
    @Test func aFormerPrimaryAcceptsNothingAfterResync() throws {
        let port = try RedisServer.freePort()
        let primary = try RedisServer(port: try RedisServer.freePort())
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(primary.port)"], port: port)
        let (old, new) = (try harness.open(primary), try harness.open(replica))
        try old.load()
        _ = try old.ready(keys, "a", "0-0")
        #expect(try old.append(keys, term: 1) == "1025")
        #expect(try old.ask("WAIT", "1", "0") == .integer(1))
        _ = try new.ask("REPLICAOF", "NO", "ONE")
        #expect(try old.append(keys, term: 1) == "1026", "no other server has it")
        _ = try old.ask("REPLICAOF", "127.0.0.1", .text("\(port)"))
        #expect(try new.ask("WAIT", "1", "0") == .integer(1))
        _ = try old.ask("REPLICAOF", "NO", "ONE")
        #expect(try old.positions(keys) == ["1-1024", "1-1025"])
        #expect(try old.append(keys, term: 1) == "UNARMED")
    }

    /// Only the broker that has read the most restores missing records.
    @Test func theMostAdvancedBrokerRestoresMissingRecords() throws {
        _ = try link.ready(keys, "a", "0-0")
        #expect(try link.append(keys, term: 1, 3) == "1027")
        try link.load(again: true)
        #expect(try link.ready(keys, "b", "1-1027", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "a", "1-1030", peers: 2) == ["0", "1-1027"], "put back what comes after")
        #expect(try link.ready(keys, "b", "1-1027", peers: 2) == ["0", "wait"])
        #expect(try link.call("offer", keys, "b", "1-1030", "b", "y", "m", "1") == ["UNASKED"])
        #expect(try link.call("arm", keys, "b", "1-1027", "77", "1024") == ["UNASKED"])
        #expect(try link.call("offer", keys, "a", "1-1030", "b", "y", "m", "1") == ["1"])
        #expect(try link.call("offer", keys, "a", "1-1030", "b", "y", "m", "1") == ["0"], "it is there")
        #expect(try link.call("arm", keys, "a", "1-1030", "77", "1024") == ["2", "1-1030"])
        #expect(try link.call("arm", keys, "a", "1-1030", "77", "1024") == ["2", "1-1030"], "asked again")
        #expect(try link.call("offer", keys, "a", "1-1031", "b", "y", "m", "1") == ["UNASKED"], "the term has begun")
        #expect(try link.positions(keys) == ["1-1024", "1-1027", "1-1030", "2-2054"])
        #expect(try link.ready(keys, "b", "1-1027", peers: 2) == ["2", "1-1030"])
    }

    /// A broker that was asked and has disconnected does not delay the others.
    @Test func doesNotWaitForABrokerThatLeft() throws {
        _ = try link.ready(keys, "a", "0-0")
        try link.load(again: true)
        #expect(try link.ready(keys, "a", "1-2000", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "b", "1-1024", peers: 2) == ["0", "wait"])
        _ = try link.ask("HSET", .text(keys.ready), "won", "0")
        #expect(try link.ready(keys, "b", "1-1024", peers: 1) == ["0", "wait"], "all begin again")
        #expect(try link.ready(keys, "b", "1-1024", peers: 1) == ["2", "1-1024"])
    }

    /// An engine that lost everything gives no number twice, and begins with the entries that the slowest broker lacks.
    @Test func recoversAfterLosingEverything() throws {
        _ = try link.ask("FLUSHALL")
        #expect(try link.append(keys, term: 1) == "UNARMED")
        #expect(try link.ready(keys, "a", "4-5000000", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "b", "4-4999999", peers: 2) == ["0", "wait"])
        #expect(try link.ready(keys, "a", "4-5000000", peers: 2) == ["0", "4-4999999"])
        #expect(try link.call("offer", keys, "a", "4-5000000", "b", "y", "m", "1") == ["1"])
        #expect(try link.call("arm", keys, "a", "4-5000000", "77", "1024") == ["5", "4-5000000"])
        #expect(try link.append(keys, term: 5) == "5001025")
        #expect(try link.positions(keys) == ["4-5000000", "5-5001024", "5-5001025"])
    }

    /// The engine may belong to another cluster, or hold another state of this one.
    @Test func refusesAnotherClusterOrState() throws {
        _ = try link.ready(keys, "a", "0-0")
        try link.load(again: true)
        #expect(try link.ready(keys, "a", "0-0", epoch: 78) == ["0", "epoch 77"])
        #expect(try link.append(keys, term: 1) == "UNARMED")
    }

    /// An engine without memory refuses, and continues when it has some.
    @Test func refusesWhileOutOfMemory() throws {
        _ = try link.ready(keys, "a", "0-0")
        _ = try link.ask("CONFIG", "SET", "maxmemory", "1")
        #expect(try link.append(keys, term: 1) == "OOM")
        _ = try link.ask("CONFIG", "SET", "maxmemory", "0")
        #expect(try link.append(keys, term: 1) == "1025")
    }
}

extension Link {
    /// - Parameter again: replaces the loaded library, whose memory is lost.
    func load(again: Bool) throws { _ = try ask("FUNCTION", "LOAD", "REPLACE", .text(EngineFunctions.source)) }
}
