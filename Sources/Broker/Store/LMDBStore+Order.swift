internal import Synchronization

// A broker of a cluster stores how far it has applied the log, in the transaction of the messages up to there: in
// `meta`, under `order`, the number of the newest message (8 bytes, little-endian) and the state of the order. The
// database `ephemeral` has the ephemeral values under the topics' keys (RetainedKey.swift), as records of the history:
// all brokers have them in memory and decide conditions by them, so they must be there again after a start. The
// database `leases` says what happens to some of them when their publishers end (LeaseRecord.swift). A single broker
// has none of these.

extension LMDBStore {
    private static let orderKey = Array("order".utf8)
    private static let ephemeralName = "ephemeral"
    private static let leasesName = "leases"

    package func apply(_ entries: [StoreEntry], reaching mark: OrderMark, now: Int64) throws(StorageError) {
        try apply(entries, reserving: mark.seq, reaching: mark, now: now)
    }

    package func adopt(epoch: UInt64) { knownEpoch.store(epoch, ordering: .releasing) }

    /// Stores a mark in the transaction of the messages up to it.
    func reach(
        _ mark: OrderMark, _ entries: [StoreEntry], _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) {
        (state.isShared, state.epoch) = (true, epoch)
        state.history.completeUpTo = complete(upTo: max(state.history.completeUpTo, mark.seq))
        var value: [UInt8] = []
        value.appendLittleEndian(mark.seq)
        try write.set(value + mark.state, for: Self.orderKey, in: meta)
        guard entries.contains(where: { $0.message.isRetained }) else { return }
        let database = try write.database(named: Self.ephemeralName)
        var isEmpty = try write.size(of: database).entries == 0
        let leases = try write.database(named: Self.leasesName)
        for entry in entries where entry.message.isRetained {
            let message = entry.message
            if message.isEphemeral, !message.isRemoval {
                guard let record = HistoryRecord.bytes(of: message) else { continue }
                let key = RetainedKey(message.topic).bytes
                try write.set(record, for: key, in: database)
                isEmpty = false
                if let lease = entry.lease.flatMap({ LeaseRecord.bytes(of: $0) }) {
                    try write.set(lease, for: key, in: leases)
                } else {
                    try write.remove(key, in: leases)
                }
            } else if !isEmpty {
                try write.remove(RetainedKey(message.topic).bytes, in: database)
                try write.remove(RetainedKey(message.topic).bytes, in: leases)
            }
        }
    }

    /// Turns the store of a broker of a cluster into that of a single broker.
    ///
    /// - Returns: the highest number by which others know a message; 0 if there is none.
    static func forgetOrder(_ write: borrowing LMDBWrite, in meta: LMDBDatabase) throws(StorageError) -> UInt64 {
        let mark = try write.value(of: orderKey, in: meta, Self.decodeMark)
        try write.remove(orderKey, in: meta)
        return mark?.highest ?? 0
    }

    private static func decodeMark(_ bytes: Span<UInt8>) throws(StorageError) -> OrderMark {
        guard bytes.count >= 8 else { throw .damaged("the record of the order") }
        return OrderMark(state: bytes.array(8..<bytes.count), seq: bytes.littleEndian(UInt64.self, at: 0))
    }

    package func orderMark() throws(StorageError) -> OrderMark? {
        try read { (reader) throws(StorageError) in
            try reader.value(of: Self.orderKey, in: meta, Self.decodeMark)
        }
    }

    package func ephemerals() throws(StorageError) -> [StoreEntry] {
        var found: [StoreEntry] = []
        // A single broker has no such database.
        guard try orderMark() != nil else { return found }
        try write { (write, _) throws(StorageError) in
            let cursor = try write.cursor(over: try write.database(named: Self.ephemeralName))
            let leases = try write.database(named: Self.leasesName)
            var start: [UInt8] = []
            while let entry = try cursor.copy(from: start) {
                start = entry.key + [0]
                guard let record = HistoryRecord(entry.value.span),
                    let topic = record.topic(record: entry.value.span),
                    let message = record.message(topic: topic, record: entry.value.span)
                else { throw .damaged("the record of an ephemeral value") }
                let lease = try write.value(of: entry.key, in: leases) { bytes throws(StorageError) in
                    LeaseRecord.lease(bytes)
                }
                found.append(StoreEntry(message.asEphemeral, lease: lease ?? nil))
            }
        }
        return found
    }
}

extension Message {
    /// The message as an ephemeral value.
    fileprivate var asEphemeral: Message {
        var value = self
        value.set(nature: .ephemeral)
        return value
    }
}
