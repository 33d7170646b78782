import Glibc
import Testing

@testable import Broker
@testable import WSTransport

@Suite("RedisLog: one log in a real Redis", .serialized)
struct RedisLogTests {
    private let harness: EngineHarness

    init() throws { harness = try EngineHarness() }

    /// Two brokers deliver each other's publications in one order, with the same numbers.
    @Test func twoBrokersDeliverInOneOrder() throws {
        let engine = try EnginePair()
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        for number in 0..<50 {
            for (index, peer) in peers.enumerated() { peer.submit([try draft("a", "\(index)/\(number)")]) }
        }
        for (index, peer) in peers.enumerated() { try peer.result("\(index)/49") }
        try eventually("both have everything") {
            peers.allSatisfy { peer in
                peer.look()
                return peer.messages.count == 100
            }
        }
        #expect(peers[0].shown == peers[1].shown)
        for peer in peers { #expect(peer.results.count == 50 && Set(peer.results).count == 50) }
        // Both brokers know both, with their reports and positions.
        try eventually("canaries and members") {
            peers.allSatisfy { peer in
                peer.status.lag != nil && peer.status.heard != nil
                    && peer.status.members.map(\.facts) == (1...2).map { #"{"name":"\#($0)","recordFormat":2}"# }
                    && peer.status.members.allSatisfy { $0.heard != nil && $0.position > .start }
            }
        }
        let status = peers[0].status
        #expect(status.term == 1 && status.version?.hasPrefix("7.") ?? false)
        #expect(status.primary == engine.primary.endpoint && status.replica == engine.replica.endpoint)
        // Turns share records.
        #expect(status.counts.appends > 0 && status.counts.entries > status.counts.appends && status.counts.terms == 1)
    }

    /// The newest format is written as soon as all brokers read it; one that has gone counts until it is forgotten.
    @Test func writesTheFormatThatAllRead() throws {
        let engine = try EnginePair()
        func peer(_ node: UInt64, _ facts: String) throws -> RedisPeer {
            try RedisPeer(node, at: engine.place, with: { $0.facts = { facts } })
        }
        let first = try peer(1, #"{"recordFormat":2}"#)
        defer { first.engine.stop() }
        let older = try peer(2, "{}")
        defer { older.engine.stop() }
        for one in [first, older] { try one.active() }
        // It is known that the other one reads no newer format, since its facts are.
        try eventually("both know both") {
            [first, older].allSatisfy { $0.status.members.map(\.facts) == [#"{"recordFormat":2}"#, "{}"] }
        }
        #expect(first.status.format == .plain)
        first.submit([try draft("a", "1")])
        try first.result("1")
        // As if it had been killed: without its farewell.
        older.engine.stop()
        _ = try harness.open(engine.primary).ask("HSET", "broker:{test}:nodes", "2", "{}")
        let later = try peer(3, #"{"recordFormat":200}"#)
        defer { later.engine.stop() }
        try later.active()
        try eventually("three brokers") { first.status.members.count == 3 }
        #expect(first.status.format == .plain && later.status.format == .plain)
        first.engine.forget(2)
        try eventually("the newest format") { [first, later].allSatisfy { $0.status.format == .brief } }
        first.submit([try draft("a", "2"), try draft("a", "3")])
        later.submit([try draft("a", "4")])
        try first.result("3")
        try later.result("4")
        try eventually("all is delivered") {
            for one in [first, later] { one.look() }
            return first.messages.count == 4 && later.messages.count == 4
        }
        #expect(first.shown == later.shown)
    }

    /// A broker that begins later reads the log from its beginning.
    @Test func readsTheLogFromItsBeginning() throws {
        let engine = try EnginePair()
        let first = try RedisPeer(1, at: engine.place)
        defer { first.engine.stop() }
        try first.active()
        for number in 0..<20 { first.submit([try draft("a", "\(number)")]) }
        try first.result("19")
        let second = try RedisPeer(2, at: engine.place)
        defer { second.engine.stop() }
        try second.active()
        second.look()
        #expect(second.shown == first.shown && second.status.term == 1)
        second.engine.stop()
        #expect(second.status.state == .stopped)
    }

    /// An engine that cannot keep a log is refused with the setting to change, and used once that is changed.
    @Test func namesTheEngineSettingToChange() throws {
        let engine = try EnginePair(["--maxmemory-policy", "allkeys-lru"])
        let link = try harness.open(engine.primary)
        let peer = try RedisPeer(1, at: engine.place, with: { $0.needsPersistence = true })
        defer { peer.engine.stop() }
        try peer.refuses("set maxmemory-policy noeviction in it.")
        _ = try link.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        try peer.refuses("The engine keeps nothing on disk: set appendonly yes in it, or save.")
        #expect(peer.status.state == .away)
        _ = try link.ask("CONFIG", "SET", "appendonly", "yes")
        try peer.active()
    }

    /// Neither a start nor a failover depends on it.
    @Test func recommendsThatThePrimaryDoesNotWriteAlone() throws {
        let engine = try EnginePair()
        let first = try RedisPeer(1, at: engine.place)
        defer { first.engine.stop() }
        try first.active()
        try eventually("a warning") { first.status.warnings.map(\.cause) == [.replicas] }
        #expect(first.status.warnings[0].text.contains("\(engine.primary.endpoint)"))
        #expect(first.status.warnings[0].text.contains("set min-replicas-to-write 1 in it"))
        _ = try harness.open(engine.primary).ask("CONFIG", "SET", "min-replicas-to-write", "1")
        let second = try RedisPeer(2, at: engine.place)
        defer { second.engine.stop() }
        try second.active()
        #expect(second.status.warnings.isEmpty)
    }

    @Test func waitsForAReplica() throws {
        let primary = try RedisServer(port: try RedisServer.freePort())
        let port = try RedisServer.freePort()
        let second = Endpoint.internet(host: "127.0.0.1", port: port)
        let peer = try RedisPeer(1, at: .addresses([primary.endpoint, second]), with: { $0.patience = 5_000_000_000 })
        defer { peer.engine.stop() }
        try eventually("it waits for a replica") { peer.status.state == .catchingUp }
        try peer.refuses("the replica: ")
        peer.submit([try draft("a", "1")])
        #expect(peer.results == ["unavailable"], "nothing shows that the log works")
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(primary.port)"], port: port)
        try peer.active()
        peer.submit([try draft("a", "2")])
        try peer.result("2")
        // Without a replica nothing is acknowledged, and waiting publications are eventually refused.
        replica.signal(SIGKILL)
        peer.submit([try draft("a", "3")])
        try eventually("it refuses") {
            peer.look()
            return peer.results.count == 3 && peer.order.obstacle != nil
        }
        #expect(peer.status.counts.surrenders > 0)
    }

    @Test func refusesForeignKeysAndFunctions() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let keys = EngineFunctions.Keys(cluster: "test")
        _ = try link.ask(
            "FUNCTION", "LOAD", "#!lua name=broker1\nredis.register_function('broker1_hello', function() return 1 end)")
        let peer = try RedisPeer(1, at: engine.place)
        defer { peer.engine.stop() }
        try peer.refuses("send it FUNCTION DELETE broker1.")
        _ = try link.ask("FUNCTION", "DELETE", "broker1")
        try peer.active()
        // Another state under the same name.
        let epoch = try link.ask("HGET", .text(keys.head), "epoch")
        _ = try link.ask("HSET", .text(keys.head), "epoch", "7")
        _ = try link.ask("FUNCTION", "FLUSH")
        try peer.refuses("The keys broker:{test}: are not this cluster's (their epoch is 7, ")
        _ = try link.ask("HSET", .text(keys.head), "epoch", .text(epoch.text ?? ""))
        try peer.active()
        _ = try link.ask("DEL", .text(keys.nodes))
        _ = try link.ask("SET", .text(keys.nodes), "x")
        try peer.refuses("a key of this name has another type")
    }

    /// The library of the version before, which brokers of that version need, is used until somebody deletes it.
    @Test func usesTheFunctionsOfTheVersionBefore() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        _ = try link.ask("FUNCTION", "LOAD", .text(EngineFunctions.former))
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        for peer in peers { peer.submit([try draft("a", "before")]) }
        for peer in peers { try peer.result("before") }
        #expect(peers.allSatisfy { $0.status.term == 1 })
        _ = try link.ask("FUNCTION", "DELETE", "broker1")
        try eventually("the next term") { peers.allSatisfy { $0.status.term == 2 && $0.status.state == .active } }
        for peer in peers { peer.submit([try draft("a", "after")]) }
        for peer in peers { try peer.result("after") }
        try eventually("both have everything") {
            for peer in peers { peer.look() }
            return peers.allSatisfy { $0.messages.count == 4 }
        }
        #expect(peers[0].shown == peers[1].shown)
    }

    /// A broker that knows how many there are waits for all of them before a term begins.
    @Test func waitsForAsManyBrokersAsThereAre() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let keys = EngineFunctions.Keys(cluster: "test")
        func peer(_ node: UInt64) throws -> RedisPeer {
            try RedisPeer(node, at: engine.place, with: { ($0.brokers, $0.grace) = (2, 600_000_000_000) })
        }
        let first = try peer(1)
        defer { first.engine.stop() }
        try eventually("a report") { try link.ask("HGET", .text(keys.ready), "n:1").text != nil }
        #expect(first.status.term == 0)
        let second = try peer(2)
        defer { second.engine.stop() }
        for peer in [first, second] { try peer.active() }
    }

    /// Records that were refused for lack of memory are accepted when there is some.
    @Test func recoversWhenTheEngineHasMemoryAgain() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let peer = try RedisPeer(1, at: engine.place)
        defer { peer.engine.stop() }
        try peer.active()
        _ = try link.ask("CONFIG", "SET", "maxmemory", "1")
        for number in 0..<10 { peer.submit([try draft("a", "\(number)")]) }
        try peer.refuses("OOM")
        #expect(peer.results == [] && peer.order.obstacle == nil)
        _ = try link.ask("CONFIG", "SET", "maxmemory", "0")
        try peer.result("9")
        #expect(peer.results == (0..<10).map(String.init))
    }

    /// The engine keeps only the configured amount of the entries that all brokers have read.
    @Test func trimsTheLog() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let keys = EngineFunctions.Keys(cluster: "test")
        let peer = try RedisPeer(1, at: engine.place, with: { $0.keptBytes = 100_000 })
        defer { peer.engine.stop() }
        try peer.active()
        let large = String(repeating: "x", count: 10_000)
        for number in 0..<100 {
            // One after another, so that each has its own record.
            peer.submit([try draft("a", "\(number) " + large)])
            try peer.result("\(number) " + large)
        }
        peer.submit([try draft("a", "end")])
        try peer.result("end")
        try eventually("it is cut") { try link.ask("XLEN", .text(keys.log)).integer ?? 0 < 50 }
        #expect(try link.ask("XLEN", .text(keys.log)).integer ?? 0 > 5)
        // A broker that needs removed entries reports it, and does not follow the log.
        let other = try RedisPeer(2, at: engine.place)
        defer { other.engine.stop() }
        try eventually("it cannot follow") { other.status.state == .lost(.missing(after: .start)) }
        #expect(other.status.failure == "The log no longer has the entries after 0-0.")
    }

    /// Large records are appended by transactions, in one order with the small ones of both brokers.
    @Test func appendsLargeRecords() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        let large = String(repeating: "x", count: 3000)
        // The first answer tells a broker the engine's time, which a transaction needs.
        for peer in peers { peer.submit([try draft("a", "first")]) }
        for peer in peers { try peer.result("first") }
        for number in 0..<60 {
            let end = number % 3 == 0 ? "" : large
            for (index, peer) in peers.enumerated() {
                peer.submit(try ["a", "b"].map { try draft("a", "\(index)/\(number)/\($0)" + end) })
            }
            // Each has a record of its own.
            for (index, peer) in peers.enumerated() { try peer.result("\(index)/\(number)/b" + end) }
        }
        let statistics = try link.ask("INFO", "commandstats").text ?? ""
        #expect(statistics.contains("cmdstat_exec:calls=80,"))
        try eventually("both have everything") {
            for peer in peers { peer.look() }
            return peers.allSatisfy { $0.messages.count == 242 }
        }
        #expect(peers[0].shown == peers[1].shown)
        let times = peers[0].messages.map(\.time)
        #expect(times == times.sorted() && abs(times[241] - WallClock.unixMilliseconds) < 60_000)
    }

