internal import Synchronization

// The database `keys` holds the keys of stored messages (PublishKeys.swift), each written in the transaction of its
// message. The key is the message's number (8 bytes, big-endian); the value is the time at which it was accepted (8
// bytes, little-endian), the length of the owner's name (2 bytes), that name, and the publication's key. If the highest bit
// of the length is set, the number by which others know the message (8 bytes) comes after the length. Old entries are
// removed little by little, by each write that adds one.

extension LMDBStore {
    /// How many keys one write removes.
    private static let keysPerWrite = 1024

    package func adopt(keyWindow: Int64) { self.keyWindow.store(keyWindow, ordering: .relaxed) }

    package func keys() throws(StorageError) -> [StoredKey] {
        try read { (reader) throws(StorageError) in
            var found: [StoredKey] = []
            let cursor = try reader.cursor(over: publishKeys)
            var start: [UInt8] = []
            while let entry = try cursor.copy(from: start) {
                start = entry.key + [0]
                if let key = StoredKey(key: entry.key.span, value: entry.value.span) { found.append(key) }
            }
            return found
        }
    }

    /// Stores the keys of a batch, and removes those that are too old.
    func keepKeys(of entries: [StoreEntry], _ write: borrowing LMDBWrite) throws(StorageError) {
        var newest: Int64?
        for entry in entries {
            guard let key = entry.key else { continue }
            try write.set(
                StoredKey(entry.message, key).value, for: [UInt8](key: entry.message.seq), in: publishKeys)
            newest = entry.message.time
        }
        if let newest { _ = try forgetKeys(at: newest, write) }
    }

    /// Removes some of the keys that are too old at `now`; returns whether there may be more.
    func forgetKeys(at now: Int64, _ write: borrowing LMDBWrite) throws(StorageError) -> Bool {
        let limit = now &- keyWindow.load(ordering: .relaxed)
        for _ in 0..<Self.keysPerWrite {
            let first: (key: [UInt8], value: [UInt8])?
            do {
                let cursor = try write.cursor(over: publishKeys)
                first = try cursor.copy(from: [])
            }
            guard let first else { return false }
            if let key = StoredKey(key: first.key.span, value: first.value.span), key.time > limit { return false }
            try write.remove(first.key, in: publishKeys)
        }
        return true
    }
}

extension StoredKey {
    private static let numbered: UInt16 = 1 << 15

    init(_ message: Message, _ key: PublishKey) {
        self.init(
            seq: message.seq, number: message.number, time: message.time, name: key.name, owner: key.owner)
    }

    /// Reads an entry; `nil` if it is malformed.
    init?(key: Span<UInt8>, value: Span<UInt8>) {
        guard key.count == 8, value.count >= 10 else { return nil }
        let length = value.littleEndian(UInt16.self, at: 8)
        let begin = length & Self.numbered == 0 ? 10 : 18
        let end = begin + Int(length & ~Self.numbered)
        guard end <= value.count, let owner = String(validating: value.array(begin..<end), as: UTF8.self) else {
            return nil
        }
        self.init(
            seq: key.bigEndian(at: 0), number: begin == 10 ? nil : value.littleEndian(UInt64.self, at: 10),
            time: Int64(bitPattern: value.littleEndian(UInt64.self, at: 0)), name: value.array(end..<value.count),
            owner: owner)
    }

    var value: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt64(bitPattern: time))
        let length = UInt16(clamping: owner.utf8.count)
        bytes.appendLittleEndian(number == seq ? length : length | Self.numbered)
        if number != seq { bytes.appendLittleEndian(number) }
        return bytes + Array(owner.utf8) + name
    }
}
