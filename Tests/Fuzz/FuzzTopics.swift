// fuzz: Sources/Broker/Topics

// Bytes are orders to a subscription tree, which must always find what comparing each filter with the topic finds:
// MQTT 5.0 §4.7. Any other bytes are a topic, a filter or an error.

#if canImport(Broker)
    @testable import Broker
#endif

private struct Entry: TreeEntry {
    let subscription: UInt32
}

/// Reads the input byte by byte; only zeros after its end.
private struct Orders {
    private let input: UnsafeRawBufferPointer
    private var offset = 0

    init(_ input: UnsafeRawBufferPointer) { self.input = input }

    var isEmpty: Bool { offset >= input.count }

    mutating func next() -> UInt8 {
        guard !isEmpty else { return 0 }
        defer { offset += 1 }
        return input[offset]
    }

    /// A name of up to four levels of a small alphabet, so that matches are frequent.
    mutating func name(_ alphabet: [String]) -> String {
        let count = Int(next() % 4) + 1
        return (0..<count).map { _ in alphabet[Int(next()) % alphabet.count] }.joined(separator: "/")
    }
}

/// Matching level by level, as in the standard's text.
private func matches(_ filter: [Substring], _ topic: [Substring]) -> Bool {
    if topic[0].hasPrefix("$"), filter[0] == "+" || filter[0] == "#" { return false }
    for (index, level) in filter.enumerated() {
        if level == "#" { return true }
        guard index < topic.count, level == "+" || level == topic[index] else { return false }
    }
    return filter.count == topic.count || (filter.count == topic.count + 1 && filter[topic.count] == "#")
}

private func obey(_ input: UnsafeRawBufferPointer) {
    var orders = Orders(input)
    var tree = SubscriptionTree<Entry>()
    var model: [UInt32: TopicFilter] = [:]
    while !orders.isEmpty {
        let order = orders.next()
        let number = UInt32(order >> 3)
        switch order % 4 {
        case 0, 1:
            guard
                let filter = try? TopicFilter(
                    orders.name(["a", "b", "", "+", "#", "$x", "long enough to be on the heap"]))
            else { continue }
            tree.insert(Entry(subscription: number), at: filter)
            model[number] = filter
        case 2:
            let removed = tree.remove(number)?.subscription
            precondition(removed == (model.removeValue(forKey: number) == nil ? nil : number), "removed another")
        default:
            guard let topic = try? Topic(orders.name(["a", "b", "", "$x", "long enough to be on the heap"])) else {
                continue
            }
            check(tree, model, topic)
        }
        precondition(tree.count == model.count, "counts missing entries")
        if model.isEmpty { precondition(tree.nodeCount == 0, "keeps nodes without entries") }
    }
    var known: [String: Int] = [:]
    tree.forEachFilter { filter, count in known[filter.name] = count }
    precondition(known == model.values.reduce(into: [:]) { $0[$1.name, default: 0] += 1 }, "lists other filters")
    for number in model.keys { _ = tree.remove(number) }
    precondition(tree.count == 0 && tree.nodeCount == 0, "does not become empty")
}

private func check(_ tree: borrowing SubscriptionTree<Entry>, _ model: [UInt32: TopicFilter], _ topic: Topic) {
    var found: [UInt32] = []
    tree.forEachMatch(of: topic) { entries in
        for index in entries.indices { found.append(entries[index].subscription) }
    }
    let expected = model.filter { matches($0.value.levels, topic.levels) }.keys.sorted()
    precondition(found.sorted() == expected, "the tree finds others")
    precondition(model.filter { $0.value.matches(topic) }.keys.sorted() == expected, "the filter matches others")
}

/// Two lines of any bytes: names or errors, and a filter that covers another matches what that one matches.
private func read(_ input: UnsafeRawBufferPointer) {
    let lines = input.split(separator: 10, maxSplits: 2).map { Array($0) }
    let topics = lines.compactMap { try? Topic(bytes: $0.span) }
    let filters = lines.compactMap { try? TopicFilter(bytes: $0.span) }
    for topic in topics {
        precondition(!topic.name.isEmpty && topic.name.utf8.count <= 1024, "an invalid topic")
        precondition(TopicFilter(topic).matches(topic) && TopicFilter(topic).literalTopic == topic, "not itself")
    }
    for filter in filters {
        precondition(filter.covers(filter), "does not cover itself")
        for topic in topics {
            precondition(filter.matches(topic) == matches(filter.levels, topic.levels), "matches others")
            precondition(filter.covers(TopicFilter(topic)) == filter.matches(topic), "covers others")
        }
        for other in filters where filter.covers(other) {
            for topic in topics where other.matches(topic) {
                precondition(filter.matches(topic), "covers what it does not match")
            }
        }
    }
}

func fuzzTopics(_ input: [UInt8]) {
    input.withUnsafeBytes { lookAt($0) }
}

private func lookAt(_ input: UnsafeRawBufferPointer) {
    obey(input)
    read(input)
}
