extension TopicFilter {
    /// Whether there is a topic that both filters match.
    package func overlaps(_ other: TopicFilter) -> Bool {
        let mine = levels
        let theirs = other.levels
        // MQTT-4.7.2-1.
        if beginsWithWildcard, !other.beginsWithWildcard, other.name.utf8.first == TopicGrammar.dollar { return false }
        if other.beginsWithWildcard, !beginsWithWildcard, name.utf8.first == TopicGrammar.dollar { return false }
        var index = 0
        while index < mine.count, index < theirs.count {
            let (left, right) = (mine[index].utf8, theirs[index].utf8)
            if left.first == TopicGrammar.hash || right.first == TopicGrammar.hash { return true }
            if left.first != TopicGrammar.plus, right.first != TopicGrammar.plus, !left.elementsEqual(right) {
                return false
            }
            index += 1
        }
        if mine.count == theirs.count { return true }
        // `a/#` matches `a`, too.
        let longer = mine.count > theirs.count ? mine : theirs
        return longer.count == index + 1 && longer[index].utf8.first == TopicGrammar.hash
    }
}
