/// A histogram with a few steps; one thread writes, any reads.
package final class Histogram: Sendable {
    /// The content of a histogram, at approximately one moment.
    package struct Reading: Equatable, Sendable {
        /// For each step, how many values were no larger; the last entry: how many there were.
        package var counts: [Int] = []
        package var sum = 0

        package init(counts: [Int] = [], sum: Int = 0) { (self.counts, self.sum) = (counts, sum) }

        /// Adds what another histogram with the same steps has counted.
        package mutating func add(_ other: Self) {
            for (index, count) in other.counts.enumerated() where index < counts.count { counts[index] += count }
            sum += other.sum
        }
    }

    /// The steps' upper bounds, rising.
    package let bounds: [Int]
    /// The counter of the first step, which nearly all values are in for some histograms.
    private let first = Counter()
    private let lowest: Int
    /// The counters of the other steps, and of larger values.
    private let others: [Box]
    private let sum = Counter()

    package init(bounds: [Int]) {
        self.bounds = bounds
        lowest = bounds.first ?? .max
        others = bounds.map { _ in Box() }
    }

    /// Counts a value.
    @inline(__always)
    package func add(_ value: Int) {
        sum.add(value)
        if value <= lowest { first.add(1) } else { addHigher(value) }
    }

    @inline(never)
    private func addHigher(_ value: Int) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        others[index - 1].value.add(1)
    }

    package var reading: Reading {
        var total = first.current
        var reading = Reading(counts: [total], sum: sum.current)
        for counter in others {
            total += counter.value.current
            reading.counts.append(total)
        }
        return reading
    }
}

/// A class, because an array cannot hold a value that cannot be copied.
private final class Box: Sendable {
    let value = Counter()
}