    /// While the functions are deleted, as after an upgrade, no record is lost, doubled or out of order.
    @Test func survivesTheEndOfTheFunctionsAmidLargeRecords() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        let large = String(repeating: "x", count: 1500)
        for number in 0..<200 {
            for (index, peer) in peers.enumerated() {
                peer.submit(try ["a", "b", "c"].map { try draft("a", "\(index)/\(number)/\($0)" + large) })
            }
            if number == 100 { _ = try link.ask("FUNCTION", "DELETE", "broker1") }
        }
        for (index, peer) in peers.enumerated() { try peer.result("\(index)/199/c" + large) }
        try eventually("both have everything") {
            for peer in peers { peer.look() }
            return peers.allSatisfy { $0.messages.count == 1200 }
        }
        #expect(peers[0].shown == peers[1].shown && Set(peers[0].shown).count == 1200)
        #expect(peers[0].status.term == 2)
    }

    /// A record that the engine did not number, because its functions had just been deleted, does not count.
    @Test func ignoresARecordWithoutNumbers() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let keys = EngineFunctions.Keys(cluster: "test")
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        peers[0].submit([try draft("a", "1")])
        try peers[0].result("1")
        let drafts = try ["x", "y", "z"].map { try draft("a", $0) }
        let record = LogRecord.bytes(LogRecord.Head(node: 9, incarnation: 1, number: 1), drafts.span)
        let answer = try link.ask("XADD", .text(keys.log), "1-*", "b", .bytes(record), "m", "1")
        let place = try #require(LogPosition(answer.text ?? ""))
        // The engine's next number is taken, so another term begins.
        peers[1].submit([try draft("a", "2")])
        try peers[1].result("2")
        try eventually("both have both") {
            peers.allSatisfy { peer in
                peer.look()
                return peer.messages.map { String(decoding: $0.payload, as: UTF8.self) } == ["1", "2"]
            }
        }
        #expect(peers.allSatisfy { $0.order.position > place && $0.status.term == 2 })
    }

    /// A missing function is loaded again, and a term begins at once if all brokers are present.
    @Test func reloadsMissingFunctionsAndBeginsATerm() throws {
        let engine = try EnginePair()
        let link = try harness.open(engine.primary)
        let peers = try (1...2).map { try RedisPeer(UInt64($0), at: engine.place) }
        defer { for peer in peers { peer.engine.stop() } }
        for peer in peers { try peer.active() }
        _ = try link.ask("FUNCTION", "FLUSH")
        peers[0].submit([try draft("a", "1")])
        try peers[0].result("1")
        #expect(peers[0].status.term == 2)
        // The engine loses everything, and gets back what it lacks.
        _ = try link.ask("FLUSHALL")
        peers[1].submit([try draft("a", "2")])
        try peers[1].result("2")
        #expect(peers[1].status.term == 3)
        try eventually("both have both") {
            peers.allSatisfy { peer in
                peer.look()
                return peer.messages.map { String(decoding: $0.payload, as: UTF8.self) } == ["1", "2"]
            }
        }
        #expect(peers[0].order.position.seq > 3 << 20)
    }

    /// Two processes are primaries at the same time, and the one with the earlier term remains.
    ///
    /// A broker that has read from the other has messages that are in no log. It must get a copy, and their numbers are
    /// not used again.
    @Test func needsACopyIfTheLogReturnsToAnEarlierTerm() throws {
        let (first, second) = (try EnginePair(), try EnginePair())
        let links = [try harness.open(first.primary), try harness.open(second.primary)]
        let keys = EngineFunctions.Keys(cluster: "test")
        let place = EngineRoute.Place.addresses([
            first.primary.endpoint, first.replica.endpoint, second.primary.endpoint, second.replica.endpoint,
        ])
        let peer = try RedisPeer(1, at: place, with: { $0.patience = 1_000_000_000 })
        defer { peer.engine.stop() }
        try peer.active()
        _ = try links[0].ask("FUNCTION", "FLUSH")
        try eventually("another term: \(peer.status)") { peer.order.position.term == 2 }
        let epoch = peer.order.epoch
        _ = try links[1].ask("FUNCTION", "LOAD", .text(EngineFunctions.source))
        let report: [RESPCommand.Word] = [.text("f"), .text("0-0"), .number(epoch), .number(0), .number(0), .number(1)]
        _ = try links[1].all([keys.call(.ready, report)])[0].get()
        first.replica.signal(SIGKILL)
        first.primary.signal(SIGKILL)
        try eventually("it is lost: \(peer.status)") {
            if case .lost(.undone) = peer.status.state { true } else { false }
        }
        #expect(peer.order.obstacle != nil)
        let head = try links[1].ask("HMGET", .text(keys.head), "term", "seq")
        let words = (head.elements ?? []).compactMap(\.text)
        #expect(words == ["2", "\(peer.order.position.seq)"])
    }
}

