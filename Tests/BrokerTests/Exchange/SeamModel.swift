@testable import Broker

/// What one client may receive by the contract: the retained values as of the subscription's position, each
/// once, then the marker, then every message after the position, once and in order.
struct SeamModel {
    private struct Active {
        let filter: TopicFilter
        /// Messages after this one are due.
        var position: UInt64
        let hearsItself: Bool
        /// Messages up to this number must arrive: the end of the subscription takes effect at some point after it.
        let end: UInt64
    }

    private struct Pending {
        let filter: TopicFilter
        let seq: UInt64
        /// The time of the request: values that had expired by then are not shown.
        let time: Int64
        var shown: [String: Notice] = [:]
        /// The same, of what may have been shown for one that was cut off by the end of its subscription.
        var maybeShown: [String: Notice] = [:]
    }

    private let log: [Message]
    /// Where in the transcript it is.
    private var number = 0
    private let transcript: SeamSchedule.Transcript
    private var active: [String: Active] = [:]
    /// The subscriptions that have ended.
    private var past: [Active] = []
    private var snapshots: [Pending] = []
    /// The filters of subscriptions that never reach their markers.
    private var cutOff: [TopicFilter] = []
    private var last: UInt64 = 0
    /// The answers to publications with a key, by topic and key.
    private var keyed: [String: UInt64] = [:]
    /// The errors.
    private(set) var complaints: [String] = []

    init(log: [Message], _ transcript: SeamSchedule.Transcript) {
        self.log = log
        self.transcript = transcript
    }

    /// When the notice had come that is looked at.
    private var heard = SeamSchedule.Moment(newest: .max, time: .max)

    /// Checks everything the client received.
    mutating func check() {
        for (number, notice) in transcript.notices.enumerated() {
            let before = complaints.count
            self.number = number
            if number < transcript.heard.count { heard = transcript.heard[number] }
            switch notice.op {
            case "ok": answer(notice)
            case "error": refusal(notice)
            case "live": live(notice)
            case "message" where notice.retained == true: retained(notice)
            case "message": message(notice)
            case "revoked": revoked(notice)
            default: complaints.append("unexpected")
            }
            for index in before..<complaints.count { complaints[index] += " at \(number): \(notice)" }
        }
        if !snapshots.isEmpty { complaints.append("a snapshot never ended") }
        for filter in active.values.map(\.filter) {
            complain("kept \(filter), which was taken away", unless: mayHave(filter, at: .max))
        }
    }

    private mutating func complain(_ what: String, unless isFine: Bool) {
        if !isFine { complaints.append(what) }
    }

    private mutating func answer(_ notice: Notice) {
        switch notice.id.flatMap({ transcript.commands[$0] }) {
        case .subscribe(let name, let wantsSnapshot, let hearsItself):
            guard let filter = try? TopicFilter(name), let seq = notice.seq else { return complaints.append("no seq") }
            snapshots.removeAll { $0.filter == filter }
            cutOff.removeAll { $0 == filter }
            // A repeated subscription loses nothing that was due before.
            let position = min(seq, active[name]?.position ?? seq)
            complain("subscribed without the right", unless: mayHave(filter, at: sent(notice)))
            active[name] = Active(
                filter: filter, position: position, hearsItself: hearsItself, end: end(of: name, after: notice.id ?? 0))
            let time = notice.id.flatMap { transcript.sent[$0] }?.time ?? .min
            guard wantsSnapshot else { break }
            if isCutOff(name) {
                cutOff.append(filter)
            } else {
                snapshots.append(Pending(filter: filter, seq: seq, time: time))
            }
        case .unsubscribe(let name):
            let removed = active.removeValue(forKey: name)
            complain("not subscribed", unless: removed != nil)
            if let removed { past.append(removed) }
            snapshots.removeAll { $0.filter.name == name }
            cutOff.removeAll { $0.name == name }
        case .publish(let topic, _, _, _, .some(let key), _):
            let found = notice.seq.flatMap(entry)
            complain("not as published", unless: found?.topic.name == topic && found?.isRetained == true)
            complain("wrong about storing", unless: notice.stored == true)
            complain("another answer for a key", unless: keyed["\(topic) \(key)"] ?? notice.seq == notice.seq)
            keyed["\(topic) \(key)"] = notice.seq
        case .publish(let topic, let data, let isRetained, let wanted, nil, let isEphemeral):
            let found = notice.seq.flatMap(entry)
            complain("not as published", unless: found?.topic.name == topic && found.map(text) == data)
            complain("wrong about storing", unless: notice.stored == (isRetained && found?.isEphemeral == false))
            if isEphemeral, let seq = notice.seq {
                complain(
                    "took the place of a value on disk", unless: value(of: topic, at: seq - 1)?.isEphemeral ?? true)
            }
            guard let wanted, let seq = notice.seq, let sent = notice.id.flatMap({ transcript.sent[$0] }) else { break }
            complain(
                "accepted though the condition did not hold",
                unless: mayHold(wanted, value(of: topic, at: seq - 1), sent))
        case nil: complaints.append("answers nothing")
        }
    }

