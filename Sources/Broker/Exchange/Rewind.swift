internal import WSTransport

/// The part of the history that a subscription asks for without a position.
package enum Rewind: Equatable, Sendable {
    /// The last messages of each topic, this many.
    case last(Int)
    /// The messages of this many last milliseconds.
    case age(Int64)
    /// All messages that are kept.
    case all

    /// Parses `-N`, a duration such as `10m`, `all` or `latest`; `nil` if the text is none of these.
    package init?(_ text: String) {
        switch text {
        case "all": self = .all
        case "latest": self = .last(1)
        default:
            if text.hasPrefix("-") {
                guard let count = Self.number(text.dropFirst()), count > 0 else { return nil }
                self = .last(Int(clamping: count))
            } else {
                guard let age = Self.milliseconds(text) else { return nil }
                self = .age(age)
            }
        }
    }

    /// Parses a duration as clients write it, such as `10m`, to milliseconds; `nil` if the text is none.
    package static func milliseconds(_ text: String) -> Int64? {
        let digits = text.utf8.prefix { 0x30...0x39 ~= $0 }
        // No unit is longer.
        guard text.utf8.count - digits.count <= 2, let count = UInt64(Substring(digits)),
            let unit = units[String(text[digits.endIndex...])]
        else { return nil }
        let (time, isLonger) = count.multipliedReportingOverflow(by: unit)
        return isLonger ? .max : Int64(clamping: time)
    }

    /// In milliseconds.
    private static let units: [String: UInt64] = [
        "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
    ]

    private static func number(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? UInt64(text) : nil
    }
}

/// A new subscription's pass through the history, up to where it becomes live.
///
/// It stores only numbers of messages, at most ``maximumNumbers``; if there are more, the newest are sent, and a gap
/// announces the others.
final class Rewinding {
    /// How many messages are chosen one by one.
    static let maximumNumbers = 10_000
    /// How many topics, and about how many messages, are examined in one step.
    private static let topicsAtOnce = 128
    private static let messagesAtOnce = 1024

    private let filter: TopicFilter
    private let rewind: Rewind
    /// The number of the last message to send.
    private let seq: UInt64
    /// Whether the messages to send have been chosen.
    private(set) var isReady = false
    /// The numbers of the messages, in rising order once it is ready; `nil` for all that match after ``start``.
    private var numbers: [UInt64]?
    /// How many of them have been read.
    private var read = 0
    private var start: UInt64 = 0
    /// Without ``numbers``: everything up to this number has been read.
    private var cursor: UInt64 = 0
    /// The last topic that was examined.
    private var position: Topic?
    /// Messages up to this number are left out because there are too many; 0: none.
    private var lostUpTo: UInt64 = 0

    init(_ rewind: Rewind, filter: TopicFilter, upTo seq: UInt64) {
        (self.rewind, self.filter, self.seq) = (rewind, filter, seq)
    }

    /// Chooses some more of the messages to send; everything up to the end of the pass must be on disk.
    ///
    /// - Parameter now: Unix milliseconds.
    func prepare(_ view: any HistoryView, now: Int64) throws(StorageError) {
        switch rewind {
        case .all: isReady = true
        case .age(let age):
            let (time, isBeforeAll) = now.subtractingReportingOverflow(age)
            start = isBeforeAll ? 0 : try view.newest(before: time, upTo: seq)
            cursor = start
            isReady = true
        case .last(let count): try choose(count, view)
        }
    }

    private func choose(_ count: Int, _ view: any HistoryView) throws(StorageError) {
        var found = numbers ?? []
        let end = found.count + Self.messagesAtOnce
        let most = min(count, Self.maximumNumbers + 1)
        var failure: StorageError?
        let scan = try view.topics(matching: filter, after: position, visiting: Self.topicsAtOnce) { topic in
            do throws(StorageError) {
                try view.last(most, of: topic, upTo: seq) { found.append($0) }
            } catch {
                failure = error
            }
            return failure == nil && found.count < end
        }
        if let failure { throw failure }
        if case .stopped(let topic) = scan { position = topic } else { isReady = true }
        if isReady || found.count > 2 * Self.maximumNumbers {
            found.sort()
            let excess = found.count - Self.maximumNumbers
            if excess > 0 {
                lostUpTo = max(lostUpTo, found[excess - 1])
                found.removeFirst(excess)
            }
        }
        numbers = found
    }

    /// Whether a kept message is among those to send.
    func brings(_ seq: UInt64, _ view: any HistoryView) throws(StorageError) -> Bool {
        guard let numbers else {
            guard seq > start, seq <= self.seq else { return false }
            return try view.holds(seq)
        }
        let place = numbers.partitionPoint { $0 >= seq }
        return place < numbers.count && numbers[place] == seq
    }

    /// Takes the gap of the messages that are left out; `nil` if none are.
    func takeGap() -> Gap? {
        guard lostUpTo > 0 else { return nil }
        defer { lostUpTo = 0 }
        return Gap(since: 0, seq: lostUpTo, missed: nil)
    }

    /// Passes `body` the next messages; returns `true` if these were the last.
    ///
    /// - Parameters:
    ///   - bytes: how much payload to read before stopping.
    ///   - now: Unix milliseconds by the clock of ``Lifetime/now``.
    func next(
        _ view: any HistoryView, bytes: Int, now: Int64, _ body: (Message) -> Void
    ) throws(StorageError) -> Bool {
        guard let numbers else {
            let end = try HistoryReading.read(
                view, [HistoryReading.Wanted(filter: filter, after: cursor)], where: { filter.matches($0) },
                after: cursor, upTo: seq, bytes: bytes, now: now, body)
            guard case .stopped(let last) = end else { return true }
            cursor = last
            return false
        }
        var (place, room) = (read, bytes)
        while place < numbers.count, room > 0, place - read < Self.messagesAtOnce {
            // A message that has been removed meanwhile is no longer kept, and is not sent.
            if let message = try view.message(numbers[place]), !message.isExpired(at: now) {
                body(message)
                room -= message.weight
            }
            place += 1
        }
        read = place
        return place == numbers.count
    }
}

extension CatchUp {
    /// Whether every kept message up to a number is on disk, or lost.
    func isOnDisk(upTo seq: UInt64) -> Bool { sequencer.tail(after: seq).committedUpTo >= seq }

    func prepare(_ rewinding: Rewinding) throws(StorageError) {
        try store.readHistory { view throws(StorageError) in
            try rewinding.prepare(view, now: WallClock.unixMilliseconds)
        }
    }

    /// Sends the next piece of the history that a new subscription asks for; returns `true` if that was the last.
    func rewind(
        _ rewinding: Rewinding, _ start: CatchUpStart, _ session: any Session, _ room: inout Int
    ) throws(StorageError) -> Bool {
        guard room > 0 else { return false }
        var found: [Message] = []
        let bytes = room
        let isDone = try store.readHistory { view throws(StorageError) in
            try rewinding.next(view, bytes: bytes, now: Lifetime.now) { found.append($0) }
        }
        if let gap = rewinding.takeGap() {
            session.sendGap(start.filter, gap, isResuming: true)
            counters.gaps.add(1)
        }
        for message in found {
            room -= message.weight
            guard isKnown(session) else { return false }
            guard session.subscriptions.wants(message, for: start.number, client: session.client.id) else { continue }
            send(message, to: session)
            counters.replayed.add(1)
        }
        return isDone
    }
}
