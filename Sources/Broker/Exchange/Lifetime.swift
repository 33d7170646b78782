internal import WSTransport

/// The clock for the expiry of values.
///
/// It shows Unix time when the process starts, and then follows the monotonic clock. So a jump of the system's clock
/// while the broker runs makes no value expire early or late. Any thread.
package enum Lifetime {
    private static let start = (wall: WallClock.unixMilliseconds, monotonic: MonotonicTime.now)

    /// Unix milliseconds, without jumps of the system's clock since the start.
    package static var now: Int64 {
        let start = start
        return start.wall &+ MonotonicTime.now.nanoseconds(since: start.monotonic) / 1_000_000
    }
}
