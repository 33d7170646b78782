/// One deadline for each connection, set and found in constant time.
///
/// Time is divided into ticks of 100 ms; a deadline is in the bucket of its tick, modulo the number of buckets, in a
/// doubly linked list threaded through one array of nodes (16 bytes a connection). Advancing visits only the buckets
/// that are due, and waiting only those that are not empty. A deadline further away than one round (102 s) is visited
/// early, found not due and left for its round. A live connection sets its deadline once an interval, not once a byte.
@safe struct TimerWheel: ~Copyable {
    static let tick: Int64 = 100_000_000
    private static let bucketCount = 1024
    private static let none: Int32 = -1

    private struct Node {
        var next = TimerWheel.none
        var previous = TimerWheel.none
        /// In ticks; 0 if not set.
        var deadline: Int64 = 0
    }

    private var heads = [Int32](repeating: none, count: bucketCount)
    /// A bit for each bucket that is not empty.
    private var occupied = [UInt64](repeating: 0, count: bucketCount / 64)
    private var nodes: [Node] = []
    private var currentTick: Int64
    private(set) var count = 0

    init(now: MonotonicTime) { currentTick = now.nanoseconds / Self.tick }

    /// Sets the deadline of `id`, replacing an earlier one; it fires at `deadline` or up to a tick later.
    mutating func set(_ id: UInt32, at deadline: MonotonicTime) {
        while nodes.count <= Int(id) { nodes.append(Node()) }
        cancel(id)
        let tick = max(currentTick + 1, deadline.nanoseconds / Self.tick + 1)
        let bucket = Int(tick % Int64(Self.bucketCount))
        let head = heads[bucket]
        nodes[Int(id)] = Node(next: head, previous: Self.none, deadline: tick)
        if head != Self.none { nodes[Int(head)].previous = Int32(truncatingIfNeeded: id) }
        heads[bucket] = Int32(truncatingIfNeeded: id)
        occupied[bucket / 64] |= 1 << UInt64(bucket % 64)
        count += 1
    }

    /// Removes the deadline of `id`, if it has one.
    mutating func cancel(_ id: UInt32) {
        guard Int(id) < nodes.count, nodes[Int(id)].deadline != 0 else { return }
        let node = nodes[Int(id)]
        if node.previous == Self.none {
            let bucket = Int(node.deadline % Int64(Self.bucketCount))
            heads[bucket] = node.next
            if node.next == Self.none { occupied[bucket / 64] &= ~(1 << UInt64(bucket % 64)) }
        } else {
            nodes[Int(node.previous)].next = node.next
        }
        if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
        nodes[Int(id)] = Node()
        count -= 1
    }

    /// Advances to `now` and returns the connections whose deadlines have passed; these are no longer set.
    ///
    /// If there are more than `limit`, the rest is left for the next call, and ``millisecondsToNextTick(from:)`` is 0.
    mutating func advance(to now: MonotonicTime, atMost limit: Int = .max) -> [UInt32] {
        let target = now.nanoseconds / Self.tick
        guard target > currentTick else { return [] }
        guard count > 0 else {
            currentTick = target
            return []
        }
        var due: [UInt32] = []
        var reached = target
        // After a long stall every bucket is checked once, not once for each missed round.
        let start = max(currentTick + 1, target - Int64(Self.bucketCount) + 1)
        search: for tick in start...target {
            var id = heads[Int(tick % Int64(Self.bucketCount))]
            while id != Self.none {
                let node = nodes[Int(id)]
                if node.deadline <= target {
                    guard due.count < limit else {
                        reached = tick - 1
                        break search
                    }
                    due.append(UInt32(truncatingIfNeeded: id))
                }
                id = node.next
            }
        }
        for id in due { cancel(id) }
        currentTick = reached
        return due
    }

    /// Milliseconds until the next tick with a deadline; 0 if it has passed; `nil` if no deadline is set.
    func millisecondsToNextTick(from now: MonotonicTime) -> Int32? {
        guard count > 0 else { return nil }
        let next = (currentTick + 1 + distanceToOccupied()) * Self.tick
        return Int32(clamping: max(0, (next - now.nanoseconds + 999_999) / 1_000_000))
    }

    /// The distance of the first bucket that is not empty from the bucket of the next tick; there must be one.
    private func distanceToOccupied() -> Int64 {
        let first = Int(truncatingIfNeeded: currentTick &+ 1) & (Self.bucketCount - 1)
        let before: UInt64 = (1 &<< UInt64(first & 63)) &- 1
        let words = occupied.span
        // The first word is searched twice: first from the bucket on, and at last the part before it.
        for step in 0...words.count {
            let bits = words[(first &>> 6 &+ step) & (Self.bucketCount / 64 - 1)]
            let wanted = bits & (step == 0 ? ~before : step == words.count ? before : ~0)
            if wanted != 0 { return Int64(step &* 64 &+ wanted.trailingZeroBitCount &- (first & 63)) }
        }
        return 0
    }
}
