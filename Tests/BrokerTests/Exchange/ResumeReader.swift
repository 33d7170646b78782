import Testing

@testable import Broker

/// A subscriber that reads slowly, is cut off, and resumes.
final class ResumeReader {
    let filter: TopicFilter
    let slow: SlowPolicy
    /// Whether it gets its own messages.
    let hearsItself: Bool
    /// The messages that it has for certain, in the order of arrival: those up to the marker, and everything after it.
    private(set) var known: [Notice] = []
    /// The messages received on this connection before the marker.
    private var begun: [Notice] = []
    private var isLive = false
    /// Whether it has not just unsubscribed.
    private var isSubscribed = false
    /// Errors that are visible at once.
    private var offences: [String] = []
    /// Its connections so far, by the numbers of their clients, and which connection delivered each message.
    private var clients: Set<UInt64> = []
    private var bringers: [UInt64: UInt64] = [:]
    /// So much was known when the marker came.
    private var settled = 0
    /// Everything up to this number is known, or announced as missing.
    private(set) var position: UInt64 = 0
    /// Where it first subscribed.
    private(set) var first: UInt64?
    /// How its connections were closed by the broker: the code and the reason.
    private(set) var closes: [String] = []
    /// Whether it may subscribe by the rights that hold now.
    private var isAllowed = true
    /// Its subscription has been revoked, and it has not been answered since.
    private var isSilent = false
    private(set) var revocations = 0
    /// Where its subscription began.
    private var begin: UInt64 = 0
    /// Messages that an earlier subscription must not deliver: those after the first number up to the second.
    private var denied: [(after: UInt64, upTo: UInt64)] = []
    /// The last message it waited for.
    private var end: UInt64 = 0
    private(set) var resumes = 0
    private var stub: StubClient?
    private let connect: () throws -> StubClient

    init(
        _ filter: TopicFilter, _ slow: SlowPolicy, hearsItself: Bool = true, connect: @escaping () throws -> StubClient
    ) throws {
        self.filter = filter
        self.hearsItself = hearsItself
        self.slow = slow
        self.connect = connect
        try reconnect()
        while !isLive { _ = try read(4096, waiting: true) }
    }

    private func reconnect() throws {
        let stub = try connect()
        self.stub = stub
        isSilent = false
        clients.insert(stub.client)
        try subscribe(stub)
    }

    private func subscribe(_ stub: StubClient) throws {
        isLive = false
        isSubscribed = true
        begun = []
        // A gap counts when something has followed it: until then the next subscription announces it again.
        while known.count > settled, known.last?.op == "gap" { known.removeLast() }
        let since = first == nil ? "\"snapshot\":false" : "\"since\":\(position)"
        if first != nil { resumes += 1 }
        let options = "\"slow\":\"\(slow.rawValue)\",\"echo\":\(hearsItself),\(since)"
        try stub.send("{\"op\":\"subscribe\",\"id\":1,\"filter\":\"\(filter)\",\(options)}")
    }

    /// Ends the subscription and subscribes again on the same connection.
    func unsubscribeAndResubscribe() throws {
        let begin = resumes
        try stub?.send("{\"op\":\"unsubscribe\",\"id\":2,\"filter\":\"\(filter)\"}")
        // A connection that is closed meanwhile starts over, too.
        while isSubscribed, resumes == begin { _ = try read(1 << 16, waiting: true) }
        if resumes == begin, let stub { try subscribe(stub) }
    }

    /// Publishes over the connection that it reads from.
    func publish(_ topic: String, _ data: String) throws {
        try stub?.send("{\"op\":\"publish\",\"topic\":\"\(topic)\",\"data\":\"\(data)\"}")
    }

    /// Other rights hold.
    ///
    /// - Parameters:
    ///   - before: the number its shard had delivered when they took effect.
    ///   - after: the newest number when they did.
    func change(isAllowed: Bool, before: UInt64, after: UInt64) throws {
        if self.isAllowed, !isAllowed { denied.append((after, .max)) }
        if !self.isAllowed, isAllowed { denied[denied.count - 1].upTo = before }
        self.isAllowed = isAllowed
        try resubscribeIfAllowed()
    }

    private func resubscribeIfAllowed() throws {
        if isAllowed, !isSubscribed, let stub { try subscribe(stub) }
    }

    func leaveAndReconnect() throws {
        stub?.leave()
        try reconnect()
    }