    /// A condition that was said not to hold: at some point in between it did not.
    private mutating func refusal(_ notice: Notice) {
        if notice.code == "forbidden" || notice.code == "not-found" { return denial(notice) }
        guard notice.code == "conflict", let id = notice.id, let sent = transcript.sent[id],
            case .publish(let topic, _, _, let wanted, _, let isEphemeral) = transcript.commands[id],
            isEphemeral || wanted != nil
        else { return complaints.append("unexpected") }
        let between = log.filter {
            $0.isRetained && $0.topic.name == topic && $0.seq > sent.newest && $0.seq <= heard.newest
        }
        let values = [value(of: topic, at: sent.newest)] + between.map { $0.payload.isEmpty ? nil : $0 }
        complain(
            "refused though the condition held all the time",
            unless: values.contains { value in
                isEphemeral ? value?.isEphemeral == false : wanted.map { mayFail($0, value, sent) } ?? false
            })
    }

    // MARK: Rights

    /// Whether a filter may be subscribed to by rules that held after the message `seq`, or later.
    private func mayHave(_ filter: TopicFilter, at seq: UInt64) -> Bool { rights(at: seq).contains { $0(filter) } }

    private func rights(at seq: UInt64) -> [(TopicFilter) -> Bool] {
        var found: [(TopicFilter) -> Bool] = [{ _ in true }]
        for change in transcript.changes {
            if change.done.newest < seq { found = [] }
            found.append { filter in
                change.filters.contains { $0.name == "#" ? !filter.name.hasPrefix("$SYS") : $0.covers(filter) }
            }
        }
        return found
    }

    private func sent(_ notice: Notice) -> UInt64 { notice.id.flatMap { transcript.sent[$0] }?.newest ?? 0 }

    private mutating func denial(_ notice: Notice) {
        switch notice.id.flatMap({ transcript.commands[$0] }) {
        case .subscribe(let name, _, _):
            guard let filter = try? TopicFilter(name) else { return }
            let isDenied = rights(at: sent(notice)).contains { !$0(filter) }
            complain("refused without a reason", unless: notice.code == "forbidden" && isDenied)
        case .unsubscribe(let name):
            // The end that was asked for before may not have been answered yet.
            let isEnding = transcript.notices[number...].contains { later in
                later.op == "ok" && later.id ?? .max < notice.id ?? 0
                    && later.id.flatMap { transcript.commands[$0] } == .unsubscribe(name)
            }
            complain("not found", unless: notice.code == "not-found" && (active[name] == nil || isEnding))
        case .publish(let name, _, _, .some, _, _):
            // The outcome of a condition reveals a value that may not be read.
            guard let filter = try? TopicFilter(name) else { return }
            let isDenied = rights(at: sent(notice)).contains { !$0(filter) }
            complain("refused without a reason", unless: notice.code == "forbidden" && isDenied)
        default: complaints.append("unexpected")
        }
    }

    private mutating func revoked(_ notice: Notice) {
        guard let name = notice.filter, let gone = active.removeValue(forKey: name) else {
            return complaints.append("revoked what there was not")
        }
        let isTaken = transcript.changes.contains { change in !change.filters.contains { $0.covers(gone.filter) } }
        complain("revoked without a reason", unless: isTaken)
        snapshots.removeAll { $0.filter.name == name }
        cutOff.removeAll { $0.name == name }
    }

    /// Whether messages due to a subscription that the client has ended may have been dropped, because its right was
    /// withdrawn.
    private func mayBeDropped(_ subscription: Active) -> Bool {
        subscription.end != .max
            && transcript.changes.contains { change in
                change.begun.newest <= heard.newest && change.done.newest >= subscription.position
                    && !change.filters.contains { $0.covers(subscription.filter) }
            }
    }

    private func value(of topic: String, at seq: UInt64) -> Message? {
        let newest = log.last { $0.isRetained && $0.topic.name == topic && $0.seq <= seq }
        return newest.flatMap { $0.payload.isEmpty ? nil : $0 }
    }

    /// Whether the value may have been the wanted one (0: none) at some time between `sent` and now.
    private func mayHold(_ wanted: UInt64, _ value: Message?, _ sent: SeamSchedule.Moment) -> Bool {
        guard let value else { return wanted == 0 }
        return wanted == 0 ? value.isExpired(at: heard.time) : value.seq == wanted && !value.isExpired(at: sent.time)
    }

    /// Whether it may have been another.
    private func mayFail(_ wanted: UInt64, _ value: Message?, _ sent: SeamSchedule.Moment) -> Bool {
        guard let value else { return wanted != 0 }
        return wanted == 0 ? !value.isExpired(at: sent.time) : value.seq != wanted || value.isExpired(at: heard.time)
    }

