/// What becomes of messages that a subscriber is too slow for.
///
/// Where a history rule keeps them, the store brings them later, whatever the policy; but who wants the latest only is
/// not shown what came in between.
package enum SlowPolicy: String, Sendable, CaseIterable {
    /// The connection is closed.
    case close
    /// The oldest of those that wait are dropped, and announced by a gap.
    case dropOldest = "drop-oldest"
    /// Of those that wait, only the newest of each topic is sent, and the others announced by a gap.
    case latest
}

/// A point in the order of messages, as somebody from outside names it: `SEQ`, or `EPOCH-SEQ`.
package struct ResumePoint: Equatable, Sendable {
    /// ``NumberStore/epoch`` of the store it is about; `nil`: not said.
    package var epoch: UInt64?
    /// Everything up to this number is known.
    package var seq: UInt64

    package init(epoch: UInt64? = nil, seq: UInt64) {
        self.epoch = epoch
        self.seq = seq
    }

    /// `nil` where `text` is neither.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, let last = parts.last, let seq = Self.number(last) else { return nil }
        self.seq = seq
        guard parts.count == 2 else { return }
        guard let epoch = Self.number(parts[0]) else { return nil }
        self.epoch = epoch
    }

    /// Digits only: `UInt64` would take a sign.
    private static func number(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? UInt64(text) : nil
    }
}

/// How somebody wants to subscribe.
package struct SubscribeOptions: Sendable {
    /// Wants the retained values first; with ``since`` those that are newer and that no history brings.
    package var wantsSnapshot = true
    /// Gets what its own connection publishes.
    package var hearsItself = true
    /// Wants what came after this point first; `nil`: only what is to come.
    package var since: ResumePoint?
    package var slow = SlowPolicy.close
    /// Wants nothing live: it ends with what comes first.
    package var isPoll = false

    package init() {}

    /// Whether something comes before the live messages, so that the marker comes after it.
    var hasBeginning: Bool { wantsSnapshot || since != nil }
}

/// Messages that match a filter and were not delivered, and will not be.
package struct Gap: Equatable, Sendable {
    /// They come after this number.
    package var since: UInt64
    /// They end with this one.
    package var seq: UInt64
    /// How many; `nil`: not known.
    package var missed: Int?

    package init(since: UInt64, seq: UInt64, missed: Int?) {
        self.since = since
        self.seq = seq
        self.missed = missed
    }

    /// Up to which number nothing more can be lost of what comes after `start`; 0: some of it is not in the gap.
    func end(from start: UInt64) -> UInt64 { since <= start ? seq : 0 }

    /// Makes it one with another.
    mutating func merge(_ other: Gap) {
        since = min(since, other.since)
        seq = max(seq, other.seq)
        missed = missed.flatMap { mine in other.missed.map { mine + $0 } }
    }
}