    /// Reads some; `true`: something came.
    func read(_ maximum: Int, waiting: Bool = false) throws -> Bool {
        guard let stub else { return false }
        let frames = waiting ? [try stub.frame()] : stub.receivedFrames(maximum)
        for frame in frames {
            guard let frame, frame.opcode == 1 else {
                let content = frame?.payload ?? []
                let code = content.count > 1 ? Int(content[0]) << 8 | Int(content[1]) : 0
                closes.append("\(code) \(String(decoding: content.dropFirst(2), as: UTF8.self))")
                stub.leave()
                try reconnect()
                return true
            }
            try take(try Notice(json: frame.payload))
        }
        return !frames.isEmpty
    }

    private func take(_ notice: Notice) throws {
        switch notice.op {
        case "message", "gap", "live":
            if !isSubscribed || isSilent {
                offences.append("\(notice.op ?? "") came after the end of the subscription")
            }
        default: break
        }
        if notice.op == "message", let seq = notice.seq {
            bringers[seq] = stub?.client
            if denied.contains(where: { begin <= $0.after && $0.after < seq && seq <= $0.upTo }) {
                offences.append("\(seq) came after its right had gone")
            }
        }
        switch notice.op {
        case "ok" where notice.id == 2: isSubscribed = false
        case "ok":
            isSilent = false
            begin = notice.seq ?? 0
            if first == nil { (first, position) = (begin, begin) }
        case "error" where notice.id == 2: break
        case "error":
            isSubscribed = false
            try resubscribeIfAllowed()
        case "revoked":
            revocations += 1
            (isSubscribed, isSilent, isLive, begun) = (false, true, false, [])
            try resubscribeIfAllowed()
        case "live":
            known += begun
            begun = []
            isLive = true
            settled = known.count
            position = max(position, notice.seq ?? 0)
        default:
            guard isLive else { return begun.append(notice) }
            known.append(notice)
            if notice.op == "message" { position = max(position, notice.seq ?? 0) }
        }
    }

    /// Reads until the message `seq` has arrived.
    func finish(_ seq: UInt64) throws {
        end = seq
        var reads = 0
        while !isLive || position < seq {
            _ = try read(1 << 16, waiting: true)
            reads += 1
            try #require(reads < 100_000, "\(filter) \(slow) at \(position), not \(seq)")
        }
    }

    /// The errors, given everything that was published up to the last message it waited for.
    func complaints(_ log: [Message], isKept: (Topic) -> Bool) -> [String] {
        var complaints = offences
        var seen: [UInt64: Notice] = [:]
        var last: UInt64 = 0
        var gaps: [Gap] = []
        for notice in known {
            guard notice.op != "gap" else {
                gaps.append(Gap(since: notice.since ?? 0, seq: notice.seq ?? 0, missed: notice.missed))
                continue
            }
            let seq = notice.seq ?? 0
            if seen.updateValue(notice, forKey: seq) != nil { complaints.append("\(seq) is doubled") }
            guard notice.retained != true else { continue }
            if seq <= last { complaints.append("\(seq) came after \(last)") }
            last = max(last, seq)
        }
        var missing: [Message] = []
        // What came only as a value counts as missed, too: the history has lost the message.
        var shown = 0
        for message in log where message.seq > first ?? 0 && filter.matches(message.topic) {
            guard let notice = seen.removeValue(forKey: message.seq) else {
                // A late publication of another connection may have come after everything it waited for.
                if message.seq <= end { missing.append(message) }
                continue
            }
            if notice.retained == true { shown += 1 }
            if !notice.tells(message) { complaints.append("\(message.seq) is not as it was published") }
            if !hearsItself, bringers[message.seq] == message.origin {
                complaints.append("\(message.seq) is its own")
            }
        }
        complaints += seen.keys.map { "nobody published \($0)" }
        let now = Lifetime.now
        let due = missing.filter { message in
            let isOwn = !hearsItself && clients.contains(message.origin)
            return !isOwn && !message.isExpired(at: now)
        }
        for message in due {
            if isKept(message.topic) { complaints.append("\(message.seq) was kept and is lost") }
            if !gaps.contains(where: { $0.since < message.seq && message.seq <= $0.seq }) {
                complaints.append("\(message.seq) is missing, and no gap says so")
            }
        }
        // Messages that `latest` skipped are delivered after resuming, if the history has them.
        if slow == .latest, resumes > 0 { return complaints }
        let counts = gaps.map(\.missed)
        let sum = counts.reduce(0) { $0 + ($1 ?? 0) }
        if !counts.contains(nil), sum < due.count {
            complaints.append("\(due.count) are missing, the gaps say \(sum)")
        }
        if sum > missing.count + shown {
            complaints.append("only \(missing.count) are missing and \(shown) shown, the gaps say \(sum)")
        }
        return complaints
    }
}
