internal import Glibc
internal import WSTransport

/// The result of a run.
package struct LoadReport: Sendable {
    /// Why a run has ended.
    package enum Ending: String, Sendable {
        /// It was complete.
        case done
        /// ``LoadPlan/isInterrupted``.
        case interrupted
        /// Something was due, and nothing arrived for as long as the plan allows.
        case stalled
    }

    package var ending = Ending.done
    /// The version of TLS that was spoken, such as `TLSv1.3`; `nil` without TLS.
    package var tlsVersion: String?
    /// How many connections were opened, and how long it took in nanoseconds: all together, and each from its beginning
    /// until the server was ready for it.
    package var opened = 0
    package var openingNanoseconds: Int64 = 0
    package var openingLatency = LatencyHistogram()
    /// The server's CPU time during that, in nanoseconds; `nil` if it was not measured.
    package var serverOpeningNanoseconds: Int64?
    package var subscribers = 0
    package var publishers = 0
    package var payloadSize = 0
    package var burst = 0
    /// Messages sent, without those of the warm-up.
    package var sent = 0
    /// How many of those arrived at subscribers.
    package var delivered = 0
    /// What should have arrived.
    package var expected = 0
    /// Publications that the server has acknowledged.
    package var acknowledged = 0
    /// Publications whose acknowledgement never arrived.
    package var unacknowledged = 0
    /// Messages that arrived out of order, twice, or with the wrong content.
    package var wrong = 0
    /// From the first message sent to the last one received, in nanoseconds.
    package var nanoseconds: Int64 = 0
    /// The server's CPU time during that, in nanoseconds; `nil` if it was not measured.
    package var serverNanoseconds: Int64?
    /// The server's memory for each connection, in bytes; `nil` if it was not measured.
    package var serverBytesPerConnection: Int?
    package var latency = LatencyHistogram()

    package init() {}

    /// Whether everything that was due arrived: once, complete and in order.
    package var isComplete: Bool {
        delivered == expected && wrong == 0 && unacknowledged == 0 && ending != .stalled
    }

    /// What was expected: deliveries, or acknowledgements if there are no subscribers.
    package var arrivals: Int { subscribers > 0 ? delivered : acknowledged }

    package var arrivalsPerSecond: Double { Double(arrivals) / (Double(max(nanoseconds, 1)) / 1e9) }

    package var openedPerSecond: Double { Double(opened) / (Double(max(openingNanoseconds, 1)) / 1e9) }

    /// The server's CPU time for each connection that was opened, including TLS and its subscription.
    package var serverNanosecondsPerOpening: Double? {
        serverOpeningNanoseconds.map { Double($0) / Double(max(1, opened)) }
    }

    /// The server's CPU time for each delivered message, or for each acknowledged one if there are no subscribers.
    package var serverNanosecondsPerArrival: Double? {
        serverNanoseconds.map { Double($0) / Double(max(1, arrivals)) }
    }
}

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

/// What the kernel knows about a process on this machine.
package enum ProcessTime {
    /// The CPU time that its threads have used so far, in nanoseconds; `nil` if there is no such process.
    ///
    /// Read from each thread's `schedstat`, which is exact; `stat` counts in hundredths of a second.
    package static func used(by process: Int32) -> Int64? {
        let folder = "/proc/\(process)/task"
        guard let directory = unsafe opendir(folder) else { return nil }
        defer { unsafe closedir(directory) }
        var total: Int64 = 0
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Int32(name) != nil, let text = FileDescriptor.text(of: "\(folder)/\(name)/schedstat") else {
                continue
            }
            total += text.split(separator: " ").first.flatMap { Int64($0) } ?? 0
        }
        return total
    }

    /// Its private memory, in bytes; `nil` if there is no such process.
    package static func residentBytes(of process: Int32) -> Int? {
        guard let text = FileDescriptor.text(of: "/proc/\(process)/statm") else { return nil }
        let fields = text.split(separator: " ").compactMap { Int($0) }
        return fields.count > 2 ? (fields[1] - fields[2]) * Int(sysconf(Int32(_SC_PAGESIZE))) : nil
    }
}

/// The progress of a run.
package struct LoadProgress: Sendable, Equatable {
    /// How many connections are open, and how many there will be.
    package let open: Int
    package let connections: Int
    /// Messages that have arrived; `nil` while connections are being opened, and during the warm-up.
    package let arrived: Int?
    /// Messages that will arrive; `nil` if that is not known.
    package let expected: Int?
}
