internal import WSTransport

/// The clock that values expire by.
///
/// It shows Unix time when the process starts, and goes on by the monotonic clock. So a jump of the system's clock while
/// the broker runs makes no value expire early or late. Any thread.
package enum Lifetime {
    private static let start = (wall: WallClock.unixMilliseconds, monotonic: MonotonicTime.now)

    /// Unix milliseconds, but for what the system's clock has jumped since the start.
    package static var now: Int64 {
        let start = start
        return start.wall &+ MonotonicTime.now.nanoseconds(since: start.monotonic) / 1_000_000
    }
}
