import Dispatch
import Synchronization

@testable import Broker
@testable import WSTransport

/// An engine in memory, whose log one broker follows at once: each record comes back some time later, on another
/// thread.
final class MemoryEngine: LogEngine {
    private struct State {
        var place = LogPosition(term: 1, seq: 0)
        weak var order: LogOrder?
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "engine")

    /// Begins the first term, with 1 as the number of the first message.
    func begin(for order: LogOrder) throws {
        state.withLock { $0.order = order }
        order.format = .newest
        let first = LogPosition(term: 1, seq: 0)
        try order.receive([.term(at: first, closed: .start, epoch: 7)])
        order.engage(term: 1, closed: .start, top: first)
    }

    /// Another process continues the log while nothing is in flight: the numbers jump.
    func jump() throws -> LogJumps.Jump {
        try queue.sync {
            let (order, closed, begun) = state.withLock { state in
                let closed = state.place
                state.place = LogPosition(term: closed.term + 1, seq: closed.seq + 1000)
                return (state.order, closed, state.place)
            }
            order?.disengage()
            try order?.receive([.term(at: begun, closed: closed, epoch: 7)])
            order?.engage(term: begun.term, closed: closed, top: begun)
            return LogJumps.Jump(closed: closed.seq, begun: begun.seq)
        }
    }

    func call(_ order: LogOrder) { queue.async { order.send() } }

    func append(_ record: [UInt8], numbers: Int, term: UInt64) {
        queue.async { [self] in
            let (order, place) = state.withLock { state in
                state.place = LogPosition(term: state.place.term, seq: state.place.seq + UInt64(numbers))
                return (state.order, state.place)
            }
            try? order?.receive([.record(record, at: place, time: WallClock.unixMilliseconds)])
        }
    }
}

/// An engine whose steps a test controls: records in flight, a log, and brokers that read it from their positions.
final class SteppedEngine: LogEngine {
    private struct Record: Sendable {
        let bytes: [UInt8]
        let numbers: Int
        let term: UInt64
    }

    private let sent = Mutex<[Record]>([])
    /// Whether an order that calls sends at once, and whether one has called that has not been answered.
    private let calls = Mutex((areAnswered: true, isOpen: false))

    /// Whether orders send what is submitted at once, or when they are told to (``answer(_:)``).
    var answersAtOnce: Bool {
        get { calls.withLock { $0.areAnswered } }
        set { calls.withLock { $0.areAnswered = newValue } }
    }

    func call(_ order: LogOrder) {
        let isAnswered = calls.withLock { calls in
            calls.isOpen = !calls.areAnswered
            return calls.areAnswered
        }
        if isAnswered { order.send() }
    }

    /// Answers an order that has called.
    func answer(_ order: LogOrder) {
        let isOpen = calls.withLock { calls in
            defer { calls.isOpen = false }
            return calls.isOpen
        }
        if isOpen { order.send() }
    }

    func append(_ record: [UInt8], numbers: Int, term: UInt64) {
        sent.withLock { $0.append(Record(bytes: record, numbers: numbers, term: term)) }
    }

    /// The records in flight.
    var count: Int { sent.withLock { $0.count } }

    /// Loses the records in flight, from a place on.
    func lose(from place: Int) { sent.withLock { $0.removeSubrange(min(place, $0.count)...) } }

    /// Loses the oldest record in flight.
    func loseFirst() { sent.withLock { _ = $0.isEmpty ? nil : $0.removeFirst() } }

    /// The oldest record in flight reaches a log, which accepts it if its term is the current one.
    func arrive(in log: inout SteppedLog) {
        guard let record = sent.withLock({ $0.isEmpty ? nil : $0.removeFirst() }), record.term == log.top.term else {
            return
        }
        log.append(record.bytes, numbers: record.numbers)
    }
}

/// A log with its terms.
struct SteppedLog {
    private(set) var entries: [(place: LogPosition, entry: LogEntry)] = []
    private(set) var top = LogPosition.start
    /// The position at which the previous term ended.
    private(set) var closed = LogPosition.start
    private var time: Int64 = 1_800_000_000_000

    mutating func append(_ bytes: [UInt8], numbers: Int) {
        top = LogPosition(term: top.term, seq: top.seq + UInt64(numbers))
        time += 3
        entries.append((top, .record(bytes, at: top, time: time)))
    }

    /// Begins a term, as a promoted replica or an emptied primary does.
    ///
    /// - Parameters:
    ///   - end: up to which the log is kept.
    ///   - begin: up to which it is lost.
    mutating func begin(keeping end: LogPosition, forgetting begin: LogPosition = .start) {
        entries.removeAll { $0.place > end || $0.place <= begin }
        closed = end
        top = LogPosition(term: top.term + 1, seq: top.seq + 1000)
        entries.append((top, .term(at: top, closed: closed, epoch: 7)))
    }

    func entries(after place: LogPosition, atMost count: Int) -> [LogEntry] {
        entries.drop { $0.place <= place }.prefix(count).map(\.entry)
    }
}
