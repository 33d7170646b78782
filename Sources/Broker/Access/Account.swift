internal import Synchronization
package import WSTransport

/// A number of events per period; at most one period's worth can be saved up.
package struct Rate: Sendable, Hashable {
    package var count: Int
    /// In milliseconds.
    package var period: Int

    package init(_ count: Int, perMilliseconds period: Int = 1000) {
        self.count = count
        self.period = period
    }
}

/// The remaining part of a rate, shared by all reactors: one atomic number, refilled every 100 ms.
///
/// Any thread.
package struct Allowance: ~Copyable, Sendable {
    /// The fractions of one event, so that a slow rate loses nothing by rounding every 100 ms.
    private static let parts = 1 << 16
    private static let tick: Int64 = 100_000_000
    private let left = Atomic<Int>(0)
    /// The number of the 100 ms interval of the last refill; -1 if there was none.
    private let filled = Atomic<Int64>(-1)

    package init() {}

    /// Takes `count` if that much is left; a count above the rate takes everything if nothing is missing.
    package borrowing func take(_ count: Int, of rate: Rate, now: MonotonicTime) -> Bool {
        let most = rate.count.multipliedClamped(by: Self.parts)
        refill(rate, most, now)
        let wanted = min(count.multipliedClamped(by: Self.parts), most)
        guard left.wrappingSubtract(wanted, ordering: .relaxed).newValue < 0 else { return true }
        left.wrappingAdd(wanted, ordering: .relaxed)
        return false
    }

    private borrowing func refill(_ rate: Rate, _ most: Int, _ now: MonotonicTime) {
        let tick = now.nanoseconds / Self.tick
        let last = filled.load(ordering: .relaxed)
        guard tick > last, filled.compareExchange(expected: last, desired: tick, ordering: .relaxed).exchanged else {
            return
        }
        guard last >= 0 else { return left.store(most, ordering: .relaxed) }
        // At most one period's worth is saved up.
        let milliseconds = min(Int(clamping: tick - last).multipliedClamped(by: 100), rate.period)
        let earned = Int((Double(most) * Double(milliseconds) / Double(rate.period)).rounded(.up))
        var present = left.load(ordering: .relaxed)
        while true {
            let (exchanged, original) = left.compareExchange(
                expected: present, desired: min(most, present + min(earned, most)), ordering: .relaxed)
            if exchanged { return }
            present = original
        }
    }
}

extension Int {
    fileprivate func multipliedClamped(by other: Int) -> Int {
        let (product, isTooMuch) = multipliedReportingOverflow(by: other)
        return isTooMuch ? .max / 4 : Swift.min(product, .max / 4)
    }
}

/// The resources that one address or one user uses, over all reactors.
///
/// Any thread.
package final class Account: Sendable {
    let connections = Atomic<Int>(0)
    let subscriptions = Atomic<Int>(0)
    let arrivals = Allowance()
    let publishes = Allowance()
    let bytes = Allowance()
    /// The rate of wrong credentials.
    let failures = Allowance()
    /// The monotonic time in nanoseconds until which no credentials are checked, and the length of the last such pause.
    let blockedUntil = Atomic<Int64>(0)
    let lastBlock = Atomic<Int64>(0)

    /// Increments a counter if it is below a limit; `nil` for no limit.
    static func enter(_ number: borrowing Atomic<Int>, below most: Int?) -> Bool {
        let count = number.wrappingAdd(1, ordering: .relaxed).newValue
        guard let most, count > most else { return true }
        number.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// Whether the account holds no connections or subscriptions.
    var isIdle: Bool {
        connections.load(ordering: .relaxed) == 0 && subscriptions.load(ordering: .relaxed) == 0
    }
}

/// The accounts of addresses or of users: a bounded number, in which unused ones make room for new ones.
///
/// The CLOCK algorithm finds the entry to replace, in a bounded number of steps. If every entry that it passes is in
/// use, one of them is replaced nevertheless: clients that hold its account keep it and give back to it, and later
/// clients of the same key start with a new account. So no client is without limits, and none is refused.
struct AccountTable<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        let key: Key
        var account: Account
        /// Whether the entry was used since the clock's hand last passed it.
        var isRecent = true
    }

    private let capacity: Int
    private var places: [Key: Int] = [:]
    private var entries: [Entry] = []
    private var hand = 0
    /// The maximum number of entries that the hand passes for one new key.
    private static var reach: Int { 64 }

    init(capacity: Int = 65_536) { self.capacity = capacity }

    var count: Int { entries.count }

    /// The account of a key; `nil` if the table has none.
    mutating func known(_ key: Key) -> Account? {
        guard let place = places[key] else { return nil }
        entries[place].isRecent = true
        return entries[place].account
    }

    /// The account of a key, created if the table has none.
    mutating func account(of key: Key) -> Account {
        if let account = known(key) { return account }
        let entry = Entry(key: key, account: Account())
        if entries.count < capacity {
            places[key] = entries.count
            entries.append(entry)
        } else {
            let place = makeRoom()
            places[entries[place].key] = nil
            places[key] = place
            entries[place] = entry
        }
        return entry.account
    }

    /// The index of the entry to replace: an unused one, else the first that was not used lately.
    private mutating func makeRoom() -> Int {
        var quiet: Int?
        for _ in 0..<min(Self.reach, 2 * capacity) {
            let place = hand
            hand = (hand + 1) % capacity
            if entries[place].isRecent {
                entries[place].isRecent = false
                continue
            }
            if isKnownUniquelyReferenced(&entries[place].account), entries[place].account.isIdle { return place }
            quiet = quiet ?? place
        }
        if let quiet { return quiet }
        defer { hand = (hand + 1) % capacity }
        return hand
    }
}
