internal import WSTransport

/// What a subscription asks of the history without knowing a position.
package enum Rewind: Equatable, Sendable {
    /// The last so many messages of each topic.
    case last(Int)
    /// The messages of the last so many milliseconds.
    case age(Int64)
    /// Everything that is kept.
    case all

    /// Reads `-N`, a duration such as `10m`, `all` or `latest`; `nil`: it is none of these.
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

    /// A duration as clients write it, such as `10m`, in milliseconds; `nil`: it is none.
    package static func milliseconds(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = number(digits), let unit = units[String(text[digits.endIndex...])] else { return nil }
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

/// A new subscription's way through the history, up to where it becomes live.
///
/// It holds numbers of messages only, at most ``maximumNumbers``; of more the newest are sent, and a gap says so.
final class Rewinding {
    /// How many messages are chosen one by one.
    static let maximumNumbers = 10_000
    /// How many topics, and about how many messages, are looked at in one step.
    private static let topicsAtOnce = 512
    private static let messagesAtOnce = 4096

    private let filter: TopicFilter
    private let rewind: Rewind
    /// The last message that it brings.
    private let seq: UInt64
    /// Whether it is known what comes.
    private(set) var isReady = false
    /// The numbers of the messages, rising once it is ready; `nil`: all that match after ``start``.
    private var numbers: [UInt64]?
    /// How many of them have been read.
    private var read = 0
    private var start: UInt64 = 0
    /// Everything up to this number has been read, if there are no ``numbers``.
    private var cursor: UInt64 = 0
    /// The last topic that was looked at.
    private var position: Topic?
    /// Messages up to this number are left out, because there are too many.
    private var lostUpTo: UInt64 = 0

    init(_ rewind: Rewind, filter: TopicFilter, upTo seq: UInt64) {
        (self.rewind, self.filter, self.seq) = (rewind, filter, seq)
    }

    /// Finds out some more of what comes; everything up to its end must be on disk.
    ///
    /// - Parameter now: the time of day in Unix milliseconds.
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

    /// Whether a kept message comes.
    func brings(_ seq: UInt64, _ view: any HistoryView) throws(StorageError) -> Bool {
        guard let numbers else {
            guard seq > start, seq <= self.seq else { return false }
            return try view.holds(seq)
        }
        let place = numbers.partitionPoint { $0 >= seq }
        return place < numbers.count && numbers[place] == seq
    }

    /// Takes the messages that are left out, to be announced; `nil`: there are none.
    func takeGap() -> Gap? {
        guard lostUpTo > 0 else { return nil }
        defer { lostUpTo = 0 }
        return Gap(since: 0, seq: lostUpTo, missed: nil)
    }

    /// Passes `body` the next messages; `true`: these were the last.
    ///
    /// - Parameters:
    ///   - bytes: the size of payload after which to stop.
    ///   - now: Unix milliseconds, as ``Lifetime/now`` counts them.
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
            // What has been removed meanwhile is not kept any more.
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
    /// Whether everything that is kept up to a number is on disk, or lost.
    func isOnDisk(upTo seq: UInt64) -> Bool { sequencer.tail(after: seq).committedUpTo >= seq }

    func prepare(_ rewinding: Rewinding) throws(StorageError) {
        try store.readHistory { view throws(StorageError) in
            try rewinding.prepare(view, now: WallClock.unixMilliseconds)
        }
    }

    /// Sends the next piece of what a new subscription asks of the history; `true`: that was the last.
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
