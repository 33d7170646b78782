internal import Synchronization

// The database `keys` holds the keys of stored messages (PublishKeys.swift), each written in the transaction of its
// message. The key is the message's number (8 bytes, big-endian); the value is the time at which it was accepted (8
// bytes, little-endian), the length of the owner's name (2 bytes), that name, and the publication's key. Old entries
// are removed little by little, by each write that adds one.

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
    init(_ message: Message, _ key: PublishKey) {
        self.init(seq: message.seq, time: message.time, name: key.name, owner: key.owner)
    }

    /// Reads an entry; `nil` if it is malformed.
    init?(key: Span<UInt8>, value: Span<UInt8>) {
        guard key.count == 8, value.count >= 10 else { return nil }
        let end = 10 + Int(value.littleEndian(UInt16.self, at: 8))
        guard end <= value.count, let owner = String(validating: value.array(10..<end), as: UTF8.self) else {
            return nil
        }
        self.init(
            seq: key.bigEndian(at: 0), time: Int64(bitPattern: value.littleEndian(UInt64.self, at: 0)),
            name: value.array(end..<value.count), owner: owner)
    }

    var value: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt64(bitPattern: time))
        bytes.appendLittleEndian(UInt16(clamping: owner.utf8.count))
        return bytes + Array(owner.utf8) + name
    }
}
