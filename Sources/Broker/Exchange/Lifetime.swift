internal import Synchronization
internal import WSTransport

/// The lifetimes of values, and the clock for their expiry.
///
/// The clock shows Unix time when the process starts, and then follows the monotonic clock. So a jump of the system's
/// clock while the broker runs makes no value expire early or late. In a cluster it follows the time of the log
/// (``LogClock``), so that values expire alike at all brokers, whatever their clocks show. Any thread.
package enum Lifetime {
    private static let start = (wall: WallClock.unixMilliseconds, monotonic: MonotonicTime.now)

    private static let log = Mutex(LogClock())
    /// By how much the time of a log is ahead of the monotonic clock, in milliseconds; `.min`: there is no log.
    private static let logOffset = Atomic<Int64>(.min)

    private static var monotonicMilliseconds: Int64 { MonotonicTime.now.nanoseconds / 1_000_000 }

    /// A log that several brokers read, whose time counts from now on, was at `time`, in Unix milliseconds.
    package static func follow(logTime time: Int64) {
        let now = monotonicMilliseconds
        logOffset.store(log.withLock { $0.offset(time, at: now) }, ordering: .relaxed)
    }

    /// Unix milliseconds, without jumps of the system's clock since the start.
    package static var now: Int64 {
        let offset = logOffset.load(ordering: .relaxed)
        if offset != .min { return offset &+ monotonicMilliseconds }
        let start = start
        return start.wall &+ MonotonicTime.now.nanoseconds(since: start.monotonic) / 1_000_000
    }

    /// Converts a time to live that clients give in seconds, above 0 and up to a hundred years, to milliseconds.
    package static func milliseconds(seconds: Double) throws(Refusal) -> Int64 {
        guard seconds > 0, seconds <= 3_155_760_000 else {
            throw Refusal(
                .badRequest, "ttl: expected seconds above 0 and up to 3155760000, found \(text(seconds: seconds)).")
        }
        return max(1, Int64((seconds * 1000).rounded()))
    }

    /// A number of seconds as a client writes it: a whole one without a fraction.
    static func text(seconds: Double) -> String { Int64(exactly: seconds).map(String.init) ?? "\(seconds)" }
}
