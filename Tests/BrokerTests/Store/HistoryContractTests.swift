import Foundation
import Testing

@testable import Broker

/// A message that a rule keeps.
func kept(
    _ name: String, _ seq: UInt64, under rule: HistoryRule, bytes: Int = 1, time: Int64 = 1000, expiry: Int64 = 0
) throws -> StoreEntry {
    let message = Message(
        topic: try topic(name), payload: Array(repeating: UInt8(truncatingIfNeeded: seq), count: bytes), kind: .text,
        seq: seq, time: time, expiry: expiry, origin: seq * 7)
    return StoreEntry(message, keptBy: rule)
}

/// The numbers of the messages that a filter matches.
func seqs(
    _ store: any HistoryStore, _ name: String, after seq: UInt64 = 0, upTo limit: UInt64 = .max,
    visiting maximum: Int = 1000, now: Int64 = 1000
) throws -> [UInt64] {
    let filter = try filter(name)
    var found: [UInt64] = []
    var position = seq
    while true {
        let after = position
        let end = try store.readHistory { view throws(StorageError) in
            if let topic = filter.literalTopic {
                return try view.messages(of: topic, after: after, upTo: limit, visiting: maximum, now: now) {
                    found.append($0.seq)
                    return true
                }
            }
            return try view.messages(
                where: { filter.matches($0) }, after: after, upTo: limit, visiting: maximum, now: now
            ) {
                found.append($0.seq)
                return true
            }
        }
        guard case .stopped(let last) = end else { return found }
        try #require(last > position)
        position = last
    }
}

@Suite("Contract of HistoryStore")
struct HistoryContractTests {
    private func summary(_ store: any HistoryStore) throws -> HistorySummary {
        try store.readHistory { view throws(StorageError) in view.summary }
    }

