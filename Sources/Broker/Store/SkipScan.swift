// A scan that skips what cannot match.
//
// Keys are ordered level by level (see RetainedKey.swift). At each key, the filter's levels are compared with the
// key's from the left. Either all agree, or the first level that does not says where the next key that could match
// is:
//
//     filter a/+/c          key           because                              go on at
//                           a/x           too short, `c` is still to come      a/x/c
//                           a/x/b/…       b < c                                a/x/c
//                           a/x/c/…       too long                             after the subtree a/x
//                           a/x/d         d > c: nothing more below a/x        after the subtree a/x
//                           b             b > a, and no + to the left          nowhere
//
// "After the subtree" is that prefix and 0x01. So `a/+/c` costs two or three seeks a value of `+` however much is
// below it, and `a/#` is a range: `a`, then its subtree. A filter that begins with a wildcard steps over all that
// begins with `$`.
//
// Keys of topics over 500 bytes come after the plain keys with the same first 480 bytes, in no useful order. A jump
// that leaves such a group from within its plain part therefore halts at its hashed part first: the reason to leave
// may lie after the 480th byte, where the hashed ones differ. There the scan looks at one after the other.

/// The positions of a filter's matches among the retained keys.
struct SkipScan {
    /// The result of comparing a plain key.
    enum Step: Equatable {
        /// The key matches; the next key may match, too.
        case match
        /// The key does not match, nor does any before the given one.
        case seek([UInt8])
        /// Neither this key nor any after it matches.
        case end
    }

    private enum Level {
        case literal([UInt8])
        case single
        case rest
    }

    private let levels: [Level]
    private let stepsOverReserved: Bool

    /// No key before this one matches; empty if the first key may match.
    let start: [UInt8]

    init(_ filter: TopicFilter) {
        levels = filter.name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { level in
            switch level.count == 1 ? level.first : nil {
            case UInt8(ascii: "+"): .single
            case UInt8(ascii: "#"): .rest
            default: .literal(Array(level))
            }
        }
        stepsOverReserved = filter.beginsWithWildcard && !filter.includesReserved
        start = Self.literals(of: levels, from: 0, after: [])
    }

    /// Compares a plain key with the filter.
    func step(at key: Span<UInt8>) -> Step {
        if stepsOverReserved, !key.isEmpty, key[0] == UInt8(ascii: "$") { return .seek([UInt8(ascii: "$") + 1]) }
        let step = plainStep(at: key)
        guard key.count >= RetainedKey.prefixLength else { return step }
        switch step {
        case .match: return .match
        case .seek(let target) where sharesPrefix(key, target): return step
        case .seek, .end: return .seek(copy(key, upTo: RetainedKey.prefixLength) + [RetainedKey.hashMark])
        }
    }

    private func plainStep(at key: Span<UInt8>) -> Step {
        var begin = 0
        var index = 0
        var afterSingle: Int?  // where the last level that a `+` took ends
        while index < levels.count {
            let end = levelEnd(in: key, from: begin)
            switch levels[index] {
            case .rest: return .match
            case .single: afterSingle = end
            case .literal(let wanted):
                switch order(of: key, begin, end, wanted) {
                case 0: break
                case ..<0: return .seek(Self.literals(of: levels, from: index, after: copy(key, upTo: begin)))
                default: return pastSubtree(of: key, endingAt: afterSingle)
                }
            }
            index += 1
            if end == key.count {
                if index == levels.count { return .match }
                if case .rest = levels[index] { return .match }  // MQTT 5.0 §4.7.1.2: `a/#` matches `a`.
                let parent = copy(key, upTo: end) + [RetainedKey.separator]
                return .seek(Self.literals(of: levels, from: index, after: parent))
            }
            begin = end + 1
        }
        return pastSubtree(of: key, endingAt: afterSingle)
    }

    private func pastSubtree(of key: Span<UInt8>, endingAt end: Int?) -> Step {
        guard let end else { return .end }
        return .seek(copy(key, upTo: end) + [RetainedKey.separator + 1])
    }

    /// `prefix` and the filter's levels from `index` up to its next wildcard.
    private static func literals(of levels: [Level], from index: Int, after prefix: [UInt8]) -> [UInt8] {
        var key = prefix
        var index = index
        while index < levels.count, case .literal(let level) = levels[index] {
            key.append(contentsOf: level)
            index += 1
            guard index < levels.count else { break }
            if case .rest = levels[index] { break }  // The parent matches, so no separator yet.
            key.append(RetainedKey.separator)
        }
        return key
    }

    private func levelEnd(in key: Span<UInt8>, from begin: Int) -> Int {
        var end = begin
        while end < key.count, key[end] != RetainedKey.separator { end += 1 }
        return end
    }

    /// Negative if the key's level comes before `wanted`, 0 if they are equal.
    private func order(of key: Span<UInt8>, _ begin: Int, _ end: Int, _ wanted: [UInt8]) -> Int {
        for offset in 0..<min(end - begin, wanted.count) where key[begin + offset] != wanted[offset] {
            return key[begin + offset] < wanted[offset] ? -1 : 1
        }
        return end - begin - wanted.count
    }

    private func sharesPrefix(_ key: Span<UInt8>, _ target: [UInt8]) -> Bool {
        guard target.count >= RetainedKey.prefixLength else { return false }
        return (0..<RetainedKey.prefixLength).allSatisfy { key[$0] == target[$0] }
    }

    private func copy(_ key: Span<UInt8>, upTo end: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(end + 16)
        for index in 0..<end { bytes.append(key[index]) }
        return bytes
    }
}
