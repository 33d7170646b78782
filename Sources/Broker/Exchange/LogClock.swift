/// The time of a log as a reader of it sees it: the largest that it has been shown in the last minute or two, and what has passed
/// since.
///
/// A record comes a little after the log has taken it, so of several the earliest counts. One that is older than that is
/// forgotten: the clocks do not run equally fast.
struct LogClock: Sendable {
    private var window: (begin: Int64, most: Int64)?
    private var before: Int64?

    /// In milliseconds.
    private static let length: Int64 = 60_000

    /// By how much the log's time is ahead of this broker's clock, when a record of `time` comes at `now`; all in milliseconds.
    mutating func offset(_ time: Int64, at now: Int64) -> Int64 {
        let offset = time &- now
        guard let window, now &- window.begin < Self.length else {
            (before, window) = (window?.most, (now, offset))
            return max(offset, before ?? offset)
        }
        self.window?.most = max(window.most, offset)
        return max(window.most, offset, before ?? offset)
    }
}