    @Test(arguments: Conformer.allCases, [1, 3, 1000])
    func readsAcrossTopicsInOrder(conformer: Conformer, visits: Int) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("a/#"))
        try made.store.adopt(HistoryRules([rule]), from: 1)
        let names = ["a", "a/b", "a/c", "a/b", "a", "a/b"]
        try made.store.apply(
            names.enumerated().map { try kept($1, UInt64($0 * 2 + 1), under: rule) }, reserving: nil)
        #expect(try seqs(made.store, "a/#", visiting: visits) == [1, 3, 5, 7, 9, 11])
        #expect(try seqs(made.store, "a/b", visiting: visits) == [3, 7, 11])
        #expect(try seqs(made.store, "a/b", after: 3, upTo: 10, visiting: visits) == [7])
        #expect(try seqs(made.store, "a/+", after: 3, upTo: 7, visiting: visits) == [5, 7])
        #expect(try seqs(made.store, "b", visiting: visits) == [])
        #expect(try made.store.readHistory { view throws(StorageError) in try view.holds(7) })
        #expect(try !made.store.readHistory { view throws(StorageError) in try view.holds(8) })
        #expect(try summary(made.store).completeUpTo == 11)
        #expect(try made.store.statistics().historyMessages == 6)
    }

    @Test(arguments: Conformer.allCases)
    func returnsMessagesUnchanged(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"))
        let long = String(repeating: "long/", count: 150) + "end"
        let messages = try [
            Message(
                topic: topic(long), payload: [0, 255, 7], kind: .binary, contentType: "image/png",
                properties: MessageProperties(replyTo: topic(long)), isRetained: true, seq: 5, time: 12, expiry: 5000,
                origin: 99),
            Message(topic: topic("a"), payload: [], kind: .json, seq: 6, time: -1),
        ]
        try made.store.apply(messages.map { StoreEntry($0, keptBy: rule) }, reserving: nil)
        var found: [Message] = []
        _ = try made.store.readHistory { view throws(StorageError) in
            try view.messages(where: { _ in true }, after: 0, upTo: .max, visiting: 10, now: 100) {
                found.append($0)
                return true
            }
        }
        #expect(found.map(\.topic) == messages.map(\.topic) && found.map(\.payload) == messages.map(\.payload))
        #expect(found.map(\.kind) == messages.map(\.kind) && found.map(\.contentType) == ["image/png", nil])
        #expect(found.map(\.properties) == messages.map(\.properties))
        #expect(found.map(\.isRetained) == [true, false] && found.map(\.origin) == [99, 0])
        #expect(found.map(\.time) == [12, -1] && found.map(\.expiry) == [5000, 0])
        #expect(try seqs(made.store, long) == [5])
        #expect(try seqs(made.store, long, now: 5000) == [], "its time to live is over")
    }

    @Test(arguments: Conformer.allCases)
    func keepsTheLastMessages(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"), messages: 3)
        try made.store.adopt(HistoryRules([rule]), from: 1)
        for seq in 1...10 {
            try made.store.apply([kept(seq % 2 == 0 ? "a" : "b", UInt64(seq), under: rule)], reserving: nil)
        }
        #expect(try seqs(made.store, "a") == [6, 8, 10])
        #expect(try seqs(made.store, "#") == [5, 6, 7, 8, 9, 10])
        let trim = try #require(
            try made.store.readHistory { view throws(StorageError) in try view.trim(of: Topic(unchecked: "a")) })
        #expect(trim == HistoryTrim(first: 2, upTo: 4, count: 2))
        #expect(trim.missed(after: 1) == 2 && trim.missed(after: 3) == nil && trim.missed(after: 4) == 0)
        var cut: [String: UInt64] = [:]
        let isAll = try made.store.readHistory { view throws(StorageError) in
            try view.trims(after: 3, visiting: 10) { cut[$0.name] = $1.upTo }
        }
        #expect(isAll && cut == ["a": 4])
        let isAllOfOne = try made.store.readHistory { view throws(StorageError) in
            try view.trims(after: 0, visiting: 1) { _, _ in }
        }
        #expect(!isAllOfOne)
        let summary = try summary(made.store)
        #expect(summary.trimmedUpTo == 4 && summary.trims == 4 && summary.messages == 6 && summary.payloadBytes == 6)
    }

    @Test(arguments: Conformer.allCases)
    func limitsBytesButKeepsTheNewestMessage(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"), bytes: 10)
        for (seq, bytes) in [(1, 4), (2, 4), (3, 4)] {
            try made.store.apply([kept("a", UInt64(seq), under: rule, bytes: bytes)], reserving: nil)
        }
        #expect(try seqs(made.store, "a") == [2, 3])
        try made.store.apply([kept("a", 4, under: rule, bytes: 100)], reserving: nil)
        #expect(try seqs(made.store, "a") == [4])
    }

    @Test(arguments: Conformer.allCases)
    func removesOldMessages(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"), age: 1000)
        try made.store.adopt(HistoryRules([rule]), from: 1)
        for (name, seq, time) in [("a", UInt64(1), Int64(0)), ("b", 2, 500), ("a", 3, 900)] {
            try made.store.apply([kept(name, seq, under: rule, time: time)], reserving: nil)
        }
        while try made.store.maintain(now: 999) {}
        #expect(try seqs(made.store, "#") == [1, 2, 3])
        while try made.store.maintain(now: 1000) {}
        #expect(try seqs(made.store, "#") == [2, 3])
        while try made.store.maintain(now: 3000) {}
        #expect(try seqs(made.store, "#") == [])
        let summary = try summary(made.store)
        #expect(summary.coverages.map(\.forgottenUpTo) == [3], "of topics that are gone only this is known")
        #expect(summary.messages == 0 && summary.payloadBytes == 0)
        #expect(
            try made.store.readHistory { view throws(StorageError) in try view.trims(after: 0, visiting: 9) { _, _ in }
            })
    }

    /// The system's clock at the arrival of a message does not influence how long it is kept.
    @Test(arguments: Conformer.allCases)
    func ageCountsFromStorage(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"), age: 1000)
        try made.store.adopt(HistoryRules([rule]), from: 1)
        let day: Int64 = 86_400_000
        try made.store.apply(
            [kept("a", 1, under: rule, time: day), kept("a", 2, under: rule, time: -day)], reserving: nil, now: 1000)
        while try made.store.maintain(now: 1999) {}
        #expect(try seqs(made.store, "a") == [1, 2])
        // Later by as much as lies between two looks.
        while try made.store.maintain(now: 3000) {}
        #expect(try seqs(made.store, "a") == [])
    }

    @Test func severalRulesTogetherCoverAFilter() throws {
        var summary = HistorySummary()
        let names = ["a", "a/+/#", "b/#"]
        for (name, since) in zip(names, [UInt64(5), 9, 100]) {
            let rules = try names.prefix(names.firstIndex(of: name)! + 1).map { HistoryRule(filter: try filter($0)) }
            summary.adopt(HistoryRules(rules), from: since)
        }
        #expect(try summary.keptSince(filter("a/#")) == 9)
        #expect(try summary.keptSince(filter("a")) == 5)
        #expect(try summary.keptSince(filter("#")) == nil)
        #expect(try HistoryReading.uncovered(summary, filter("a/#"), after: 8, upTo: 50) == nil)
        #expect(
            try HistoryReading.uncovered(summary, filter("a/#"), after: 7, upTo: 50)
                == Gap(since: 7, seq: 8, missed: nil))
    }

    /// By topic, newest first; by time; and one by one.
    @Test(arguments: Conformer.allCases)
    func findsTheLastMessages(conformer: Conformer) throws {
        let store = try conformer.make().store
        let rule = HistoryRule(filter: try filter("#"), messages: 40)
        let long = "b/" + String(repeating: "x", count: 600)
        let names = ["a", "b/1", "b/2", long, "c/d/e"]
        try store.apply(
            (1...200).map { try kept(names[$0 % 5], UInt64($0), under: rule, time: Int64($0 * 10)) }, reserving: nil)
        try store.readHistory { view throws(StorageError) in
            func last(_ count: Int, _ name: String, upTo limit: UInt64 = 1000) throws(StorageError) -> [UInt64] {
                var found: [UInt64] = []
                try view.last(count, of: Topic(unchecked: name), upTo: limit) { found.append($0) }
                return found
            }
            let (three, before, all, none) = (
                try last(3, "a"), try last(2, long, upTo: 190), try last(99, "c/d/e"), try last(3, "d")
            )
            #expect(three == [200, 195, 190] && before == [188, 183] && none == [])
            #expect(all.count == 40 && all.first == 199 && all.last == 4)
            func topics(_ filter: String, _ maximum: Int) throws(StorageError) -> [String] {
                let filter = TopicFilter(unchecked: filter, isLiteral: !filter.contains { $0 == "+" || $0 == "#" })
                var (found, position, isMore): ([String], Topic?, Bool) = ([], nil, true)
                while isMore {
                    let end = try view.topics(matching: filter, after: position, visiting: maximum) { topic in
                        found.append(topic.name)
                        return true
                    }
                    if case .stopped(let topic) = end { position = topic } else { isMore = false }
                }
                return found
            }
            for maximum in [1, 2, 100] {
                let (some, everything, literal, none) = (
                    try topics("b/+", maximum), try topics("#", maximum), try topics("c/d/e", maximum),
                    try topics("d/#", maximum)
                )
                #expect(Set(some) == ["b/1", "b/2", long] && some.count == 3)
                #expect(Set(everything) == Set(names) && everything.count == 5)
                #expect(literal == ["c/d/e"] && none == [])
            }
            let times = [
                try view.newest(before: 1000, upTo: 1000), try view.newest(before: 1001, upTo: 1000),
                try view.newest(before: .max, upTo: 150), try view.newest(before: 5, upTo: 1000),
            ]
            #expect(times == [99, 100, 150, 0])
            let (found, missing) = (try view.message(77), try view.message(201))
            #expect(found?.topic.name == "b/2" && missing == nil)
        }
    }

    /// Values are listed in order of expiry, up to the requested number; values not removed are listed again.
    @Test(arguments: Conformer.allCases)
    func listsExpiredValuesUntilRemoved(conformer: Conformer) throws {
        let store = try conformer.make().store
        var values: [Message] = []
        for number in 0..<300 {
            let expiry = number % 3 == 0 ? 0 : Int64(2000 - number)
            values.append(try retained("v/\(number)", "x", seq: UInt64(number + 1), expiry: expiry))
        }
        try store.apply(values, reserving: nil)
        while try store.maintain(now: 2000) {}
        #expect(try store.statistics().values == 300)
        #expect(store.nextExpiry == 1701)
        #expect(try store.expired(by: 1702, atMost: 9).map(\.seq) == [300, 299])
        for _ in 0..<2 {
            let first = try store.expired(by: 1999, atMost: 3)
            #expect(try first == [299, 298, 296].map { ExpiredValue(topic: try topic("v/\($0)"), seq: $0 + 1) })
        }
        try store.apply([retained("v/299", "", seq: 301), retained("v/298", "new", seq: 302)], reserving: nil)
        #expect(try store.expired(by: 1999, atMost: 2).map(\.seq) == [297, 296])
        #expect(try store.statistics().values == 299)
    }

    @Test(arguments: Conformer.allCases)
    func changedRulesApplyTheirLimits(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"), messages: 1000)
        try made.store.adopt(HistoryRules([rule]), from: 1)
        for seq in 1...400 {
            try made.store.apply(
                [kept(["a", "b", "c/\(seq)"][seq % 3], UInt64(seq), under: rule, time: Int64(seq))], reserving: nil)
        }
        let rules = [
            HistoryRule(filter: try filter("a"), messages: 5), HistoryRule(filter: try filter("c/+"), age: 100),
        ]
        try made.store.adopt(HistoryRules(rules), from: 401)
        while try made.store.maintain(now: 400) {}
        #expect(try seqs(made.store, "a") == [387, 390, 393, 396, 399])
        #expect(try seqs(made.store, "b") == [])
        #expect(try seqs(made.store, "c/+").first == 302)
        let coverages = try summary(made.store).coverages
        #expect(coverages.map(\.filter.name) == ["a", "c/+", "#"])
        #expect(coverages.map(\.since) == [401, 401, HistoryCoverage.never])
        #expect(coverages.map(\.forgottenUpTo) == [0, 299, 400], "of a rule that is no more, too")
        while try made.store.maintain(now: 440) {}
        while try made.store.maintain(now: 2000) {}
        #expect(try seqs(made.store, "c/+") == [])
    }

    @Test(arguments: Conformer.allCases)
    func recordsLossesAsHoles(conformer: Conformer) throws {
        let made = try conformer.make()
        let rule = HistoryRule(filter: try filter("#"))
        try made.store.adopt(HistoryRules([rule]), from: 1)
        try made.store.apply([kept("a", 1, under: rule)], reserving: nil)
        made.store.lose(3)
        made.store.lose(4)
        #expect(try summary(made.store).holes == [HistoryHole(low: 2, high: 4)])
        try made.store.apply([kept("a", 7, under: rule)], reserving: nil)
        #expect(try summary(made.store).holes == [HistoryHole(low: 2, high: 4)])
    }

    /// What a process did before it was killed, and whether something may be missing then.
    enum End: CaseIterable {
        case settled, awaited, shown, lost, older, otherBoot

        var isHole: Bool { self != .settled }
    }

    @Test("After a kill, only messages that were not on disk may be missing", arguments: End.allCases)
    func aKillLeavesAHoleOnlyIfSomethingWasPending(end: End) throws {
        let directory = TestDirectory()
        let rule = HistoryRule(filter: try filter("#"))
        let mark = URL(fileURLWithPath: directory.file.path + "-kept")
        do {
            let store = try directory.open()
            try store.reserve(seqsUpTo: 100)
            try store.adopt(HistoryRules([rule]), from: 1)
            store.expectKept(2)
            try store.apply([kept("a", 1, under: rule)], reserving: nil)
            store.settleKept(end == .awaited ? 1 : 2)
            if end == .lost { store.lose(2) }
            store.rest()
            if end == .shown { store.expectKept(1) }
            if end == .older {
                let before = try Data(contentsOf: mark)
                store.expectKept(1)
                try store.apply([kept("a", 2, under: rule)], reserving: nil)
                try before.write(to: mark)
            }
        }
        if end == .otherBoot {
            var bytes = try Data(contentsOf: mark)
            bytes[10] ^= 1
            try bytes.write(to: mark)
        }
        for _ in 0..<2 {
            let store = try directory.open()
            let last: UInt64 = end == .older ? 2 : 1
            #expect(try summary(store).holes == (end.isHole ? [HistoryHole(low: last, high: 100)] : []))
            #expect(try summary(store).completeUpTo == 100)
        }
    }

    @Test func aCrashLeavesAHoleAndACleanShutdownNone() throws {
        let directory = TestDirectory()
        let rule = HistoryRule(filter: try filter("#"), messages: 5)
        do {
            let store = try directory.open()
            try store.reserve(seqsUpTo: 100)
            try store.adopt(HistoryRules([rule]), from: 1)
            try store.apply((1...7).map { try kept("a", $0, under: rule) }, reserving: nil)
        }
        do {
            let store = try directory.open()
            #expect(try summary(store).holes == [HistoryHole(low: 7, high: 100)])
            try store.adopt(HistoryRules([rule]), from: 101)
            #expect(try summary(store).coverages == [HistoryCoverage(filter: rule.filter, since: 1)])
            try store.reserve(seqsUpTo: 200)
            try store.apply([kept("a", 101, under: rule)], reserving: nil)
            try store.seal(upTo: 101)
        }
        let store = try directory.open()
        #expect(try summary(store).holes == [HistoryHole(low: 7, high: 100)])
        #expect(try summary(store).completeUpTo == 101 && store.reservedSeq == 101)
        #expect(try seqs(store, "#") == [4, 5, 6, 7, 101])
    }

    /// Random keeping and trimming against the plainest model there is.
    @Test(arguments: Conformer.allCases, 0..<20)
    func agreesWithTheModel(conformer: Conformer, seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let made = try conformer.make()
        let rules = try [
            HistoryRule(filter: filter("a/+"), messages: Int.random(in: 1...6, using: &random)),
            HistoryRule(filter: filter("a/#"), age: Int64.random(in: 1...50, using: &random)),
            HistoryRule(filter: filter("#"), bytes: Int.random(in: 1...100, using: &random)),
        ]
        let all = HistoryRules(rules)
        try made.store.adopt(all, from: 1)
        let names = ["a/1", "a/2", "a/1/x", "a/1/y", "b", "c"]
        var model: [String: [Message]] = [:]
        var now: Int64 = 0
        var seq: UInt64 = 0
        for _ in 0..<60 {
            now += Int64.random(in: 0...8, using: &random)
            var batch: [StoreEntry] = []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                seq += UInt64.random(in: 1...3, using: &random)
                let name = names[Int.random(in: 0..<names.count, using: &random)]
                let rule = try #require(all.rule(for: topic(name)))
                let bytes = Int.random(in: 0...60, using: &random)
                batch.append(try kept(name, seq, under: rule, bytes: bytes, time: now))
            }
            try made.store.apply(batch, reserving: nil)
            // Longer than the pace at which a topic is looked at for its age.
            if Int.random(in: 0..<4, using: &random) == 0 { now += 2000 }
            while try made.store.maintain(now: now) {}
            for message in batch.map(\.message) { model[message.topic.name, default: []].append(message) }
            for (name, messages) in model {
                let rule = try #require(all.rule(for: topic(name)))
                var left = messages[...]
                while let first = left.first,
                    rule.isOver(
                        messages: left.count, bytes: left.reduce(0) { $0 + $1.payload.count }, oldest: first.time,
                        now: now)
                {
                    left.removeFirst()
                }
                model[name] = Array(left)
            }
            for name in names {
                let found = try seqs(made.store, name, now: now)
                let expected = model[name, default: []].map(\.seq)
                // Age is looked at once a second, so what is too old by less may still be there.
                #expect(name.hasPrefix("a/1/") ? found.ends(with: expected) : found == expected, "\(name) at \(now)")
            }
        }
        now += 5000
        while try made.store.maintain(now: now) {}
        model["a/1/x"] = nil
        model["a/1/y"] = nil
        let expected = model.values.flatMap { $0.map(\.seq) }.sorted()
        #expect(try seqs(made.store, "#", now: now) == expected)
        let statistics = try made.store.statistics()
        #expect(statistics.historyMessages == expected.count)
        #expect(statistics.historyBytes == model.values.flatMap { $0 }.reduce(0) { $0 + $1.payload.count })
    }
}
