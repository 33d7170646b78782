/// How topics are spread over several logs by their first level, and how the numbers of the logs are told apart.
package struct Partitions: Equatable, Sendable {
    /// One log, or none.
    package static let one = Partitions(1)
    /// The most logs that there may be.
    package static let maximum = 1024

    /// How many logs there are, at least one.
    package let count: Int

    package init(_ count: Int) { self.count = min(max(count, 1), Self.maximum) }

    /// The partition of a topic; 0 for topics that begin with `$`.
    package func partition(of topic: Topic) -> Int { partition(ofName: topic.name.utf8Span.span) }

    /// The same by the bytes of its name.
    func partition(ofName name: Span<UInt8>) -> Int {
        guard count > 1, !name.isEmpty, name[0] != TopicGrammar.dollar else { return 0 }
        // FNV-1a, which is the same on every broker and in every version.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in name.indices {
            if name[index] == TopicGrammar.slash { break }
            hash = (hash ^ UInt64(name[index])) &* 0x100_0000_01B3
        }
        // Its low bits differ little between short names.
        return Int((hash ^ hash >> 32) % UInt64(count))
    }

    /// The partition of all topics that a filter matches; `nil`: its first level is a wildcard, so there are several.
    package func partition(of filter: TopicFilter) -> Int? {
        guard count > 1 else { return 0 }
        let first = filter.name.utf8.first
        if first == UInt8(ascii: "+") || first == UInt8(ascii: "#") { return nil }
        return partition(ofName: filter.name.utf8Span.span)
    }

    /// The number of a log of the message that is called `number`.
    package func seq(_ number: UInt64) -> UInt64 { number / UInt64(count) }

    /// What the message with the number `seq` of a log is called: no other message has this number.
    package func number(_ seq: UInt64, of partition: Int) -> UInt64 {
        count == 1 ? seq : seq &* UInt64(count) &+ UInt64(partition)
    }
}
