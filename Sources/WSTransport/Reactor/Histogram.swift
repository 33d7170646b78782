internal import Synchronization

/// A histogram with a few steps; one thread writes, any reads.
package final class Histogram: Sendable {
    /// The content of a histogram, at approximately one moment.
    package struct Reading: Equatable, Sendable {
        /// For each step, how many were no larger; the last: how many there were.
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
    private let counters: [Box]
    private let sum = Atomic<Int>(0)

    package init(bounds: [Int]) {
        self.bounds = bounds
        counters = (0...bounds.count).map { _ in Box() }
    }

    /// Counts one.
    package func add(_ value: Int) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        counters[index].value.add(1, ordering: .relaxed)
        sum.add(value, ordering: .relaxed)
    }

    package var reading: Reading {
        var reading = Reading(sum: sum.load(ordering: .relaxed))
        var total = 0
        for counter in counters {
            total += counter.value.load(ordering: .relaxed)
            reading.counts.append(total)
        }
        return reading
    }
}

/// An array holds no value that cannot be copied.
private final class Box: Sendable {
    let value = Atomic<Int>(0)
}
