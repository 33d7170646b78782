import Testing

@testable import Broker
@testable import WSTransport

private typealias Peer = LogPeer<SteppedEngine>

extension LogPeer<SteppedEngine> {
    convenience init(node: UInt64) throws { try self.init(node: node, engine: SteppedEngine()) }

    func read(_ log: SteppedLog, from place: LogPosition? = nil, atMost count: Int) throws {
        try order.receive(log.entries(after: place ?? order.position, atMost: count))
        look()
    }
}

/// Three brokers, and an engine that fails in every possible way.
private struct Cluster {
    let peers: [Peer]
    private(set) var log = SteppedLog()
    private var random: SeededGenerator
    /// By broker and shard.
    private var published: [[[String]]]

    init(seed: Int) throws {
        random = SeededGenerator(seed: seed)
        peers = try (1...3).map { try Peer(node: $0) }
        published = peers.map { _ in [[], []] }
        // One sends each turn at once; at the others turns share records.
        for peer in peers.dropFirst() { peer.engine.answersAtOnce = false }
        log.begin(keeping: .start)
        for peer in peers { peer.order.engage(term: log.top.term, closed: log.closed, top: log.top) }
        for peer in peers { try peer.read(log, atMost: 1) }
    }

    mutating func step() throws {
        let index = Int.random(in: peers.indices, using: &random)
        let peer = peers[index]
        switch Int.random(in: 0..<44, using: &random) {
        case 0..<7: try publish(index)
        case 7..<20: peer.engine.arrive(in: &log)
        case 20..<34: try peer.read(log, atMost: Int.random(in: 1...4, using: &random))
        case 34:
            // It reads entries again.
            let places = [LogPosition.start] + log.entries.map(\.place).filter { $0 < peer.order.position }
            try peer.read(log, from: places.randomElement(using: &random), atMost: .max)
        case 35:
            // Its connection breaks: some records in flight are lost, the rest arrive late, and then again.
            peer.order.disengage()
            peer.engine.lose(from: Int.random(in: 0...3, using: &random))
            if Bool.random(using: &random) { try publish(index) }
            if Int.random(in: 0..<4, using: &random) == 0 {
                // Another process begins a term, and is replaced before anybody has read that.
                let place = peer.order.position
                peer.order.engage(term: log.top.term + 1, closed: place, top: place)
                peer.order.disengage()
            }
            peer.order.engage(term: log.top.term, closed: log.closed, top: log.top)
        case 36..<40: peer.engine.answer(peer.order)
        case 40..<43: peer.engine.lose(from: Int.random(in: 0...3, using: &random))
        default: try failOver()
        }
    }

    /// Another primary: entries that no broker has seen may be lost, and also entries that all have seen.
    private mutating func failOver() throws {
        let positions = peers.map(\.order.position)
        guard let least = positions.min(), let most = positions.max() else { return }
        // A position of the previous term is at most that of the term's entry.
        let kept = [most, log.top].filter { $0 >= most }.randomElement(using: &random) ?? most
        log.begin(keeping: kept, forgetting: Bool.random(using: &random) ? least : .start)
        for peer in peers {
            peer.order.disengage()
            peer.order.engage(term: log.top.term, closed: log.closed, top: log.top)
        }
    }

    private mutating func publish(_ index: Int) throws {
        let shard = Int.random(in: 0...1, using: &random)
        let drafts = try (0..<Int.random(in: 1...3, using: &random)).map { _ in
            let text = "\(index).\(shard)/\(published[index][shard].count)"
            published[index][shard].append(text)
            var draft = try draft(
                "t/\(Int.random(in: 0...3, using: &random))", text, retained: Bool.random(using: &random))
            if draft.isRetained, Bool.random(using: &random) { draft.condition = .absent }
            if Bool.random(using: &random) { draft.timeToLive = 5 }
            return draft
        }
        peers[index].submit(drafts, from: shard)
    }

