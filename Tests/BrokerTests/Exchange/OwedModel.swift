@testable import Broker

/// What one client must have received at the end of an ``OwedSchedule``, whatever its subscriptions were in between:
/// for every filter each message once and in order, or a gap instead.
struct OwedModel {
    /// One filter from its subscription to its end, whatever policies it had meanwhile.
    private struct Life {
        let filter: TopicFilter
        /// Messages after this one are due.
        var start: UInt64
        /// No message before this one may come.
        var earliest: UInt64
        /// Messages up to this number are due.
        var end: UInt64 = .max
        var isOver = false
        /// Whether the answer to its end came early, as one of its command's filters was subscribed to again.
        var isHasty = false
        /// How often rights had been changed when it was asked for, or when its end was.
        var changes: Int
        /// Where its subscription began, at the earliest.
        var position: UInt64
        /// Whether it has wanted all messages all the time.
        var isFull: Bool
        let isDeaf: Bool
        /// The answer that made it: snapshots are checked from there.
        var answer: Int
        /// A snapshot is under way.
        var awaitsValues: Bool
        /// The marker is still to come.
        var isBeginning = true
    }

    private let world: OwedSchedule.World
    private let transcript: OwedSchedule.Transcript
    private var lives: [Life] = []
    private var seen: [UInt64: Int] = [:]
    private var gaps: [(index: Int, filter: TopicFilter, gap: Gap)] = []
    /// The answers of resumptions, and the numbers after which these begin.
    private var resumes: [(index: Int, since: UInt64, mayRepeat: Bool)] = []
    private var firstForgetting = Int.max
    /// The commands that were answered and not refused.
    private var answered: Set<Int> = []
    private var last: UInt64 = 0
    private(set) var complaints: [String] = []

    init(_ world: OwedSchedule.World, _ transcript: OwedSchedule.Transcript) {
        self.world = world
        self.transcript = transcript
    }

    mutating func check() {
        for (index, notice) in transcript.notices.enumerated() {
            let before = complaints.count
            switch notice.op {
            case "ok": answer(notice, index)
            case "live": live(notice, index)
            case "message" where notice.retained == true: value(notice)
            case "message": message(notice, index)
            case "gap": gap(notice, index)
            case "revoked": revoked(notice, index)
            case "error": refusal(notice)
            case "pong": break
            default: complaints.append("unexpected")
            }
            for place in before..<complaints.count { complaints[place] += " at \(index): \(notice)" }
        }
        if transcript.isClosed {
            // Also a command whose answer did not arrive.
            let mayClose = transcript.commands.values.contains { command in
                if case .subscribe(_, .close, _, _, _) = command { true } else { false }
            }
            if !mayClose { complaints.append("closed though it may be kept waiting") }
            return
        }
        for life in lives { checkAll(life) }
    }

    /// The transcript of commands and answers, for people.
    var story: String {
        var lines = ["--- \(complaints)"]
        for (index, notice) in transcript.notices.enumerated() {
            if let id = notice.id, let command = transcript.commands[id] {
                lines.append(
                    "\(index) ANSWER \(id) sent at \(transcript.sent[id]?.newest ?? 0): \(command) -> \(notice.seq ?? 0)"
                )
            } else {
                let place = notice.topic ?? notice.filter ?? ""
                let kind = (notice.op ?? "") + (notice.retained == true ? " retained" : "")
                lines.append("\(index) \(kind) \(place) \(notice.since.map { "\($0)..." } ?? "")\(notice.seq ?? 0)")
            }
        }
        return lines.joined(separator: "\n")
    }

    private mutating func complain(_ what: String, unless isFine: Bool) {
        if !isFine { complaints.append(what) }
    }

    private func entry(_ seq: UInt64) -> Message? {
        guard let first = world.log.first, seq >= first.seq, Int(seq - first.seq) < world.log.count else { return nil }
        return world.log[Int(seq - first.seq)]
    }

    private func text(_ message: Message) -> String { String(decoding: message.payload, as: UTF8.self) }

    private func active(_ filter: TopicFilter) -> Int? { lives.lastIndex { !$0.isOver && $0.filter == filter } }

