internal import Synchronization
internal import WSTransport

/// The conditions of a request (RFC 9110 §13).
///
/// A condition that is not understood is refused: otherwise a write that was meant to be conditional would succeed.
struct Preconditions {
    /// A list of entity tags.
    private enum Tags: Equatable {
        /// `*`: any value.
        case any
        /// The numbers in valid tags; `If-Match` compares strongly, so weak tags do not count.
        case seqs([UInt64])
    }

    private var match: Tags?
    private var noneMatch: Tags?
    private var unmodifiedSince: Int64?
    private var modifiedSince: Int64?

    /// The outcome of a read.
    enum Outcome { case go, isFresh, fails }

    init(_ fields: HTTPFields) throws(HTTPRefusal) {
        guard fields.hasName(beginningWith: "if-") else { return }
        match = try Self.tags(fields, "If-Match", isStrong: true)
        noneMatch = try Self.tags(fields, "If-None-Match", isStrong: false)
        guard match == nil || noneMatch == nil else {
            throw HTTPRefusal(Refusal(.badRequest, "If-Match and If-None-Match cannot be combined."))
        }
        // RFC 9110 §13.1.4: tags take precedence.
        if match == nil, let text = fields.first("If-Unmodified-Since") {
            guard fields.count(of: "If-Unmodified-Since") == 1, let seconds = Self.date(text) else {
                throw HTTPRefusal(Refusal(.badRequest, "If-Unmodified-Since: expected a date, found \"\(text)\"."))
            }
            unmodifiedSince = seconds
        }
        // RFC 9110 §13.1.3: the condition only saves a transfer, so an invalid date is ignored.
        if noneMatch == nil { modifiedSince = fields.only("If-Modified-Since").flatMap(Self.date) }
    }

    /// Whether there are no conditions for a write.
    var isEmpty: Bool { match == nil && noneMatch == nil && unmodifiedSince == nil }

    private static func date(_ text: String) -> Int64? {
        HTTPDate.parseAny(text, now: WallClock.unixMilliseconds / 1000)
    }

    private static func tags(_ fields: HTTPFields, _ name: String, isStrong: Bool) throws(HTTPRefusal) -> Tags? {
        guard fields.count(of: name) > 0 else { return nil }
        let tags = fields.list(name)
        if tags == ["*"] { return .any }
        var seqs: [UInt64] = []
        for tag in tags {
            let isWeak = tag.hasPrefix("W/")
            let quoted = tag.dropFirst(isWeak ? 2 : 0)
            guard quoted.utf8.count >= 2, quoted.hasPrefix("\""), quoted.hasSuffix("\"") else {
                throw HTTPRefusal(Refusal(.badRequest, "\(name): expected \"SEQ\" in quotation marks, found \(tag)."))
            }
            // A tag that is not a number is well-formed and matches nothing.
            if !(isWeak && isStrong), let seq = UInt64(quoted.dropFirst().dropLast()), seq > 0 { seqs.append(seq) }
        }
        return .seqs(seqs)
    }

    /// Whether a client that got the value with the date `seconds` has seen `message`.
    private static func hasSeen(_ message: Message, at seconds: Int64) -> Bool {
        let begun = message.time / 1000
        return begun < seconds || begun == seconds && ServedValues.all.isOnly(message)
    }

    // MARK: Reading

    /// The outcome of reading `message`.
    func outcome(ofReading message: Message) -> Outcome {
        switch match {
        case .seqs(let seqs) where !seqs.contains(message.number): return .fails
        default: break
        }
        if let unmodifiedSince, !Self.hasSeen(message, at: unmodifiedSince) { return .fails }
        switch noneMatch {
        case .any: return .isFresh
        case .seqs(let seqs): return seqs.contains(message.number) ? .isFresh : .go
        case nil: break
        }
        return modifiedSince.map { Self.hasSeen(message, at: $0) } ?? false ? .isFresh : .go
    }

