/// The topics that were published to last, so that another publication to one of them makes no string and reads no grammar.
///
/// Each name has one place, and of those with the same place the last one stays. Runs on one thread. An object, because a
/// look at one place would copy all of a value.
final class TopicMemo {
    private static var count: Int { 64 }
    /// The longest name that is kept, in bytes.
    private static var longest: Int { 128 }

    // Not checked for overlapping changes, which each publication would pay: nothing is called while it changes.
    @exclusivity(unchecked) private var names = ContiguousArray(repeating: "", count: count)

    init() {}

    /// The topic of this name, where it is known.
    func topic(named name: Span<UInt8>) -> Topic? {
        guard !name.isEmpty, name.count <= Self.longest else { return nil }
        let known = unsafe names[Self.place(of: name)]
        return known.utf8.count == name.count && known.utf8Span.span.hasSameBytes(as: name)
            ? Topic(unchecked: known) : nil
    }

    /// Remembers a topic.
    func keep(_ topic: Topic) {
        let name = topic.name.utf8Span.span
        if name.count <= Self.longest { unsafe names[Self.place(of: name)] = topic.name }
    }

    /// By the length, and the bytes at both ends: topics of one kind differ there.
    private static func place(of name: Span<UInt8>) -> Int {
        let length = min(8, name.count)
        let ends = name.word(at: 0, count: length) &* 31 ^ name.word(at: name.count &- length, count: length)
        return Int(truncatingIfNeeded: ((ends ^ UInt64(name.count)) &* 0x9E37_79B9_7F4A_7C15) &>> 58) & (count - 1)
    }
}
