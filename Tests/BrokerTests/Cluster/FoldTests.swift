import Testing

@testable import Broker

/// A log and its senders: each repeats its records after a hole, so some are in the log twice and out of order.
private struct LogMaker {
    struct Item {
        let place: LogPosition
        let entry: Fold.Entry
    }

    private(set) var items: [Item] = []
    private var top = LogPosition.start
    private var time: Int64 = 1000
    private var random: SeededGenerator
    /// How many records each sender has in the log without holes, and how many it has sent.
    private var sent: [UInt64: UInt64] = [:]

    init(seed: Int) { random = SeededGenerator(seed: seed) }

    mutating func begin() {
        let closed = top
        top = LogPosition(term: top.term + 1, seq: top.seq + 1 << 20)
        items.append(Item(place: top, entry: .term(closed: closed, epoch: 5)))
    }

    mutating func append(_ node: UInt64, _ number: UInt64, incarnation: UInt64 = 1) {
        let numbers = Int.random(in: 1...5, using: &random)
        top = LogPosition(term: top.term, seq: top.seq + UInt64(numbers))
        // The engine's clock may be set back.
        time += Int64.random(in: -5...9, using: &random)
        let head = LogRecord.Head(node: node, incarnation: incarnation, number: number)
        items.append(Item(place: top, entry: .record(head, numbers: numbers, time: time)))
    }

    /// Adds a record to which the engine has given only one number, although it has several.
    mutating func misplace(_ node: UInt64, _ number: UInt64) {
        top = LogPosition(term: top.term, seq: top.seq + 1)
        let head = LogRecord.Head(node: node, incarnation: 1, number: number)
        items.append(Item(place: top, entry: .record(head, numbers: Int.random(in: 2...5, using: &random), time: time)))
    }

    /// Adds records of three senders, sometimes a new term, and records that are repeated, or skipped at first.
    mutating func fill(_ count: Int) {
        begin()
        for _ in 0..<count {
            let node = UInt64.random(in: 1...3, using: &random)
            let next = sent[node, default: 0] + 1
            switch Int.random(in: 0..<10, using: &random) {
            case 0: begin()
            case 1 where next > 3: for number in next - 3..<next { append(node, number) }
            case 2:
                // A record is lost, so those after it arrive before it.
                for number in [next + 1, next + 2, next, next + 1, next + 2] { append(node, number) }
                sent[node] = next + 2
            case 3:
                misplace(node, next)
                append(node, next)
                sent[node] = next
            default:
                append(node, next)
                sent[node] = next
            }
        }
    }

    var total: UInt64 { sent.values.reduce(0, +) }
}

@Suite("Fold: which records of the log count")
struct FoldTests {
    /// A record that counted: its sender and number, its first message number and its time.
    private struct Taken: Equatable {
        let node: UInt64
        let number: UInt64
        let first: UInt64
        let time: Int64
    }

    private static func fold(_ item: LogMaker.Item, _ fold: inout Fold) -> Taken? {
        guard case .taken(let numbers, let time) = fold.fold(item.entry, at: item.place),
            case .record(let head, let count, _) = item.entry
        else { return nil }
        #expect(numbers.count == count && numbers.upperBound == item.place.seq + 1)
        return Taken(node: head.node, number: head.number, first: numbers.lowerBound, time: time)
    }