    private func entry(_ seq: UInt64) -> Message? {
        guard let first = log.first, seq >= first.seq, Int(seq - first.seq) < log.count else { return nil }
        return log[Int(seq - first.seq)]
    }

    private func text(_ message: Message) -> String { String(decoding: message.payload, as: UTF8.self) }

    private mutating func retained(_ notice: Notice) {
        guard let topic = notice.topic else { return complaints.append("of no topic") }
        let mayBeCutOff = cutOff.contains { $0.matches(Topic(unchecked: topic)) }
        guard let pending = snapshots.first else {
            return complain("a retained value outside a snapshot", unless: mayBeCutOff)
        }
        guard !mayBeCutOff else { return snapshots[0].maybeShown[topic] = notice }
        complain("shown twice", unless: pending.shown[topic] == nil)
        snapshots[0].shown[topic] = notice
    }

    private mutating func live(_ notice: Notice) {
        guard let pending = snapshots.first, pending.filter.name == notice.filter else {
            let isKnown = notice.filter.flatMap { active[$0] }?.position == notice.seq
            return complain("a marker of no snapshot", unless: isKnown)
        }
        complain("not the position of the answer", unless: pending.seq == notice.seq)
        snapshots.removeFirst()
        active[pending.filter.name]?.position = pending.seq
        var values: [Topic: Message] = [:]
        for message in log where message.isRetained && message.seq <= pending.seq {
            values[message.topic] = message.payload.isEmpty ? nil : message
        }
        var shown = pending.shown
        for (topic, message) in values where pending.filter.matches(topic) {
            let mayBe = pending.maybeShown[topic.name].flatMap { $0.seq == message.seq ? $0 : nil }
            if let found = shown.removeValue(forKey: topic.name) ?? mayBe {
                complain(
                    "not the value as of the position", unless: found.seq == message.seq && found.tells(message))
                complain("shown after its end", unless: !message.isExpired(at: pending.time))
            } else {
                // A value that was replaced while the snapshot was read arrives live instead.
                let isReplaced = log.contains { $0.isRetained && $0.topic == topic && $0.seq > pending.seq }
                complain(
                    "the value \(message.seq) of \(topic) is missing",
                    unless: isReplaced || message.isExpired(at: heard.time))
            }
        }
        complain("never a value as of the position: \(shown.keys)", unless: shown.isEmpty)
    }

    /// Whether a subscription that begins here ends before its snapshot does, which is then cut off.
    private func isCutOff(_ name: String) -> Bool {
        for notice in transcript.notices[(number + 1)...] {
            if notice.op == "live" || notice.op == "revoked", notice.filter == name { return false }
            guard notice.op == "ok" else { continue }
            switch notice.id.flatMap({ transcript.commands[$0] }) {
            case .unsubscribe(name): return true
            case .subscribe(name, _, _): return false
            default: continue
            }
        }
        return false
    }

    /// The newest message when a subscription's end was asked for; `.max`: it was not.
    private func end(of name: String, after id: Int) -> UInt64 {
        let ends = transcript.commands.filter { other, command in
            if case .unsubscribe(name) = command { other > id } else { false }
        }
        return ends.keys.min().flatMap { transcript.sent[$0]?.newest } ?? .max
    }

    private mutating func message(_ notice: Notice) {
        guard let seq = notice.seq, let found = entry(seq) else { return complaints.append("was never published") }
        complain("not as published", unless: notice.tells(found))
        complain("expired before its time", unless: !found.isExpiry || hasExpired(found))
        complain("doubled or out of order after \(last)", unless: seq > last)
        // What a filter had to get before its end comes where another one matches it, too.
        let isLate = past.contains { $0.position < seq && $0.filter.matches(found.topic) }
        let mayCome = active.values.contains { $0.filter.matches(found.topic) }
        complain("nobody asked for it", unless: active.values.contains { isDue(found, $0) } || isLate && mayCome)
        let isAllowed = active.values.contains { $0.filter.matches(found.topic) && mayHave($0.filter, at: seq) }
        complain("delivered without the right", unless: isAllowed)
        if let pending = snapshots.first {
            complain("live within a snapshot", unless: pending.shown.isEmpty && seq <= pending.seq)
        }
        for missed in last + 1..<max(seq, last + 1) {
            guard let message = entry(missed) else { continue }
            let isOwed = active.values.contains { isDue(message, $0) && missed <= $0.end && !mayBeDropped($0) }
            complain("\(missed) to \(message.topic) is lost", unless: !isOwed)
        }
        last = max(last, seq)
    }

    /// Whether a value that the broker removes as expired existed until then, and had expired.
    private func hasExpired(_ message: Message) -> Bool {
        value(of: message.topic.name, at: message.seq - 1)?.isExpired(at: heard.time) ?? false
    }

    private func isDue(_ message: Message, _ subscription: Active) -> Bool {
        subscription.position < message.seq && subscription.filter.matches(message.topic)
            && (subscription.hearsItself || message.origin != transcript.client)
    }
}