    /// The messages that this connection published before a command.
    private func own(before id: Int) -> UInt64 {
        transcript.notices.filter { notice in
            guard notice.op == "ok", let other = notice.id, other < id, case .publish = transcript.commands[other]
            else {
                return false
            }
            return true
        }.compactMap(\.seq).max() ?? 0
    }

    private mutating func answer(_ notice: Notice, _ index: Int) {
        guard let id = notice.id, let sent = transcript.sent[id] else { return complaints.append("answers nothing") }
        answered.insert(id)
        switch transcript.commands[id] {
        case .subscribe(let names, let slow, let hearsItself, let since, let wantsSnapshot):
            guard let seq = notice.seq else { return complaints.append("no seq") }
            complain(
                "before what its connection published before", unless: world.isDelayed || seq >= own(before: id))
            complain("before what was published before", unless: seq >= sent.newest)
            if let since, since < seq {
                let mayRepeat = hasUnsubscribed(before: id) || firstForgetting < index || hasGivenUp(by: seq, index)
                resumes.append((index, since, mayRepeat))
                last = min(last, since)
            }
            for name in names {
                guard let filter = try? TopicFilter(name) else { continue }
                let earliest = min(since ?? seq, seq)
                let awaitsValues = wantsSnapshot && since == nil
                if let place = active(filter) {
                    lives[place].start = min(lives[place].start, earliest)
                    lives[place].earliest = min(lives[place].earliest, earliest)
                    lives[place].isFull = lives[place].isFull && slow != .latest
                    lives[place].answer = index
                    lives[place].awaitsValues = awaitsValues
                    lives[place].isBeginning = true
                    (lives[place].changes, lives[place].position) = (sent.changes, seq)
                } else {
                    // Each filter has its own position, which its marker states.
                    let start = since == nil && names.count > 1 ? UInt64.max : earliest
                    lives.append(
                        Life(
                            filter: filter, start: start, earliest: earliest, changes: sent.changes, position: seq,
                            isFull: slow != .latest, isDeaf: !hearsItself, answer: index, awaitsValues: awaitsValues))
                }
            }
        case .unsubscribe(let names):
            firstForgetting = min(firstForgetting, index)
            for name in names {
                guard let filter = try? TopicFilter(name), let place = active(filter) else {
                    complaints.append("was not subscribed")
                    continue
                }
                lives[place].end = max(sent.newest, world.isDelayed ? 0 : own(before: id))
                // If its right was revoked before all of that was sent, the amount is unknown.
                if isDenied(filter, since: sent.changes) { lives[place].end = 0 }
                lives[place].isOver = true
                lives[place].isHasty = isSubscribedAgain(names, after: index)
            }
        case .publish(let topic, let data):
            let found = notice.seq.flatMap(entry)
            complain("not as published", unless: found?.topic.name == topic && found.map(text) == data)
        case nil: complaints.append("answers nothing")
        }
    }

    /// Whether an earlier command ends a subscription and has not been answered, as something was due to it.
    private func isEnding(_ filter: TopicFilter, before id: Int) -> Bool {
        transcript.commands.contains { other, command in
            guard other < id, !answered.contains(other), case .unsubscribe(let names) = command else { return false }
            return names.contains(filter.name)
        }
    }

    /// Whether a filter could not be subscribed to at some time since rights had been changed so often.
    private func isDenied(_ filter: TopicFilter, since changes: Int) -> Bool {
        world.rights[changes...].contains { !$0.allow(filter) }
    }

    /// Whether a message was numbered while a subscription had lost its right.
    private func isDenied(_ message: Message, _ life: Life) -> Bool {
        for place in 1..<max(1, world.rights.count) where !world.rights[place].allow(life.filter) {
            let after = world.rights[place].after[transcript.shard]
            let next = world.rights[(place + 1)...].first { $0.allow(life.filter) }
            let upTo = next?.before[transcript.shard] ?? .max
            if life.position <= after, after < message.seq, message.seq <= upTo { return true }
        }
        return false
    }