    /// Lets everything arrive.
    mutating func settle() throws {
        for _ in 0..<200 {
            for peer in peers {
                peer.engine.answer(peer.order)
                while peer.engine.count > 0 { peer.engine.arrive(in: &log) }
                try peer.read(log, atMost: .max)
            }
            let isDone = peers.allSatisfy { $0.order.waiting == 0 && $0.order.position == log.top }
            if isDone { return }
            // Records that were lost silently are sent again by a later connection.
            for peer in peers { peer.order.engage(term: log.top.term, closed: log.closed, top: log.top) }
        }
        Issue.record("it does not settle")
    }

    /// Checks what must hold at the end.
    func check() {
        let shown = peers[0].shown
        for peer in peers {
            #expect(peer.shown == shown, "all show the same, in the same order")
            #expect(peer.order.digest == peers[0].order.digest && peer.order.position == log.top)
            let results = peer.allResults.reduce(0) { $0 + $1.count }
            #expect(results == peer.submitted, "each publication has its result")
        }
        #expect(zip(peers[0].messages, peers[0].messages.dropFirst()).allSatisfy { $0.seq < $1.seq })
        let texts = peers[0].messages.map { String(decoding: $0.payload, as: UTF8.self) }
        #expect(Set(texts).count == texts.count, "none is there twice")
        for (index, peer) in peers.enumerated() {
            for (shard, results) in peer.allResults.enumerated() {
                let accepted = results.filter { $0.contains("/") }
                #expect(
                    texts.filter { $0.hasPrefix("\(index).\(shard)/") } == accepted,
                    "what is acknowledged is there, in its order")
                for (result, text) in zip(results, published[index][shard]) {
                    #expect(result == text || result == "conflict", "results come in the order of the drafts")
                }
            }
        }
    }
}

@Suite("LogOrder: several brokers, one log")
struct LogOrderTests {
    @Test(arguments: 1...20)
    func brokersAgreeWhateverTheEngineDoes(seed: Int) throws {
        var cluster = try Cluster(seed: seed)
        for _ in 0..<600 { try cluster.step() }
        try cluster.settle()
        cluster.check()
    }

    private func peer() throws -> (Peer, SteppedLog) {
        var log = SteppedLog()
        log.begin(keeping: .start)
        let peer = try Peer(node: 1)
        peer.order.engage(term: 1, closed: .start, top: log.top)
        try peer.read(log, atMost: 1)
        return (peer, log)
    }

    /// Until the engine is available nothing is accepted; abandoned drafts are answered, and may come back
    /// nevertheless.
    @Test func refusesWithoutAnEngine() throws {
        let unconnected = try Peer(node: 1)
        #expect(unconnected.order.obstacle?.code == .unavailable)
        unconnected.submit([try draft("a", "1"), try draft("a", "2")])
        #expect(unconnected.results == ["unavailable", "unavailable"])
        var (peer, log) = try peer()
        peer.submit([try draft("a", "1")])
        peer.order.disengage()
        peer.submit([try draft("a", "2")])
        #expect(peer.results == [] && peer.order.obstacle == nil, "it may be a moment")
        peer.giveUp()
        #expect(peer.results == ["unavailable", "unavailable"] && peer.order.obstacle?.code == .unavailable)
        peer.submit([try draft("a", "3")])
        #expect(peer.results.count == 3)
        peer.engine.arrive(in: &log)
        peer.order.engage(term: 1, closed: .start, top: log.top)
        peer.submit([try draft("a", "4")])
        #expect(peer.results.last == "unavailable" && peer.engine.count == 0, "the tail must have shown that it works")
        try peer.read(log, atMost: .max)
        peer.submit([try draft("a", "5")])
        peer.engine.arrive(in: &log)
        try peer.read(log, atMost: .max)
        #expect(peer.results.last == "5" && peer.results.count == 5)
        #expect(peer.messages.map { String(decoding: $0.payload, as: UTF8.self) } == ["1", "5"])
    }

