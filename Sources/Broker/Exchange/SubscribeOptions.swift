/// What happens to messages for which a subscriber is too slow.
///
/// If a history rule keeps them, the store delivers them later, whatever the policy. A subscriber that wants only the
/// latest does not get the ones in between.
package enum SlowPolicy: String, Sendable, CaseIterable {
    /// The connection is closed.
    case close
    /// The oldest waiting messages are dropped, and announced by a gap.
    case dropOldest = "drop-oldest"
    /// Of the waiting messages, only the newest of each topic is sent, and the others are announced by a gap.
    case latest
}

/// A position in the form that clients write: `SEQ`, or `EPOCH-SEQ`; with several logs a number for each,
/// `EPOCH-0:SEQ,1:SEQ`.
package struct ResumePoint: Equatable, Sendable {
    /// The ``NumberStore/epoch`` of its store; `nil` if not given.
    package var epoch: UInt64?
    /// The client has everything up to this number.
    package var seq: UInt64
    /// The number of each of several logs, in place of ``seq``; `nil`: there is one.
    package var parts: [UInt64]?

    package init(epoch: UInt64? = nil, seq: UInt64) {
        self.epoch = epoch
        self.seq = seq
    }

    /// The length of the longest position, with a number for each of the most logs, in bytes.
    private static let maximumLength = 32 << 10

    /// `nil` if `text` has neither form.
    package init?(_ text: String) {
        // A client may send a text as long as a frame.
        guard text.utf8.count <= Self.maximumLength else { return nil }
        let parts = Self.pieces(text[...], UInt8(ascii: "-"), atMost: 3)
        guard parts.count <= 2, let last = parts.last else { return nil }
        if let seq = Self.number(last) {
            self.seq = seq
        } else {
            guard let several = Self.parts(last) else { return nil }
            (seq, self.parts) = (0, several)
        }
        guard parts.count == 2 else { return }
        guard let epoch = Self.number(parts[0]) else { return nil }
        self.epoch = epoch
    }

    /// Cuts a text at a separator, also into empty pieces.
    private static func pieces(_ text: Substring, _ separator: UInt8, atMost most: Int) -> [Substring] {
        text.utf8.split(separator: separator, maxSplits: most - 1, omittingEmptySubsequences: false).map(Substring.init)
    }

    /// Parses `0:SEQ,1:SEQ` and so on.
    private static func parts(_ text: Substring) -> [UInt64]? {
        let texts = pieces(text, UInt8(ascii: ","), atMost: Partitions.maximum + 1)
        guard 2...Partitions.maximum ~= texts.count else { return nil }
        var numbers: [UInt64] = []
        for (partition, text) in texts.enumerated() {
            let pair = pieces(text, UInt8(ascii: ":"), atMost: 3)
            guard pair.count == 2, number(pair[0]) == UInt64(partition), let seq = number(pair[1]) else {
                return nil
            }
            numbers.append(seq)
        }
        return numbers
    }

    /// Accepts digits only: `UInt64` would accept a sign.
    private static func number(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? UInt64(text) : nil
    }
}

/// The options of a subscription.
package struct SubscribeOptions: Sendable {
    /// Whether the retained values come first; with ``since``, only those that are newer and not in the history.
    package var wantsSnapshot = true
    /// Whether the client gets its own publications.
    package var hearsItself = true
    /// The position after which messages are wanted; `nil`: only new ones.
    package var since: ResumePoint?
    /// The part of the history that is wanted if there is no ``since``; `nil`: none.
    package var rewind: Rewind?
    package var slow = SlowPolicy.close
    /// Whether no live messages are wanted: the subscription ends after the retained values and the missed messages.
    package var isPoll = false

    package init() {}

    /// Whether anything comes before the live messages, followed by the marker.
    var hasBeginning: Bool { wantsSnapshot || since != nil || rewind != nil }

    /// Sets ``since`` or ``rewind`` from a `since` as clients write it; `false` if the text is not valid.
    package mutating func setSince(_ text: String) -> Bool {
        (since, rewind) = (ResumePoint(text), nil)
        if since == nil { rewind = Rewind(text) }
        return since != nil || rewind != nil
    }

    /// The valid forms, for the error message about any other text.
    package static var sinceExpectation: String { "expected SEQ, EPOCH-SEQ, -N, a duration such as 10m, all or latest" }
}

/// Messages that match a filter and were not delivered, and will not be.
package struct Gap: Equatable, Sendable {
    /// The number before the first of them.
    package var since: UInt64
    /// The number of the last of them.
    package var seq: UInt64
    /// How many there are; `nil` if not known.
    package var missed: Int?
    /// Whether they had been delivered and are no longer in any log.
    package var isUndone = false

    /// From where to where a gap reaches exactly, in each of several logs.
    package struct Parts: Equatable, Sendable {
        package let since: [UInt64]
        package let seq: [UInt64]
    }

    package init(since: UInt64, seq: UInt64, missed: Int?) {
        self.since = since
        self.seq = seq
        self.missed = missed
    }

    /// The last number of the gap if it covers everything after `start`; 0 if it begins later.
    func end(from start: UInt64) -> UInt64 { since <= start ? seq : 0 }

    /// Merges it with another gap.
    mutating func merge(_ other: Gap) {
        since = min(since, other.since)
        seq = max(seq, other.seq)
        missed = missed.flatMap { mine in other.missed.map { mine + $0 } }
    }
}