    private mutating func revoked(_ notice: Notice, _ index: Int) {
        firstForgetting = min(firstForgetting, index)
        guard let filter = notice.filter.flatMap({ try? TopicFilter($0) }), let place = active(filter) else {
            return complaints.append("was not subscribed")
        }
        complain("is allowed", unless: isDenied(filter, since: lives[place].changes))
        // What was due to it is not sent any more, nor a gap that would have ended after the last message that it has
        // had.
        let begin = lives[place].answer
        let had = transcript.notices[begin..<index].filter { notice in
            notice.op == "message" && notice.retained != true
                && notice.seq.flatMap(entry).map { filter.matches($0.topic) } ?? false
        }
        lives[place].end = min(lives[place].end, min(last, had.compactMap(\.seq).max() ?? 0))
        lives[place].isOver = true
    }

    private mutating func refusal(_ notice: Notice) {
        guard let id = notice.id, let sent = transcript.sent[id] else { return complaints.append("answers nothing") }
        switch transcript.commands[id] {
        case .subscribe(let names, _, _, _, _):
            let filters = names.compactMap { try? TopicFilter($0) }
            complain("is allowed", unless: filters.contains { isDenied($0, since: sent.changes) })
        case .unsubscribe(let names):
            let filters = names.compactMap { try? TopicFilter($0) }
            complain("is subscribed", unless: filters.contains { active($0) == nil || isEnding($0, before: id) })
        case .publish, nil: complaints.append("may publish")
        }
    }

    /// Whether a subscription ends by an earlier command; its answer may come later, when all that was due has come.
    private func hasUnsubscribed(before id: Int) -> Bool {
        transcript.commands.contains { other, command in
            if case .unsubscribe = command { other < id } else { false }
        }
    }

    /// Whether something newer than all that has come was given up before a resumption was answered with `seq`; its gap
    /// comes later, in its place among the messages.
    private func hasGivenUp(by seq: UInt64, _ index: Int) -> Bool {
        let newest = seen.keys.max() ?? 0
        return transcript.notices[index...].contains { notice in
            notice.op == "gap" && notice.seq.map { newest < $0 && $0 <= seq } ?? false
        }
    }

    /// Whether the next thing that is answered subscribes to one of these filters again.
    private func isSubscribedAgain(_ names: [String], after index: Int) -> Bool {
        for notice in transcript.notices[(index + 1)...] where notice.op == "ok" {
            switch notice.id.flatMap({ transcript.commands[$0] }) {
            case .unsubscribe: continue
            case .subscribe(let again, _, _, _, _): return again.contains(where: names.contains)
            case .publish, nil: return false
            }
        }
        return false
    }

    private mutating func live(_ notice: Notice, _ index: Int) {
        guard let filter = notice.filter.flatMap({ try? TopicFilter($0) }), let place = active(filter),
            let seq = notice.seq, lives[place].isBeginning
        else { return complaints.append("a marker of no subscription") }
        lives[place].isBeginning = false
        if lives[place].start == .max { lives[place].start = seq }
        for message in world.log where message.seq <= seq && isDue(message, lives[place]) && !isTold(message, filter) {
            complaints.append("\(message.seq) has not come before the marker")
        }
        guard lives[place].awaitsValues, !world.hasFailed else { return }
        lives[place].awaitsValues = false
        let shown = transcript.notices[lives[place].answer..<index].filter { $0.retained == true }
        var values: [Topic: Message] = [:]
        for message in world.log where message.isRetained {
            if message.seq <= seq { values[message.topic] = message } else { values[message.topic] = nil }
        }
        for (topic, message) in values where filter.matches(topic) && message.expiry == 0 && !message.isRemoval {
            complain("the value \(message.seq) is missing", unless: shown.contains { $0.seq == message.seq })
        }
    }

    private mutating func value(_ notice: Notice) {
        guard let found = notice.seq.flatMap(entry), found.isRetained else { return complaints.append("no value") }
        complain("not as published", unless: notice.tells(found))
        complain(
            "nobody asked for it",
            unless: lives.contains { !$0.isOver && $0.isBeginning && $0.filter.matches(found.topic) })
    }