    /// A broker reaches the same state as the others, whatever it reads twice, and wherever it stops and resumes.
    @Test(arguments: 1...20)
    func reachesTheSameStateAfterRepeatsAndRestarts(seed: Int) throws {
        var log = LogMaker(seed: seed)
        log.fill(200)
        var whole = Fold()
        let expected = log.items.compactMap { Self.fold($0, &whole) }
        #expect(UInt64(expected.count) == log.total, "each record counts once")
        for node in UInt64(1)...3 {
            let own = expected.filter { $0.node == node }.map(\.number)
            #expect(own == Array(1...UInt64(own.count)) && whole.last(of: node, incarnation: 1) == UInt64(own.count))
        }
        #expect(
            expected.map(\.first) == expected.map(\.first).sorted()
                && expected.map(\.time) == expected.map(\.time).sorted())
        var random = SeededGenerator(seed: seed + 1_000_000)
        var (other, taken, place) = (Fold(), [Taken](), 0)
        while place < log.items.count {
            // It reads again from an earlier position, as after a lost connection.
            place = max(0, place - Int.random(in: 0...9, using: &random))
            let end = min(log.items.count, place + Int.random(in: 1...30, using: &random))
            taken += log.items[place..<end].compactMap { Self.fold($0, &other) }
            place = end
            // It restarts from its stored state.
            other = try #require(Self.read(other.bytes))
        }
        #expect(taken == expected && other == whole && other.digest == whole.digest)
        #expect(whole.jumps.all.allSatisfy { whole.jumps.jump(over: $0.closed + 1) == $0 } && !whole.jumps.all.isEmpty)
    }

    private static func read(_ bytes: [UInt8]) -> Fold? { Fold(bytes.span) }

    @Test func rejectsDamagedState() {
        let bytes = Fold(after: 3, epoch: 7).bytes
        #expect(Self.read(bytes)?.position == LogPosition(term: 0, seq: 3))
        #expect(Self.read([3] + bytes.dropFirst()) == nil, "another version's")
        let first = Self.read([1] + bytes.dropFirst().dropLast(8))
        #expect(first?.position == LogPosition(term: 0, seq: 3), "the first version, without jumps")
        #expect(Self.read(bytes + [0]) == nil && Self.read(Array(bytes.dropLast())) == nil && Self.read([]) == nil)
    }

    @Test func reportsTheOutcomeOfEachEntry() {
        var fold = Fold()
        func record(_ number: UInt64, _ term: UInt64, _ seq: UInt64, count: Int = 1, of incarnation: UInt64 = 1)
            -> Fold.Outcome
        {
            fold.fold(
                .record(LogRecord.Head(node: 1, incarnation: incarnation, number: number), numbers: count, time: 7),
                at: LogPosition(term: term, seq: seq))
        }
        func term(_ closed: LogPosition, _ term: UInt64, _ seq: UInt64, epoch: UInt64 = 5) -> Fold.Outcome {
            fold.fold(.term(closed: closed, epoch: epoch), at: LogPosition(term: term, seq: seq))
        }
        #expect(record(1, 1, 1) == .missing, "a log begins with a term")
        #expect(term(.start, 1, 100) == .begun)
        #expect(record(1, 1, 102, count: 2) == .taken(numbers: 101..<103, time: 7))
        #expect(record(1, 1, 102, count: 2) == .stale)
        #expect(record(3, 1, 103) == .hole(first: 2))
        #expect(record(1, 1, 104) == .duplicate)
        #expect(record(2, 1, 106) == .missing, "105 is not here")
        #expect(record(2, 1, 105) == .taken(numbers: 105..<106, time: 7))
        #expect(term(LogPosition(term: 1, seq: 105), 2, 200, epoch: 6) == .foreign(epoch: 6))
        #expect(term(LogPosition(term: 1, seq: 106), 2, 200) == .missing)
        #expect(term(LogPosition(term: 1, seq: 104), 2, 200) == .undone(after: LogPosition(term: 1, seq: 104)))
        #expect(term(LogPosition(term: 1, seq: 105), 2, 200) == .begun)
        #expect(record(3, 1, 106) == .stale, "of the term before")
        #expect(record(3, 2, 201) == .taken(numbers: 201..<202, time: 7))
        // The sender has abandoned records: the earlier ones no longer count.
        #expect(record(1, 2, 202, of: 2) == .taken(numbers: 202..<203, time: 7))
        #expect(record(4, 2, 203) == .duplicate)
        #expect(record(3, 2, 204, of: 2) == .hole(first: 2))
        #expect(record(2, 2, 205, count: 3, of: 2) == .misplaced, "others have 203 and 204")
        #expect(record(2, 2, 208, count: 2, of: 2) == .missing, "206 is not here")
        #expect(fold.last(of: 1, incarnation: 2) == 1 && fold.last(of: 1, incarnation: 1) == 0)
        #expect(record(.max, 2, .max, count: 5) == .missing, "numbers do not wrap")
    }

    /// Entries of a replica that the new primary never had do not count.
    @Test func ignoresEntriesAfterTheEndOfATerm() {
        var fold = Fold()
        func append(_ number: UInt64, _ term: UInt64, _ seq: UInt64) -> Fold.Outcome {
            fold.fold(
                .record(LogRecord.Head(node: 1, incarnation: 1, number: number), numbers: 1, time: 7),
                at: LogPosition(term: term, seq: seq))
        }
        let first = LogPosition(term: 1, seq: 100)
        #expect(fold.fold(.term(closed: .start, epoch: 5), at: first) == .begun)
        fold.expect(term: 2, closed: LogPosition(term: 1, seq: 101))
        #expect(append(1, 1, 101) == .taken(numbers: 101..<102, time: 7), "up to the close")
        #expect(append(2, 1, 102) == .stale)
        let second = LogPosition(term: 2, seq: 200)
        #expect(fold.fold(.term(closed: LogPosition(term: 1, seq: 101), epoch: 5), at: second) == .begun)
        #expect(append(2, 2, 201) == .taken(numbers: 201..<202, time: 7))
        // A third term begins at a process that is replaced by that of the second, before anybody has read it.
        fold.expect(term: 3, closed: LogPosition(term: 2, seq: 201))
        #expect(append(3, 2, 202) == .stale)
        fold.expect(term: 2, closed: LogPosition(term: 1, seq: 101))
        #expect(append(3, 2, 202) == .taken(numbers: 202..<203, time: 7))
    }

    /// The digests of brokers that decided differently about a message differ.
    @Test func theDigestRevealsDifferentDecisions() {
        var (one, other) = (Fold(), Fold())
        #expect(one.digest == other.digest)
        one.conclude(accepted: [1, 2])
        other.conclude(accepted: [1])
        #expect(one.digest != other.digest && one != other)
    }

    /// Senders that come and go do not fill the memory.
    @Test func forgetsOldSenders() {
        var fold = Fold()
        #expect(fold.fold(.term(closed: .start, epoch: 5), at: LogPosition(term: 1, seq: 100)) == .begun)
        for node in UInt64(1)...5000 {
            let head = LogRecord.Head(node: node, incarnation: 1, number: 1)
            _ = fold.fold(.record(head, numbers: 1, time: 7), at: LogPosition(term: 1, seq: 100 + node))
        }
        #expect(fold.last(of: 904, incarnation: 1) == 0 && fold.last(of: 905, incarnation: 1) == 1)
    }
}
