internal import WSTransport

/// The lifetimes of values, and the clock for their expiry.
///
/// The clock shows Unix time when the process starts, and then follows the monotonic clock. So a jump of the system's
/// clock while the broker runs makes no value expire early or late. Any thread.
package enum Lifetime {
    private static let start = (wall: WallClock.unixMilliseconds, monotonic: MonotonicTime.now)

    /// Unix milliseconds, without jumps of the system's clock since the start.
    package static var now: Int64 {
        let start = start
        return start.wall &+ MonotonicTime.now.nanoseconds(since: start.monotonic) / 1_000_000
    }

    /// Converts a time to live that clients give in seconds, above 0 and up to a hundred years, to milliseconds.
    package static func milliseconds(seconds: Double) throws(Refusal) -> Int64 {
        guard seconds > 0, seconds <= 3_155_760_000 else {
            throw Refusal(.badRequest, "ttl: expected seconds above 0 and up to 3155760000, found \(seconds).")
        }
        return max(1, Int64((seconds * 1000).rounded()))
    }
}
