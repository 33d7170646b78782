internal import Synchronization
package import WSTransport

/// The logs that together give a broker its order: one, or one for each partition.
///
/// Only one of them applies entries at a time, and the states of all are stored together.
package final class LogGroup: Sendable {
    let partitions: Partitions
    /// Held while an entry is applied, so that results come in the order of the drafts.
    let applying = Mutex(())
    /// The states of the logs at the end of their last entries.
    private let states: Mutex<[[UInt8]]>
    /// The highest number of a message in any of them.
    private let highest: Atomic<UInt64>

    /// One log.
    package convenience init() { self.init(.one, states: []) }

    private init(_ partitions: Partitions, states: [[UInt8]], highest: UInt64 = 0) {
        self.partitions = partitions
        self.states = Mutex(states)
        self.highest = Atomic(highest)
    }

    /// - Parameter mark: the store's mark, from which the logs continue; `nil` to continue after the store's numbers.
    /// - Throws: ``StorageError/newer(_:)`` if the mark belongs to another number of logs.
    package convenience init(_ partitions: Partitions, from mark: OrderMark?) throws(StorageError) {
        if partitions.count == 1, mark?.state.first == OrderMark.severalLogs {
            throw .newer("the store is that of a broker of a cluster with several partitions: set cluster.partitions")
        }
        guard let mark, partitions.count > 1 else {
            self.init(partitions, states: Array(repeating: [], count: partitions.count))
            return
        }
        guard let states = Self.states(of: mark.state.span), states.count == partitions.count else {
            throw .newer("the store is not that of a broker of a cluster with \(partitions.count) partitions")
        }
        self.init(partitions, states: states, highest: mark.highest)
    }

    /// The state of a log in the mark from which all begin; `nil` if there was no mark.
    func state(of partition: Int) -> [UInt8]? {
        states.withLock { $0[partition].isEmpty ? nil : $0[partition] }
    }

    /// The mark that all logs have reached with a log's new state; only while ``applying`` is held.
    ///
    /// - Parameters:
    ///   - number: the newest of the log.
    ///   - seq: the newest place.
    func mark(_ state: [UInt8], of partition: Int, upTo number: UInt64, at seq: UInt64) -> OrderMark {
        let number = partitions.number(number, of: partition)
        let highest = highest.max(number, ordering: .relaxed).newValue
        return states.withLock { states in
            states[partition] = state
            return OrderMark(state: Self.bytes(of: states, highest), seq: seq)
        }
    }

    // MARK: On disk

    /// The states of all logs in a mark; `nil` if it is of another number of logs, or of another version.
    static func folds(in mark: OrderMark, of partitions: Partitions) -> [Fold]? {
        guard partitions.count > 1 else { return Fold(mark.state.span).map { [$0] } }
        guard let states = states(of: mark.state.span), states.count == partitions.count else { return nil }
        var folds: [Fold] = []
        for state in states {
            guard let fold = Fold(state.span) else { return nil }
            folds.append(fold)
        }
        return folds
    }

    /// The states of several logs: version (1 byte, different from the versions of a single log's state), the highest
    /// number (8 bytes, big-endian), and for each log the length of its state (8 bytes) and the state.
    private static func bytes(of states: [[UInt8]], _ highest: UInt64) -> [UInt8] {
        var bytes = [OrderMark.severalLogs]
        bytes.appendBigEndian(highest)
        for state in states {
            bytes.appendBigEndian(UInt64(state.count))
            bytes += state
        }
        return bytes
    }

    private static func states(of bytes: Span<UInt8>) -> [[UInt8]]? {
        guard bytes.count >= 9, bytes[0] == OrderMark.severalLogs else { return nil }
        var (states, place): ([[UInt8]], Int) = ([], 9)
        while place < bytes.count {
            guard bytes.count - place >= 8, let length = Int(exactly: bytes.bigEndian(at: place)),
                length <= bytes.count - place - 8
            else { return nil }
            states.append(bytes.array(place + 8..<place + 8 + length))
            place += 8 + length
        }
        return states
    }
}

/// The order of several logs, each of which gets the drafts of its topics.
package final class PartitionedOrder: Order {
    private let partitions: Partitions
    private let logs: [LogOrder]

    /// - Parameter logs: one for each partition.
    package init(_ logs: [LogOrder]) { (self.logs, partitions) = (logs, Partitions(logs.count)) }

    package func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime) {
        var parts = [[Draft]](repeating: [], count: logs.count)
        for draft in drafts { parts[partitions.partition(of: draft.topic)].append(draft) }
        for (log, part) in zip(logs, parts) where !part.isEmpty { log.submit(part, from: shard, at: time) }
    }

    package var obstacle: Refusal? { logs.lazy.compactMap(\.obstacle).first }

    package func close() -> UInt64 { logs.map { $0.close() }.max() ?? 0 }
}
