/// The most recently published topics, so that another publication to one of them makes no string and parses no name.
///
/// Each name has one place, and the last of those with the same place stays. Runs on one thread. A class, because
/// reading one place of a structure would copy all of it.
final class TopicMemo {
    private static var count: Int { 64 }
    /// The longest name that is kept, in bytes.
    private static var longest: Int { 128 }

    private struct Known {
        var name = ""
        var ends = Ends()
    }

    /// The length of a name, and its first and last bytes: all of them, if there are up to sixteen.
    private struct Ends: Equatable {
        var count = 0
        var first: UInt64 = 0
        var last: UInt64 = 0

        init() {}

        @inline(__always)
        init(_ name: Span<UInt8>) {
            count = name.count
            let length = min(8, count)
            first = name.word(at: 0, count: length)
            last = name.word(at: count &- length, count: length)
        }

        /// Topics of one kind differ in these bytes.
        var place: Int {
            let mixed = first &* 31 ^ last ^ UInt64(truncatingIfNeeded: count)
            return Int(truncatingIfNeeded: (mixed &* 0x9E37_79B9_7F4A_7C15) &>> 58) & (TopicMemo.count - 1)
        }
    }

    // Unchecked, because each publication reads it, and nothing is called while it changes.
    @exclusivity(unchecked) private var known = ContiguousArray(repeating: Known(), count: count)

    init() {}

    /// The topic with this name, if it is known; otherwise `nil`.
    func topic(named name: Span<UInt8>) -> Topic? {
        guard !name.isEmpty, name.count <= Self.longest else { return nil }
        let ends = Ends(name)
        let place = ends.place
        guard unsafe known[place].ends == ends else { return nil }
        let topic = unsafe known[place].name
        return name.count <= 16 || topic.utf8Span.span.hasSameBytes(as: name) ? Topic(unchecked: topic) : nil
    }

    /// Remembers a topic.
    func keep(_ topic: Topic) {
        let name = topic.name.utf8Span.span
        guard !name.isEmpty, name.count <= Self.longest else { return }
        let ends = Ends(name)
        unsafe known[ends.place] = Known(name: topic.name, ends: ends)
    }
}
