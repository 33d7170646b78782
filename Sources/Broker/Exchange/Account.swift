internal import Synchronization
package import WSTransport

/// A number of something per period, saved up for one period at most.
package struct Rate: Sendable, Hashable {
    package var count: Int
    /// In milliseconds.
    package var period: Int

    package init(_ count: Int, perMilliseconds period: Int = 1000) {
        self.count = count
        self.period = period
    }
}

/// What is left of a rate, for all reactors: one atomic number, refilled every 100 ms.
///
/// Any thread.
package struct Allowance: ~Copyable, Sendable {
    /// In fractions, so that what a slow rate earns in 100 ms is not lost.
    private static let parts = 1 << 16
    private static let tick: Int64 = 100_000_000
    private let left = Atomic<Int>(0)
    /// The 100 ms in which it was filled last; -1: never.
    private let filled = Atomic<Int64>(-1)

    package init() {}

    /// Takes `count`, if that many are left; a count above the rate takes everything, if it is full.
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
        // No more is saved than one period earns.
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

/// What one address or one user uses up, over all reactors.
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
    /// Until when no credentials are examined, as monotonic nanoseconds, and how long the last such time was.
    let blockedUntil = Atomic<Int64>(0)
    let lastBlock = Atomic<Int64>(0)

    /// Raises a number by one, if it is below a limit.
    static func enter(_ number: borrowing Atomic<Int>, below most: Int?) -> Bool {
        let count = number.wrappingAdd(1, ordering: .relaxed).newValue
        guard let most, count > most else { return true }
        number.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// Whether it holds nothing now that must be given back.
    var isIdle: Bool {
        connections.load(ordering: .relaxed) == 0 && subscriptions.load(ordering: .relaxed) == 0
    }
}

/// The accounts of addresses, or of users: a bounded number, of which those not in use make room for others.
struct AccountTable<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        let key: Key
        var account: Account
        /// Whether it was used since the clock's hand last passed it.
        var isRecent = true
    }

    private let capacity: Int
    private var places: [Key: Int] = [:]
    private var entries: [Entry] = []
    private var hand = 0

    init(capacity: Int = 65_536) { self.capacity = capacity }

    var count: Int { entries.count }

    /// The account of a key; `nil`: all accounts are in use, so there is no room.
    mutating func account(of key: Key) -> Account? {
        if let place = places[key] {
            entries[place].isRecent = true
            return entries[place].account
        }
        let account = Account()
        if entries.count < capacity {
            places[key] = entries.count
            entries.append(Entry(key: key, account: account))
            return account
        }
        // In the second round no account is recent.
        for _ in 0..<2 * capacity {
            let place = hand
            hand = (hand + 1) % capacity
            if entries[place].isRecent {
                entries[place].isRecent = false
                continue
            }
            guard isKnownUniquelyReferenced(&entries[place].account), entries[place].account.isIdle else { continue }
            places[entries[place].key] = nil
            places[key] = place
            entries[place] = Entry(key: key, account: account)
            return account
        }
        return nil
    }
}
