/// Counts of latencies, within 1.6 % of each value, from a microsecond to hours.
package struct LatencyHistogram: Sendable {
    /// The number of steps in each power of two.
    private static let pieces = 64
    private var counts = [Int](repeating: 0, count: 40 * pieces)
    /// How many latencies were recorded.
    package private(set) var count = 0
    /// The largest one, in microseconds.
    package private(set) var maximum: Int64 = 0

    package init() {}

    /// Records a latency, in nanoseconds.
    package mutating func record(nanoseconds: Int64) {
        let microseconds = max(0, nanoseconds / 1000)
        counts[Self.index(microseconds)] += 1
        count += 1
        maximum = max(maximum, microseconds)
    }

    /// The latency that `fraction` of all do not exceed, in microseconds; 0 if there are none.
    package func quantile(_ fraction: Double) -> Int64 {
        let wanted = max(1, Int((Double(count) * fraction).rounded(.up)))
        var seen = 0
        for index in counts.indices {
            seen += counts[index]
            if seen >= wanted { return min(maximum, Self.highest(of: index)) }
        }
        return maximum
    }

    private static func index(_ value: Int64) -> Int {
        guard value >= Int64(pieces) else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - 6
        return min((shift + 1) * pieces + Int(value >> Int64(shift)) - pieces, 40 * pieces - 1)
    }

    private static func highest(of index: Int) -> Int64 {
        guard index >= pieces else { return Int64(index) }
        let shift = index / pieces - 1
        return (Int64(index % pieces + pieces) + 1) << Int64(shift) - 1
    }
}