    /// A canary takes a number, and comes back; an abandoned one has no effect.
    @Test func sendsCanaries() throws {
        var (peer, log) = try peer()
        peer.order.beat()
        peer.submit([try draft("a", "1")])
        for _ in 0..<2 { peer.engine.arrive(in: &log) }
        try peer.read(log, atMost: .max)
        #expect(peer.messages.map(\.seq) == [1002] && peer.results == ["1"] && peer.order.waiting == 0)
        peer.order.beat()
        peer.giveUp()
        peer.order.beat()
        #expect(peer.order.waiting == 0 && peer.results == ["1"])
    }

    /// A message has the number of its place in the log; the numbers of refused messages are not used.
    ///
    /// Expiry uses the log's time.
    @Test func numbersMessagesByTheirPlaceInTheLog() throws {
        var (peer, log) = try peer()
        var drafts = try (0..<4).map { try draft("a", "\($0)", retained: true) }
        drafts[1].condition = .absent
        drafts[2].timeToLive = 10
        peer.submit(drafts)
        peer.engine.arrive(in: &log)
        try peer.read(log, atMost: .max)
        let first = LogPosition(term: 1, seq: 1000).seq
        #expect(peer.messages.map(\.seq) == [first + 1, first + 3, first + 4])
        #expect(peer.results == ["0", "conflict", "2", "3"])
        let (time, expiry) = (peer.messages[1].time, peer.messages[1].expiry)
        #expect(time == 1_800_000_000_003 && expiry == time + 10)
    }

    /// If a record is lost and later ones are not, all from there on are sent again, once.
    @Test func resendsFromTheFirstLostRecord() throws {
        var (peer, log) = try peer()
        for text in ["1", "2", "3"] { peer.submit([try draft("a", text)]) }
        peer.engine.loseFirst()
        for _ in 0..<2 { peer.engine.arrive(in: &log) }
        try peer.read(log, atMost: .max)
        #expect(peer.results == [] && peer.engine.count == 3)
        for _ in 0..<3 { peer.engine.arrive(in: &log) }
        try peer.read(log, atMost: .max)
        #expect(peer.results == ["1", "2", "3"] && peer.order.waiting == 0 && peer.engine.count == 0)
    }

    /// Turns that wait to be sent share a record; each shard gets its results in the order of its drafts.
    @Test func letsWaitingTurnsShareARecord() throws {
        var (peer, log) = try peer()
        peer.engine.answersAtOnce = false
        let conditional = try ["c", "d"].map { text in
            var draft = try draft("a", text, retained: true)
            draft.condition = .absent
            return draft
        }
        peer.submit([try draft("a", "1"), try draft("a", "2")])
        peer.submit(conditional, from: 1)
        peer.submit([try draft("a", "3")])
        #expect(peer.engine.count == 0 && peer.order.waiting == 3)
        peer.engine.answer(peer.order)
        #expect(peer.engine.count == 1 && peer.order.waiting == 1)
        // What is sent keeps its content and its number.
        peer.submit([try draft("a", "4")])
        peer.engine.loseFirst()
        peer.order.engage(term: 1, closed: .start, top: log.top)
        #expect(peer.engine.count == 2)
        for _ in 0..<2 { peer.engine.arrive(in: &log) }
        try peer.read(log, atMost: .max)
        #expect(peer.allResults == [["1", "2", "3", "4"], ["c", "conflict"]])
        #expect(peer.messages.map { $0.seq - 1000 } == [1, 2, 3, 5, 6] && peer.order.waiting == 0)
    }

