internal import CLinux
internal import Glibc

/// A point on the monotonic clock, in nanoseconds; not affected by changes of the wall clock.
package struct MonotonicTime: Comparable, Hashable, Sendable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static var now: MonotonicTime {
        MonotonicTime(nanoseconds: read(CLOCK_MONOTONIC))
    }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment `nanoseconds` later; saturates at the end of time.
    package func advanced(byNanoseconds nanoseconds: Int64) -> MonotonicTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return MonotonicTime(nanoseconds: overflow ? .max : sum)
    }

    /// Nanoseconds from `earlier` to this moment.
    package func nanoseconds(since earlier: MonotonicTime) -> Int64 { nanoseconds &- earlier.nanoseconds }

    fileprivate static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe _ = clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// The time of day.
package enum WallClock {
    /// Milliseconds since 1970, UTC.
    package static var unixMilliseconds: Int64 { MonotonicTime.read(CLOCK_REALTIME) / 1_000_000 }
}

/// CPU time that this process has used, in nanoseconds.
package func processCPUNanoseconds() -> Int64 { MonotonicTime.read(CLOCK_PROCESS_CPUTIME_ID) }

extension Duration {
    /// In nanoseconds, up to what 64 bits can hold: 292 years.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isBeyond) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return isTooLong || isBeyond ? (seconds < 0 ? .min : .max) : sum
    }
}
