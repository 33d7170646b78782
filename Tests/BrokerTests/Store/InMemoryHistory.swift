@testable import Broker

/// The history of a store that ends with the process: messages in an array in the order of their numbers.
struct InMemoryHistory: Sendable {
    private struct Known: Sendable {
        let first: UInt64
        /// The numbers of its messages, and when each was kept.
        var seqs: [UInt64] = []
        var times: [Int64] = []
        var payloadBytes = 0
        var trimmedUpTo: UInt64 = 0
        var trimmed = 0

        var trim: HistoryTrim { HistoryTrim(first: first, upTo: trimmedUpTo, count: trimmed) }
    }

    private var log: [Message] = []
    private var topics: [Topic: Known] = [:]
    private var rules = HistoryRules()
    private var isSweepDue = false
    private(set) var summary = HistorySummary()

    mutating func adopt(_ rules: HistoryRules, from seq: UInt64) {
        summary.adopt(rules, from: seq)
        self.rules = rules
        isSweepDue = true
    }

    mutating func lose(_ seq: UInt64) { summary.add(HistoryHole(low: seq - 1, high: seq)) }

    mutating func seal(upTo seq: UInt64) { summary.completeUpTo = seq }

    mutating func append(_ message: Message, under rule: HistoryRule, now: Int64) {
        log.append(message)
        topics[message.topic, default: Known(first: message.seq)].seqs.append(message.seq)
        topics[message.topic]?.times.append(now)
        topics[message.topic]?.payloadBytes += message.payload.count
        summary.messages += 1
        summary.payloadBytes += message.payload.count
        summary.completeUpTo = max(summary.completeUpTo, message.seq)
        trim(message.topic, to: rule, now: nil)
    }

    /// - Parameter now: `nil`: the age does not matter.
    private mutating func trim(_ topic: Topic, to rule: HistoryRule?, now: Int64?) {
        while var known = topics[topic], let oldest = known.seqs.first, let kept = known.times.first {
            let index = index(after: oldest - 1)
            let message = log[index]
            let time = now == nil ? Int64.max : kept
            let isOver = rule.map {
                $0.isOver(messages: known.seqs.count, bytes: known.payloadBytes, oldest: time, now: now ?? 0)
            }
            guard isOver ?? true else { return }
            log.remove(at: index)
            known.seqs.removeFirst()
            known.times.removeFirst()
            known.payloadBytes -= message.payload.count
            known.trimmedUpTo = oldest
            known.trimmed += 1
            topics[topic] = known.seqs.isEmpty ? nil : known
            summary.messages -= 1
            summary.payloadBytes -= message.payload.count
            summary.trimmedUpTo = max(summary.trimmedUpTo, oldest)
            summary.trims += 1
            if known.seqs.isEmpty { summary.forget(topic, upTo: oldest) }
        }
    }

    mutating func maintain(now: Int64) {
        guard isSweepDue || rules.rules.contains(where: { $0.maximumAge != nil }) else { return }
        isSweepDue = false
        for topic in Array(topics.keys) { trim(topic, to: rules.rule(for: topic), now: now) }
    }

    private func index(after seq: UInt64) -> Int { log.partitionPoint { $0.seq > seq } }
}

extension InMemoryHistory: HistoryView {
    func holds(_ seq: UInt64) -> Bool {
        let index = index(after: seq - 1)
        return index < log.count && log[index].seq == seq
    }

    func trim(of topic: Topic) -> HistoryTrim? { topics[topic]?.trim }

    func trims(after seq: UInt64, visiting maximum: Int, _ body: (Topic, HistoryTrim) -> Void) -> Bool {
        let trimmed = topics.filter { $0.value.trimmedUpTo > seq }.sorted {
            $0.value.trimmedUpTo < $1.value.trimmedUpTo
        }
        for (topic, known) in trimmed.prefix(maximum) { body(topic, known.trim) }
        return trimmed.count <= maximum
    }

    func message(_ seq: UInt64) -> Message? { holds(seq) ? log[index(after: seq - 1)] : nil }

    func newest(before time: Int64, upTo limit: UInt64) -> UInt64 {
        log.last { $0.seq <= limit && $0.time < time }?.seq ?? 0
    }

    func topics(
        matching filter: TopicFilter, after position: Topic?, visiting maximum: Int, _ body: (Topic) -> Bool
    ) -> ScanEnd {
        let keys = topics.keys.map { (topic: $0, key: RetainedKey($0).bytes) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        var (visited, last) = (0, position)
        let start = position.map { RetainedKey($0).bytes } ?? []
        for (topic, key) in keys where position == nil || start.lexicographicallyPrecedes(key) {
            if visited >= max(maximum, 1), let last { return .stopped(after: last) }
            visited += 1
            last = topic
            if filter.matches(topic), !body(topic) { return .stopped(after: topic) }
        }
        return .finished
    }

    func last(_ count: Int, of topic: Topic, upTo limit: UInt64, _ body: (UInt64) -> Void) {
        for seq in (topics[topic]?.seqs ?? []).prefix(while: { $0 <= limit }).reversed().prefix(count) { body(seq) }
    }

    func messages(
        of topic: Topic, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) -> HistoryEnd {
        let seqs = (topics[topic]?.seqs ?? []).drop { $0 <= seq }.prefix { $0 <= limit }
        return show(seqs.lazy.map { log[index(after: $0 - 1)] }, after: seq, maximum, now, body) { _ in true }
    }

    func messages(
        where isWanted: (Topic) -> Bool, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) -> HistoryEnd {
        let rest = log[index(after: seq)...].prefix { $0.seq <= limit }
        return show(rest, after: seq, maximum, now, body, where: isWanted)
    }

    private func show(
        _ messages: some Collection<Message>, after seq: UInt64, _ maximum: Int, _ now: Int64,
        _ body: (Message) -> Bool, where isWanted: (Topic) -> Bool
    ) -> HistoryEnd {
        var last = seq
        for (visited, message) in messages.enumerated() {
            if visited >= max(maximum, 1) { return .stopped(after: last) }
            last = message.seq
            if message.isExpired(at: now) || !isWanted(message.topic) { continue }
            if !body(message) { return .stopped(after: last) }
        }
        return .finished
    }
}