    /// A canary has its own record, what is refused comes after what waits, and giving up answers all.
    @Test func keepsTheOrderOfWaitingTurns() throws {
        var (peer, log) = try peer()
        peer.engine.answersAtOnce = false
        let large = String(repeating: "x", count: 33 << 20)
        peer.submit([try draft("a", "1")])
        peer.submit([try draft("a", large)], from: 1)
        peer.submit([try draft("a", large)], from: 1)
        peer.submit([try draft("a", large)], from: 0)
        #expect(peer.allResults == [[], []])
        peer.order.beat()
        peer.submit([try draft("a", "2")], from: 1)
        #expect(peer.engine.count == 3, "the small one, the large one, the canary")
        peer.engine.answer(peer.order)
        for _ in 0..<4 { peer.engine.arrive(in: &log) }
        try peer.read(log, atMost: .max)
        #expect(peer.allResults == [["1", "unavailable"], [large, "unavailable", "2"]])
        peer.submit([try draft("a", "3")])
        peer.submit([try draft("a", "4")], from: 1)
        peer.giveUp()
        #expect(peer.allResults.map(\.last) == ["unavailable", "unavailable"] && peer.order.waiting == 0)
    }

    /// A turn that is too large for one record becomes several; a draft above all limits is refused, in its place.
    @Test func splitsLargeTurnsAndBoundsWaitingDrafts() throws {
        let peer = try Peer(node: 1)
        var log = SteppedLog()
        log.begin(keeping: .start)
        peer.order.engage(term: 1, closed: .start, top: log.top)
        try peer.read(log, atMost: 1)
        peer.submit(try (0..<2500).map { try draft("a", "\($0)") })
        #expect(peer.order.waiting == 3 && peer.engine.count == 3)
        let large = String(repeating: "x", count: 17 << 20)
        for _ in 0..<4 { peer.submit([try draft("a", large)]) }
        #expect(peer.results == [] && peer.order.waiting == 6, "a refusal waits for the results before it")
        for _ in 0..<6 {
            peer.engine.arrive(in: &log)
            try peer.read(log, atMost: .max)
        }
        #expect(peer.results.count == 2504 && peer.results.last == "unavailable" && peer.results[2499] == "2499")
        peer.submit([try draft("a", "end")])
        peer.engine.arrive(in: &log)
        try peer.read(log, atMost: .max)
        #expect(peer.results.last == "end")
    }

    @Test func stopsForGoodAtAnInconsistentEntry() throws {
        let last = LogPosition(term: 1, seq: 1000)
        let next = LogPosition(term: 2, seq: 2000)
        for (entry, trouble): (LogEntry, LogTrouble) in [
            (
                .record([1, 2, 3], at: LogPosition(term: 1, seq: 1001), time: 0),
                .unreadable(LogPosition(term: 1, seq: 1001))
            ),
            (.term(at: next, closed: LogPosition(term: 1, seq: 1001), epoch: 7), .missing(after: last)),
            (.term(at: next, closed: .start, epoch: 7), .undone(after: .start)),
            (.term(at: next, closed: last, epoch: 8), .foreign(epoch: 8)),
            (
                .record(
                    LogRecord.bytes(.init(node: 1, incarnation: 2, number: 1), [try draft("a", "1")].span),
                    at: LogPosition(term: 1, seq: 1001), time: 0), .displaced(LogPosition(term: 1, seq: 1001))
            ),
        ] {
            let (peer, _) = try peer()
            peer.submit([try draft("a", "1")])
            #expect(throws: trouble) { try peer.order.receive([entry]) }
            #expect(peer.order.obstacle?.code == .unavailable && peer.order.waiting == 0)
            peer.order.engage(term: 2, closed: last, top: next)
            #expect(peer.order.obstacle != nil, "for good")
        }
    }

    @Test func closingAnswersWaitingDrafts() throws {
        let (peer, _) = try peer()
        peer.submit([try draft("a", "1")])
        #expect(peer.order.close() == 1000, "where the log is, whether or not that became a message")
        peer.giveUp()
        #expect(peer.results == ["unavailable"])
    }
}
