internal import WSTransport

/// The expired values that have been announced, and wait for the messages that remove them.
///
/// Only a few are announced at a time, so that many values that expire together do not delay other publications. A
/// value that is not removed, because its message was refused or the store takes no writes, is announced again after
/// some time, which grows while nothing is removed.
struct ExpiryAnnouncements {
    /// How many values may be announced and not yet removed.
    static let maximum = 256
    /// The time after which a value is announced again, in nanoseconds: at first, and at most.
    private static let patience: (first: Int64, last: Int64) = (1_000_000_000, 64_000_000_000)

    /// The numbers of values that have been announced.
    private var announced: Set<UInt64> = []
    private var patience = Self.patience.first
    private var again = MonotonicTime(nanoseconds: 0)

    /// When to look for expired values; no later than `latest`.
    func deadline(_ store: any MessageStore, before latest: MonotonicTime) -> MonotonicTime {
        let next = store.nextExpiry
        if next == .max { return latest }
        let now = Lifetime.now
        if next <= now { return announced.isEmpty ? .now : min(again, latest) }
        // At most a second from now: a later time in nanoseconds could overflow.
        return min(MonotonicTime.now.advanced(byNanoseconds: min(next - now, 1000) * 1_000_000), latest)
    }

    /// Takes the values that must be announced now.
    ///
    /// - Parameter hasRemoved: whether messages that remove expired values have just been stored, or failed.
    mutating func due(
        in store: any MessageStore, hasRemoved: @autoclosure () -> Bool, now: MonotonicTime
    ) -> [ExpiredValue] {
        let time = Lifetime.now
        guard store.nextExpiry <= time else {
            if !announced.isEmpty { self = ExpiryAnnouncements() }
            return []
        }
        guard announced.isEmpty || now >= again || hasRemoved() else { return [] }
        guard let found = try? store.expired(by: time, atMost: Self.maximum) else {
            // The store cannot be read now.
            announced.insert(0)
            wait(from: now)
            return []
        }
        let left = announced.intersection(found.lazy.map(\.seq))
        if left.count < announced.count || announced.isEmpty {
            (announced, patience) = (left, Self.patience.first)
        } else if now >= again {
            announced = []
            patience = min(patience * 2, Self.patience.last)
        }
        let new = found.filter { $0.isGone || !announced.contains($0.seq) }
        announced.formUnion(new.lazy.filter { !$0.isGone }.map(\.seq))
        if !new.isEmpty { wait(from: now) }
        return new
    }

    private mutating func wait(from now: MonotonicTime) { again = now.advanced(byNanoseconds: patience) }
}
