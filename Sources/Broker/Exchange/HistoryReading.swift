/// A query of the history: the messages that match some filters, in order, and what is missing among them.
struct HistoryReading {
    /// A filter, and the number after which its messages are due.
    struct Wanted {
        let filter: TopicFilter
        var after: UInt64
        /// What the client has after that; `nil`: nothing.
        var parts: ResumeParts?

        /// The number after which the messages of a topic are due.
        func after(of topic: Topic) -> UInt64 { parts.map { max(after, $0.place(of: topic)) } ?? after }
    }

    /// How many topics with removed messages are examined; if there are more, a filter with wildcards is told that
    /// messages may be missing.
    static let maximumTrims = 20_000

    /// Up to this many literal filters are looked up one by one; with more, all messages are read.
    private static let maximumLiterals = 16
    /// How many messages one step looks at: a millisecond.
    private static let maximumVisits = 2048

    /// Reads the next messages after `cursor` and up to `limit`.
    ///
    /// - Parameters:
    ///   - wanted: the filters; they decide only how to search.
    ///   - isWanted: whether a filter matches a topic.
    ///   - bytes: how much payload to read before stopping.
    ///   - body: gets the matching messages, in order.
    static func read(
        _ view: any HistoryView, _ wanted: [Wanted], where isWanted: (Topic) -> Bool, after cursor: UInt64,
        upTo limit: UInt64, bytes: Int, now: Int64, _ body: (Message) -> Void
    ) throws(StorageError) -> HistoryEnd {
        guard cursor < limit, !wanted.isEmpty else { return .finished }
        if wanted.count <= maximumLiterals {
            let topics = Set(wanted.compactMap(\.filter.literalTopic))
            if wanted.allSatisfy(\.filter.isLiteral) {
                return try read(view, topics, after: cursor, upTo: limit, bytes: bytes, now: now, body)
            }
        }
        var room = bytes
        return try view.messages(
            where: isWanted, after: cursor, upTo: limit, visiting: maximumVisits, now: now
        ) { message in
            body(message)
            room -= message.weight
            return room > 0
        }
    }

    /// The same for a few topics: each is read until there is no room.
    ///
    /// If one topic has more messages, those of the others after that point are left for the next call.
    private static func read(
        _ view: any HistoryView, _ topics: Set<Topic>, after cursor: UInt64, upTo limit: UInt64, bytes: Int, now: Int64,
        _ body: (Message) -> Void
    ) throws(StorageError) -> HistoryEnd {
        var end = limit
        var found: [Message] = []
        for topic in topics {
            var room = bytes
            let reading = try view.messages(
                of: topic, after: cursor, upTo: end, visiting: maximumVisits / topics.count, now: now
            ) { message in
                found.append(message)
                room -= message.weight
                return room > 0
            }
            if case .stopped(let seq) = reading { end = min(end, seq) }
        }
        found.sort { $0.seq < $1.seq }
        var room = bytes
        for message in found where message.seq <= end {
            body(message)
            room -= message.weight
            if room <= 0 { return .stopped(after: message.seq) }
        }
        return end == limit ? .finished : .stopped(after: end)
    }

    /// For each filter, the gap of messages that a rule kept and that are missing; `nil` if none is.
    ///
    /// - Parameter summary: the summary of the view, with the current rules.
    static func losses(
        _ view: any HistoryView, _ summary: HistorySummary, _ wanted: [Wanted]
    ) throws(StorageError) -> [Gap?] {
        var gaps = [Gap?](repeating: nil, count: wanted.count)
        func add(_ gap: Gap, to index: Int) {
            if gaps[index] == nil { gaps[index] = gap } else { gaps[index]?.merge(gap) }
        }
        for (index, item) in wanted.enumerated() {
            // Messages that no rule kept cannot be missing from the history.
            let isKept =
                summary.holes.last.map { $0.high > item.after } ?? false
                && summary.coverages.contains { $0.filter.overlaps(item.filter) }
            for hole in summary.holes where isKept && hole.high > item.after {
                add(Gap(since: max(item.after, hole.low), seq: hole.high, missed: nil), to: index)
            }
            if let topic = item.filter.literalTopic, summary.trimmedUpTo > item.after {
                let trim = try view.trim(of: topic)
                if let trim, trim.upTo > item.after {
                    add(Gap(since: item.after, seq: trim.upTo, missed: trim.missed(after: item.after)), to: index)
                }
                // The topic has existed since before that number, so its messages are not among those of forgotten
                // topics.
                if let trim, trim.first <= item.after { continue }
            }
            for coverage in summary.coverages
            where coverage.forgottenUpTo > item.after && coverage.filter.overlaps(item.filter) {
                add(Gap(since: item.after, seq: coverage.forgottenUpTo, missed: nil), to: index)
            }
        }
        let open = wanted.indices.filter {
            !wanted[$0].filter.isLiteral && wanted[$0].after < summary.trimmedUpTo
        }
        guard let lowest = open.map({ wanted[$0].after }).min() else { return gaps }
        let filters = FilterIndex(open.map { wanted[$0].filter })
        let isAll = try view.trims(after: lowest, visiting: maximumTrims) { topic, trim in
            filters.forEach(matching: topic) { place in
                let index = open[place]
                let after = wanted[index].after(of: topic)
                guard trim.upTo > after else { return }
                let missed = trim.missed(after: after)
                add(Gap(since: after, seq: trim.upTo, missed: missed), to: index)
            }
        }
        if !isAll {
            for index in open {
                add(Gap(since: wanted[index].after, seq: summary.trimmedUpTo, missed: nil), to: index)
            }
        }
        return gaps
    }

    /// The range of a filter's messages after `seq` and up to `limit` that no rule kept; `nil` if rules kept all of
    /// them.
    static func uncovered(
        _ summary: HistorySummary, _ filter: TopicFilter, after seq: UInt64, upTo limit: UInt64
    ) -> Gap? {
        let first = summary.keptSince(filter)
        let end = min(limit, first.map { $0 - 1 } ?? limit)
        return seq < end ? Gap(since: seq, seq: end, missed: nil) : nil
    }
}
