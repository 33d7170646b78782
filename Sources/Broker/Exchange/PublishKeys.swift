internal import WSTransport

// A publisher that does not know whether its message has arrived publishes it again with the same key. Whether a
// message repeats another one is decided when it is applied, by the keys of the messages before it and the time of the
// order. So all brokers that apply the same drafts decide the same. The keys of stored messages are stored with them.

/// A publisher's key for a message, by which the broker accepts the message only once.
package final class PublishKey: Sendable {
    /// The longest key, in bytes of UTF-8.
    package static let maximumLength = 128

    let text: String
    /// Publisher, topic and text, by which keys are compared; empty while the publisher is not known.
    let name: [UInt8]
    /// The user or address whose quota of keys it counts for.
    let owner: String

    private init(_ text: String, name: [UInt8], owner: String) {
        (self.text, self.name, self.owner) = (text, name, owner)
    }

    /// A key from a client.
    package convenience init(_ text: String, named name: String) throws(Refusal) {
        guard (1...Self.maximumLength).contains(text.utf8.count) else {
            throw Refusal(
                .badRequest, "\(name): expected 1 to \(Self.maximumLength) bytes, found \(text.utf8.count).")
        }
        self.init(text, name: [], owner: "")
    }

    /// The key with the name of its publisher and topic.
    ///
    /// Anonymous clients count as one publisher, because one that returns cannot be recognised; each address has a
    /// quota of its own.
    func of(_ client: Client, _ topic: Topic) -> PublishKey {
        let user = client.principal.user
        let publisher = user.map { "u\($0)" } ?? client.principal.kind.rawValue
        return PublishKey(
            text, name: Array("\(publisher)\0\(topic.name)\0\(text)".utf8), owner: user ?? "\0\(client.host ?? "")")
    }

    /// A stored key.
    init(stored name: [UInt8], owner: String) {
        (text, self.name, self.owner) = ("", name, owner)
    }

    /// The memory that it takes while it is remembered, in bytes.
    var weight: Int { 128 &+ 2 &* name.count }
}

/// How long keys are remembered, and how many; from the settings.
package struct KeyRules: Sendable, Equatable {
    /// In milliseconds.
    package var window: Int64 = 300_000
    /// The memory for all keys, in bytes.
    package var maximumBytes = 64 << 20
    /// The same for one user, or for the anonymous clients of one address, in bytes.
    package var maximumBytesPerUser = 8 << 20

    package init() {}
}

extension Partitions {
    /// The partition of the topic in the name of a key: the second part, or the last where the broker has made the key.
    func partition(ofKey name: [UInt8]) -> Int {
        guard count > 1 else { return 0 }
        guard name.first != 0 else {
            return name.split(separator: 0).last.map { partition(ofName: Array($0).span) } ?? 0
        }
        let parts = name.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        return parts.count == 3 ? partition(ofName: Array(parts[1]).span) : 0
    }
}

/// A key that is stored with its message.
package struct StoredKey: Sendable, Equatable {
    /// The number of its message.
    package let seq: UInt64
    /// The number by which the message is known outside this broker.
    package let number: UInt64
    /// When the message was accepted, in Unix milliseconds.
    package let time: Int64
    package let name: [UInt8]
    package let owner: String

    /// - Parameter number: `nil`: that of its place.
    package init(seq: UInt64, number: UInt64? = nil, time: Int64, name: [UInt8], owner: String) {
        (self.seq, self.time, self.name, self.owner) = (seq, time, name, owner)
        self.number = number ?? seq
    }
}

/// The keys of recent messages, by which repetitions are recognised.
///
/// A value without a lock, a disk or a clock, as ``Applying`` is.
struct KeyTable {
    struct Known {
        let seq: UInt64
        /// The number by which the message is known outside this broker.
        let number: UInt64
        /// Whether the message was given to the store.
        let isQueued: Bool
    }

    private struct Item {
        let key: PublishKey
        let seq: UInt64
        let time: Int64
    }

    private var known: [[UInt8]: Known] = [:]
    /// In the order of their numbers.
    private var items: [Item] = []
    /// How many items at the front have been removed.
    private var gone = 0
    private var owners: [String: Int] = [:]
    private(set) var bytes = 0
    var rules = KeyRules()

    var count: Int { known.count }

    /// Forgets keys that are too old at `time`, a bounded number each time.
    mutating func forget(at time: Int64) {
        var budget = 64
        while budget > 0, gone < items.count, items[gone].time <= time &- rules.window {
            remove(items[gone])
            gone += 1
            budget -= 1
        }
        guard gone > 1024, gone > items.count / 2 else { return }
        items.removeFirst(gone)
        gone = 0
    }

    private mutating func remove(_ item: Item) {
        // The key of a message that failed is removed already, and may have been used again.
        guard known[item.key.name]?.seq == item.seq else { return }
        known[item.key.name] = nil
        bytes -= item.key.weight
        let left = (owners[item.key.owner] ?? 0) - item.key.weight
        owners[item.key.owner] = left > 0 ? left : nil
    }

    /// The message that has this key; `nil` if none within the window has.
    func message(of key: PublishKey, at time: Int64) -> Known? {
        guard let found = known[key.name] else { return nil }
        // A key that is too old may not have been removed yet.
        guard let item = item(of: found.seq), item.time > time &- rules.window else { return nil }
        return found
    }

    private func item(of seq: UInt64) -> Item? {
        let place = items[gone...].partitionPoint { $0.seq >= seq }
        return place < items.count && items[place].seq == seq ? items[place] : nil
    }

    /// Refuses a key for which there is no room.
    func check(_ key: PublishKey) throws(Refusal) {
        guard (owners[key.owner] ?? 0) + key.weight <= rules.maximumBytesPerUser else {
            throw Refusal(limit: "publish.keys_per_user")
        }
        guard bytes + key.weight <= rules.maximumBytes else {
            throw Refusal(limit: "publish.keys")
        }
    }

    /// Remembers the key of a message that is newer than all others.
    mutating func add(_ key: PublishKey, seq: UInt64, number: UInt64? = nil, time: Int64, isQueued: Bool) {
        if let old = known[key.name], let item = item(of: old.seq) { remove(item) }
        known[key.name] = Known(seq: seq, number: number ?? seq, isQueued: isQueued)
        items.append(Item(key: key, seq: seq, time: time))
        bytes += key.weight
        owners[key.owner, default: 0] += key.weight
    }

    /// Forgets the keys of messages that could not be stored, so that they can be published again.
    mutating func forget(_ seqs: some Sequence<UInt64>) {
        if known.isEmpty { return }
        for seq in seqs { if let item = item(of: seq) { remove(item) } }
    }
}
