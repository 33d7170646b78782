// Whether several filters together match all that one filter matches is decided level by level. What is left of each of
// the others after a level is looked at once for each name that one of them has there, and once for a name that none
// has, which only wildcards match: `a/#` is covered by `a` and `a/+/#`, but not by `a` and `a/b/#`.

extension TopicFilter {
    /// Whether at least one of `others` matches each topic that this filter matches.
    ///
    /// Exact, except for filters that take too long to compare: then `false`.
    package func isCovered(by others: [TopicFilter]) -> Bool {
        if others.contains(where: { $0.covers(self) }) { return true }
        var search = CoverageSearch()
        return search.covers(Pattern(self), others.map(Pattern.init), isFirst: true)
    }
}

/// The rest of a filter after its first levels.
private struct Pattern {
    private var levels: ArraySlice<[UInt8]>

    init(_ filter: TopicFilter) { levels = filter.comparableLevels.map { Array($0.utf8) }[...] }

    var first: [UInt8]? { levels.first }
    var isEmpty: Bool { levels.isEmpty }
    var beginsWithPlus: Bool { levels.first == [TopicGrammar.plus] }
    var beginsWithHash: Bool { levels.first == [TopicGrammar.hash] }

    /// The rest after one more level, whatever its name; the rest of `#` is `#`.
    var rest: Pattern {
        var rest = self
        if !beginsWithHash { rest.levels.removeFirst() }
        return rest
    }

    /// The rest after a level of this name; `nil`: it does not match.
    func after(_ name: [UInt8], isFirst: Bool) -> Pattern? {
        // MQTT-4.7.2-1.
        if beginsWithPlus { return isFirst && name.first == TopicGrammar.dollar ? nil : rest }
        return first == name ? rest : nil
    }
}

private struct CoverageSearch {
    /// The remaining steps.
    private var budget = 10_000

    mutating func covers(_ wanted: Pattern, _ others: [Pattern], isFirst: Bool) -> Bool {
        budget -= 1
        guard budget > 0, !others.isEmpty else { return false }
        if others.contains(where: \.beginsWithHash) { return true }
        guard let level = wanted.first else { return others.contains(where: \.isEmpty) }
        guard wanted.beginsWithPlus || wanted.beginsWithHash else {
            return covers(wanted.rest, others.compactMap { $0.after(level, isFirst: isFirst) }, isFirst: false)
        }
        // `a/#` matches `a`, too.
        if wanted.beginsWithHash, !others.contains(where: \.isEmpty) { return false }
        for name in Set(others.filter { !$0.beginsWithPlus }.compactMap(\.first)) {
            if isFirst, name.first == TopicGrammar.dollar { continue }
            let left = others.compactMap { $0.after(name, isFirst: isFirst) }
            guard covers(wanted.rest, left, isFirst: false) else { return false }
        }
        return covers(wanted.rest, others.filter(\.beginsWithPlus).map(\.rest), isFirst: false)
    }
}