    // MARK: Writing

    /// The condition for a publication.
    ///
    /// - Parameter current: returns the present retained value; the condition is checked when the publication gets its
    ///   number.
    func ofPublishing(_ current: () throws(Refusal) -> Message?) throws(Refusal) -> Draft.Condition {
        switch (match, noneMatch) {
        case (.any, _): return .matches(Self.anySeq)
        case (.seqs(let seqs), _): return Self.one(of: seqs)
        case (nil, .any): return .absent
        case (nil, .seqs): throw Refusal(.badRequest, "If-None-Match: expected * for a publication.")
        case (nil, nil): break
        }
        guard let unmodifiedSince else { return .none }
        // RFC 9110 §13.1.4: a missing value was not modified.
        guard let message = try current() else { return .absent }
        return Self.unmodified(message, since: unmodifiedSince)
    }

    /// The condition for a removal; see also ``ofPublishing(_:)``.
    func ofRemoving(_ current: () throws(Refusal) -> Message?) throws(Refusal) -> Draft.Condition {
        switch (match, noneMatch) {
        case (.any, _): return .present
        case (.seqs(let seqs), _): return Self.one(of: seqs)
        case (nil, .any):
            // A value to remove cannot be absent.
            guard let message = try current() else { return .present }
            throw Refusal(.conflict, "\(message.topic) has a retained value, with seq \(message.number).")
        case (nil, .seqs): throw Refusal(.badRequest, "If-None-Match: expected * for a removal.")
        case (nil, nil): break
        }
        guard let unmodifiedSince, let message = try current() else { return .present }
        return Self.unmodified(message, since: unmodifiedSince)
    }

    /// Any value, expressed as an empty list.
    private static let anySeq: [UInt64] = []

    /// No value, because numbers begin with 1.
    ///
    /// A condition that cannot hold is refused after the body is read, so that the connection stays usable.
    private static let noSeq: [UInt64] = [0]

    /// An empty list would mean any value.
    private static func one(of seqs: [UInt64]) -> Draft.Condition { .matches(seqs.isEmpty ? noSeq : seqs) }

    private static func unmodified(_ message: Message, since seconds: Int64) -> Draft.Condition {
        .matches(hasSeen(message, at: seconds) ? [message.number] : noSeq)
    }
}

/// The values that were served in the same second in which they were published.
///
/// Several values may be published in one second, with the same date, and a client with that date may have any of them.
/// A value that is served later gets the date of the next second, when it was still current. Any thread.
final class ServedValues: Sendable {
    private struct Place: Hashable {
        let topic: Topic
        let second: Int64
    }

    private struct State {
        /// The number of the value that was served; 0 if several were.
        var seqs: [Place: UInt64] = [:]
        /// This second and earlier ones were forgotten.
        var forgotten = Int64.min
    }

    /// The instance of the process.
    static let all = ServedValues()
    private static let maximum = 1024
    private let state = Mutex(State())

    /// The `Last-Modified` of a value that is served now, in Unix seconds.
    func dateToShow(_ message: Message) -> Int64 {
        let (second, now) = (message.time / 1000, WallClock.unixMilliseconds / 1000)
        guard now <= second else { return second + 1 }
        state.withLock { state in
            if state.seqs.count >= Self.maximum { (state.seqs, state.forgotten) = ([:], now) }
            guard second > state.forgotten else { return }
            let place = Place(topic: message.topic, second: second)
            state.seqs[place] = state.seqs[place].map { $0 == message.number ? $0 : 0 } ?? message.number
        }
        // RFC 9110 §8.8.2.1: not later than the response, even if the clock was set back.
        return min(second, now)
    }

    /// Whether `message` is the only value that was served with its date.
    func isOnly(_ message: Message) -> Bool {
        state.withLock { $0.seqs[Place(topic: message.topic, second: message.time / 1000)] == message.number }
    }
}
