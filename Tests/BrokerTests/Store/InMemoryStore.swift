import Synchronization

@testable import Broker

/// Retained values and a history in memory: the contract's second conformer, and a store for tests of the exchange.
///
/// The values are in an array in the order of LMDB's keys; a scan looks at each.
final class InMemoryStore: MessageStore {
    private struct Value: Sendable {
        let key: [UInt8]
        let message: Message
    }

    private struct State: Sendable {
        var values: [Value] = []
        var payloadBytes = 0
        var usedBytes = 0
        var reservedSeq: UInt64 = 0
        /// When values expire, in Unix milliseconds, and their topics; the first first.
        var expiries: [(time: Int64, topic: Topic)] = []
        var history = InMemoryHistory()

        /// Where `key` is, or would be.
        func index(of key: [UInt8]) -> (index: Int, isThere: Bool) {
            let index = values.partitionPoint { !$0.key.lexicographicallyPrecedes(key) }
            return (index, index < values.count && values[index].key == key)
        }

        func scan(
            _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
        ) -> ScanEnd {
            var start = 0
            if let position {
                let (index, isThere) = index(of: RetainedKey(position).bytes)
                start = isThere ? index + 1 : index
            }
            for index in start..<values.count {
                if index - start >= max(maximum, 1) { return .stopped(after: values[index - 1].message.topic) }
                let message = values[index].message
                if message.isExpired(at: now) || !filter.matches(message.topic) { continue }
                if !body(message) { return .stopped(after: message.topic) }
            }
            return .finished
        }
    }

    private let stamp = Atomic<UInt64>(StoreState.new().epoch)
    var epoch: UInt64 { stamp.load(ordering: .relaxed) }
    func adopt(epoch: UInt64) { stamp.store(epoch, ordering: .relaxed) }
    private let maximumSize: Int
    private let limits: RetainedLimits
    private let state = Mutex(State())

    /// - Parameter maximumSize: what keys, payloads and content types may take together, in bytes.
    init(maximumSize: Int = .max, limits: RetainedLimits = RetainedLimits()) {
        self.maximumSize = maximumSize
        self.limits = limits
    }

    var reservedSeq: UInt64 { state.withLock { $0.reservedSeq } }

    func reserve(seqsUpTo seq: UInt64) throws(StorageError) {
        state.withLock { $0.reservedSeq = max($0.reservedSeq, seq) }
    }

    func value(of topic: Topic, now: Int64) throws(StorageError) -> Message? {
        let key = RetainedKey(topic).bytes
        return state.withLock { state in
            let (index, isThere) = state.index(of: key)
            guard isThere, !state.values[index].message.isExpired(at: now) else { return nil }
            return state.values[index].message
        }
    }

    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        // The body runs outside the lock: it may ask for other values.
        let state = state.withLock { $0 }
        return state.scan(filter, after: position, visiting: maximum, now: now, body)
    }

    func view() throws(StorageError) -> any RetainedView { View(state.withLock { $0 }) }

    private final class View: RetainedView {
        private let state: State

        init(_ state: State) { self.state = state }

        func scan(
            _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
        ) throws(StorageError) -> ScanEnd {
            state.scan(filter, after: position, visiting: maximum, now: now, body)
        }
    }

    func apply(_ entries: [StoreEntry], reserving seq: UInt64?, now: Int64) throws(StorageError) {
        try state.withLock { (committed) throws(StorageError) in
            var state = committed
            if let seq { state.reservedSeq = max(state.reservedSeq, seq) }
            for entry in entries where entry.message.isRetained { try apply(entry.message, &state) }
            for entry in entries {
                if let rule = entry.rule { state.history.append(entry.message, under: rule, now: now) }
            }
            committed = state
        }
    }

    func probe() throws(StorageError) {}

    var nextExpiry: Int64 { state.withLock { $0.expiries.first?.time ?? .max } }

    func expired(by now: Int64, atMost maximum: Int) throws(StorageError) -> [ExpiredValue] {
        state.withLock { state in
            state.expiries.prefix { $0.time <= now }.prefix(maximum).map { expiry in
                ExpiredValue(
                    topic: expiry.topic,
                    seq: state.values[state.index(of: RetainedKey(expiry.topic).bytes).index].message.seq)
            }
        }
    }

    func statistics() throws(StorageError) -> StoreStatistics {
        state.withLock { state in
            StoreStatistics(
                values: state.values.count, payloadBytes: state.payloadBytes, usedBytes: state.usedBytes,
                maximumBytes: maximumSize, historyMessages: state.history.summary.messages,
                historyBytes: state.history.summary.payloadBytes)
        }
    }

    func adopt(_ rules: HistoryRules, from seq: UInt64) {
        state.withLock { $0.history.adopt(rules, from: seq) }
    }

    func lose(_ seq: UInt64) { state.withLock { $0.history.lose(seq) } }

    func seal(upTo seq: UInt64?) {
        state.withLock { state in
            state.reservedSeq = min(state.reservedSeq, seq ?? .max)
            state.history.seal(upTo: state.reservedSeq)
        }
    }

    func maintain(now: Int64) -> Bool {
        state.withLock { state in
            state.history.maintain(now: now)
        }
        return false
    }

    func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // The body runs outside the lock: it may ask for other values.
        try body(state.withLock { $0.history })
    }

    private func apply(_ message: Message, _ state: inout State) throws(StorageError) {
        let value = Value(key: RetainedKey(message.topic).bytes, message: message)
        let (index, isThere) = state.index(of: value.key)
        let old = isThere ? state.values[index] : nil
        let oldLength = old?.message.payload.count ?? 0
        let usedBytes = state.usedBytes &- (old.map(size) ?? 0)
        defer { note(message.topic, &state) }
        guard !message.payload.isEmpty else {
            guard isThere else { return }
            state.values.remove(at: index)
            state.payloadBytes -= oldLength
            state.usedBytes = usedBytes
            return
        }
        let payloadBytes = state.payloadBytes - oldLength + message.payload.count
        try limits.check(
            messages: state.values.count + 1, payloadBytes: payloadBytes, addingMessage: !isThere,
            addingBytes: message.payload.count - oldLength)
        guard usedBytes &+ size(value) <= maximumSize else { throw .full }
        if isThere { state.values[index] = value } else { state.values.insert(value, at: index) }
        state.payloadBytes = payloadBytes
        state.usedBytes = usedBytes &+ size(value)
    }

    /// Notes when the topic's value expires.
    private func note(_ topic: Topic, _ state: inout State) {
        state.expiries.removeAll { $0.topic == topic }
        let (index, isThere) = state.index(of: RetainedKey(topic).bytes)
        guard isThere, state.values[index].message.expiry != 0 else { return }
        let time = state.values[index].message.expiry
        state.expiries.insert((time, topic), at: state.expiries.partitionPoint { $0.time > time })
    }

    private func size(_ value: Value) -> Int {
        value.key.count &+ value.message.payload.count &+ (value.message.contentType?.utf8.count ?? 0)
    }
}
