/// How topics are spread over several logs by their first level, and how the logs' numbers are kept distinct.
package struct Partitions: Equatable, Sendable {
    /// A single log, or a broker without a log.
    package static let one = Partitions(1)
    /// The maximum number of logs.
    package static let maximum = 1024

    /// The number of logs, at least 1.
    package let count: Int

    package init(_ count: Int) { self.count = min(max(count, 1), Self.maximum) }

    /// The partition of a topic; 0 for topics that begin with `$`, except for those of the brokers that name a
    /// partition.
    package func partition(of topic: Topic) -> Int { partition(ofName: topic.name.utf8Span.span) }

    /// The partition of a topic, from the bytes of its name.
    func partition(ofName name: Span<UInt8>) -> Int {
        guard count > 1, !name.isEmpty else { return 0 }
        if name[0] == TopicGrammar.dollar { return named(in: name) }
        // FNV-1a, which is the same on every broker and in every version.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in name.indices {
            if name[index] == TopicGrammar.slash { break }
            hash = (hash ^ UInt64(name[index])) &* 0x100_0000_01B3
        }
        // The low bits of the hash differ little between short names.
        return Int((hash ^ hash >> 32) % UInt64(count))
    }

    /// The prefix of the topics that the brokers keep in each log; the number of the partition follows.
    static let prefix = "$cluster/log/"

    private func named(in name: Span<UInt8>) -> Int {
        let begin = Self.prefix.utf8.count
        guard name.count > begin, name.extracting(0..<begin).hasSameBytes(as: Self.prefix.utf8Span.span)
        else { return 0 }
        var partition = 0
        for index in begin..<name.count {
            if name[index] == TopicGrammar.slash { break }
            guard 0x30...0x39 ~= name[index], partition < count else { return 0 }
            partition = partition * 10 + Int(name[index] - 0x30)
        }
        return partition < count ? partition : 0
    }

    /// The partition of all topics that a filter matches; `nil` if its first level is a wildcard, so that there are
    /// several.
    package func partition(of filter: TopicFilter) -> Int? {
        guard count > 1 else { return 0 }
        let first = filter.name.utf8.first
        if first == UInt8(ascii: "+") || first == UInt8(ascii: "#") { return nil }
        return partition(ofName: filter.name.utf8Span.span)
    }

    /// The number within its log of the message whose cluster-wide number is `number`.
    package func seq(_ number: UInt64) -> UInt64 { number / UInt64(count) }

    /// The cluster-wide number of the message with the number `seq` of a log, which no other message has.
    package func number(_ seq: UInt64, of partition: Int) -> UInt64 {
        count == 1 ? seq : seq &* UInt64(count) &+ UInt64(partition)
    }
}