@Suite("LogRing and LogWindow: how much of the log is kept")
struct LogRingTests {
    private func entry(_ seq: UInt64, size: Int = 100) -> LogRing.Entry {
        LogRing.Entry(place: LogPosition(term: 1, seq: seq), fields: [[UInt8](repeating: 0, count: size - 80)])
    }

    @Test func keepsTheLastEntriesUpToASize() {
        var ring = LogRing(capacity: 1000)
        for seq in UInt64(1)...25 { ring.append(entry(seq * 2)) }
        #expect(ring.size == 1000)
        func after(_ seq: UInt64, _ count: Int = 100, size: Int = 10_000) -> [UInt64] {
            ring.entries(after: LogPosition(term: 1, seq: seq), atMost: count, size: size).map(\.place.seq)
        }
        #expect(after(0) == (16...25).map { $0 * 2 } && after(44) == [46, 48, 50] && after(50) == [])
        #expect(after(44, 2) == [46, 48] && after(44, size: 150) == [46, 48] && after(45, 1) == [46])
        ring.append(entry(60, size: 2000))
        #expect(after(0) == [] && ring.size == 0, "an entry above the total size is not kept")
    }

    @Test func trimsBySizeAndAge() {
        func place(_ seq: UInt64) -> LogPosition { LogPosition(term: 1, seq: seq) }
        var window = LogWindow(keptBytes: 1 << 20, keptAge: 60_000)
        for seq in UInt64(1)...20 { window.add(place(seq), size: 100 << 10, time: 1000) }
        #expect(window.cut(slowest: place(5)) == place(5), "a broker has read no further")
        #expect(window.cut(slowest: place(20)) == place(10) && window.cut(slowest: place(20)) == nil)
        for seq in UInt64(21)...80 { window.add(place(seq), size: 100 << 10, time: 1000) }
        #expect(window.cut(slowest: .start) == place(40), "a slow broker is not waited for without limit")
        window.add(place(81), size: 10, time: 100_000)
        #expect(window.cut(slowest: place(81)) == place(80), "the last is kept")
    }
}
