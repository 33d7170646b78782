/// What is looked for in the history: the messages that some filters match, in order, and what is missing among them.
struct HistoryReading {
    /// One filter, and the number after which its messages are due.
    struct Wanted {
        let filter: TopicFilter
        var after: UInt64
    }

    /// More topics that were cut than this are not looked at: a filter with wildcards is then told that something may
    /// be missing.
    static let maximumTrims = 20_000

    /// Reads the next messages after `cursor` and up to `limit`.
    ///
    /// - Parameters:
    ///   - bytes: the payload after which it is enough.
    ///   - body: gets the messages that some filter matches, in order.
    static func read(
        _ view: any HistoryView, _ wanted: [Wanted], after cursor: UInt64, upTo limit: UInt64, bytes: Int, now: Int64,
        _ body: (Message) -> Void
    ) throws(StorageError) -> HistoryEnd {
        guard cursor < limit, !wanted.isEmpty else { return .finished }
        var room = bytes
        func show(_ message: Message) -> Bool {
            body(message)
            room -= message.payload.count + 128
            return room > 0
        }
        let visits = max(16, 4096 / wanted.count)
        if wanted.count == 1, let topic = wanted[0].filter.literalTopic {
            return try view.messages(
                of: topic, after: cursor, upTo: limit, visiting: visits, now: now, show)
        }
        return try view.messages(
            where: { topic in wanted.contains { $0.filter.matches(topic) } }, after: cursor, upTo: limit,
            visiting: visits, now: now, show)
    }

    /// What is missing for each of the filters, as far as it was to be kept.
    static func losses(_ view: any HistoryView, _ wanted: [Wanted]) throws(StorageError) -> [Gap?] {
        let summary = view.summary
        var gaps = [Gap?](repeating: nil, count: wanted.count)
        func add(_ gap: Gap, to index: Int) {
            if gaps[index] == nil { gaps[index] = gap } else { gaps[index]?.merge(gap) }
        }
        for (index, item) in wanted.enumerated() {
            for hole in summary.holes where hole.high > item.after {
                add(Gap(since: max(item.after, hole.low), seq: hole.high, missed: nil), to: index)
            }
            if let topic = item.filter.literalTopic, summary.trimmedUpTo > item.after {
                let trim = try view.trim(of: topic)
                if let trim, trim.upTo > item.after {
                    add(Gap(since: item.after, seq: trim.upTo, missed: trim.missed(after: item.after)), to: index)
                }
                // It was there all the time, so nothing of it is forgotten.
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
        let isAll = try view.trims(after: lowest, visiting: maximumTrims) { topic, trim in
            for index in open where trim.upTo > wanted[index].after && wanted[index].filter.matches(topic) {
                let missed = trim.missed(after: wanted[index].after)
                add(Gap(since: wanted[index].after, seq: trim.upTo, missed: missed), to: index)
            }
        }
        if !isAll {
            for index in open {
                add(Gap(since: wanted[index].after, seq: summary.trimmedUpTo, missed: nil), to: index)
            }
        }
        return gaps
    }

    /// What no rule has kept of a filter's messages after `seq` and up to `limit`; `nil`: all were to be kept.
    static func uncovered(
        _ summary: HistorySummary, _ filter: TopicFilter, after seq: UInt64, upTo limit: UInt64
    ) -> Gap? {
        let first = summary.keptSince(filter)
        let end = min(limit, first.map { $0 - 1 } ?? limit)
        return seq < end ? Gap(since: seq, seq: end, missed: nil) : nil
    }
}
