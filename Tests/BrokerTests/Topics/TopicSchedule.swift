import Broker

/// Random choices that one seed determines, made of a small alphabet so that matches are frequent.
struct TopicSchedule: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) {
        state = UInt64(bitPattern: Int64(seed))
    }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func topic(depth: Int = 4) throws(TopicError) -> Topic {
        while true {
            let name = levels(depth, ["a", "b", "", "$x", "longer than fifteen bytes"]).joined(separator: "/")
            if !name.isEmpty { return try Topic(name) }
        }
    }

    mutating func filter(depth: Int = 4) throws(TopicError) -> TopicFilter {
        while true {
            var levels = levels(depth, ["a", "b", "", "+", "+", "$x", "longer than fifteen bytes"])
            if Int.random(in: 0..<4, using: &self) == 0 { levels[levels.count - 1] = "#" }
            let name = levels.joined(separator: "/")
            if !name.isEmpty { return try TopicFilter(name) }
        }
    }

    private mutating func levels(_ depth: Int, _ alphabet: [String]) -> [String] {
        (0..<Int.random(in: 1...depth, using: &self)).map { _ in
            alphabet[Int.random(in: 0..<alphabet.count, using: &self)]
        }
    }
}

/// Matching as MQTT 5.0 §4.7 says it, level by level; slow and plain, to compare with.
func matchesByDefinition(_ filter: String, _ topic: String) -> Bool {
    let filterLevels = split(filter)
    let topicLevels = split(topic)
    if topic.hasPrefix("$"), filter.hasPrefix("+") || filter.hasPrefix("#") { return false }
    func rest(_ filterIndex: Int, _ topicIndex: Int) -> Bool {
        guard filterIndex < filterLevels.count else { return topicIndex == topicLevels.count }
        if filterLevels[filterIndex] == "#" { return true }
        guard topicIndex < topicLevels.count else { return false }
        let isSame = filterLevels[filterIndex] == "+" || filterLevels[filterIndex] == topicLevels[topicIndex]
        return isSame && rest(filterIndex + 1, topicIndex + 1)
    }
    return rest(0, 0)
}

private func split(_ name: String) -> [Substring] {
    name.split(separator: "/", omittingEmptySubsequences: false)
}
