import Synchronization

@testable import Broker
@testable import WSTransport

/// Several logs in memory that several brokers share.
///
/// Each log accepts every record at once, and a test says how much of which log a broker reads.
final class SharedLogs: Sendable {
    let partitions: Partitions
    private let nodes = Atomic<UInt64>(0)

    private final class Log: Sendable {
        let content = Mutex(SteppedLog())
    }

    /// Accepts the records of one log.
    private final class Engine: LogEngine {
        let logs: SharedLogs
        let partition: Int

        init(_ logs: SharedLogs, _ partition: Int) { (self.logs, self.partition) = (logs, partition) }

        func call(_ order: LogOrder) { order.send() }

        func append(_ record: [UInt8], numbers: Int, term: UInt64) {
            logs.change(partition) { if term == $0.top.term { $0.append(record, numbers: numbers) } }
        }
    }

    private let all: [Log]

    init(_ partitions: Partitions) {
        self.partitions = partitions
        all = (0..<partitions.count).map { _ in Log() }
        for log in all { log.content.withLock { $0.begin(keeping: .start) } }
    }

    private func change(_ partition: Int, _ body: (inout SteppedLog) -> Void) {
        all[partition].content.withLock { body(&$0) }
    }

    /// The orders of a broker that begins to read.
    func join(_ sequencer: Sequencer, from mark: OrderMark? = nil, as node: UInt64? = nil) throws -> [LogOrder] {
        let number = nodes.add(1, ordering: .relaxed).newValue
        let group = try LogGroup(partitions, from: mark)
        return try all.indices.map { partition in
            let order = try LogOrder(
                sequencer, engine: Engine(self, partition), node: node ?? number, incarnation: number << 32, from: mark,
                partition: partition, of: group)
            order.format = number.isMultiple(of: 2) ? .brief : .plain
            let (top, closed) = all[partition].content.withLock { ($0.top, $0.closed) }
            order.engage(term: top.term, closed: closed, top: top)
            return order
        }
    }

    /// Makes a broker read further.
    ///
    /// - Returns: whether there was something to read.
    @discardableResult
    func read(_ order: LogOrder, _ partition: Int, atMost count: Int = .max) throws -> Bool {
        // Not within the lock: the order is locked when it appends.
        let position = order.position
        let entries = all[partition].content.withLock { $0.entries(after: position, atMost: count) }
        guard !entries.isEmpty else { return false }
        try order.receive(entries)
        return true
    }

    /// Makes a broker read everything, including records that are appended as a result.
    func readAll(_ orders: [LogOrder]) throws {
        var isMore = true
        while isMore {
            isMore = false
            for (partition, order) in orders.enumerated() where try read(order, partition) { isMore = true }
        }
    }
}