    private mutating func gap(_ notice: Notice, _ index: Int) {
        guard let filter = notice.filter.flatMap({ try? TopicFilter($0) }), let since = notice.since,
            let seq = notice.seq, since < seq
        else { return complaints.append("no gap") }
        firstForgetting = min(firstForgetting, index)
        complain("of no subscription", unless: lives.contains { $0.filter == filter })
        gaps.append((index, filter, Gap(since: since, seq: seq, missed: notice.missed)))
    }

    private mutating func message(_ notice: Notice, _ index: Int) {
        guard let seq = notice.seq, let found = entry(seq) else { return complaints.append("was never published") }
        complain("not as published", unless: notice.tells(found))
        complain("out of order after \(last)", unless: seq > last)
        last = seq
        // Of a list of filters the first may bring something before the last is subscribed to, and so before the
        // answer.
        let isJustAsked = isBeingSubscribed(found.topic, index)
        complain(
            "nobody asked for it",
            unless: isJustAsked || lives.contains { $0.earliest < seq && $0.filter.matches(found.topic) })
        complain(
            "came after the end",
            unless: isJustAsked
                || lives.contains {
                    (!$0.isOver || $0.isHasty) && $0.filter.matches(found.topic) && !isOwn(found, $0)
                        && !isDenied(found, $0)
                })
        if let first = seen[seq] {
            // A client that asks again for earlier messages, having given something up meanwhile, may get some twice.
            let isAsked = resumes.contains { $0.index > first && $0.since < seq && $0.mayRepeat }
            complain("doubled", unless: isAsked)
        }
        for told in gaps where told.gap.since < seq && seq <= told.gap.seq && told.filter.matches(found.topic) {
            let isAsked = resumes.contains { $0.index > told.index && $0.since < seq }
            // Another filter may bring what this one has dropped.
            let isOther = lives.contains { $0.filter != told.filter && $0.filter.matches(found.topic) }
            complain("lies in an earlier gap", unless: isAsked || isOther)
        }
        seen[seq] = seen[seq] ?? index
    }

    /// Whether the next subscriptions to be answered include one that such a message may be for; other commands may be
    /// answered before, as what they asked for comes while the subscriptions are made.
    private func isBeingSubscribed(_ topic: Topic, _ index: Int) -> Bool {
        for notice in transcript.notices[index...] where notice.op == "ok" {
            guard case .subscribe(let names, _, _, _, _) = notice.id.flatMap({ transcript.commands[$0] }) else {
                continue
            }
            return isOfSeveral(names, topic)
        }
        // The connection may have been closed before the answer.
        return transcript.isClosed
            && transcript.commands.contains { id, command in
                guard !answered.contains(id), case .subscribe(let names, _, _, _, _) = command else { return false }
                return isOfSeveral(names, topic)
            }
    }

    private func isOfSeveral(_ names: [String], _ topic: Topic) -> Bool {
        names.count > 1 && names.contains { (try? TopicFilter($0))?.matches(topic) ?? false }
    }

    private func isOwn(_ message: Message, _ life: Life) -> Bool {
        life.isDeaf && message.origin == transcript.client
    }

    private func isDue(_ message: Message, _ life: Life) -> Bool {
        message.seq > life.start && message.seq <= life.end && message.expiry == 0
            && life.filter.matches(message.topic) && !isOwn(message, life)
    }

    private func isTold(_ message: Message, _ filter: TopicFilter) -> Bool {
        seen[message.seq] != nil
            || gaps.contains { $0.filter == filter && $0.gap.since < message.seq && message.seq <= $0.gap.seq }
    }

    private mutating func checkAll(_ life: Life) {
        let isStrict = life.isFull && !world.hasFailed && !(life.isOver && world.isTight)
        for message in world.log where isDue(message, life) {
            guard isTold(message, life.filter) else {
                complaints.append("\(message.seq) to \(message.topic) is lost for \(life.filter), without a gap")
                continue
            }
            // No message that is always kept may be missing.
            if isStrict, message.topic.name.hasPrefix("k/"), seen[message.seq] == nil {
                complaints.append("\(message.seq) to \(message.topic) was kept and is lost for \(life.filter)")
            }
        }
    }
}
