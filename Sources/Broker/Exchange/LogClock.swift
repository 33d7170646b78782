/// The time of a log, as estimated by a reader: the latest time in its records of the last one or two minutes, plus the
/// time that has passed since.
///
/// A record arrives a little after the log has accepted it, so the record with the smallest delay counts. Older records
/// are forgotten, because clocks run at different speeds.
struct LogClock: Sendable {
    private var window: (begin: Int64, most: Int64)?
    private var before: Int64?

    /// How long a record counts at least, in milliseconds.
    private static let length: Int64 = 60_000

    /// How far the log's time is ahead of this broker's clock, when a record of `time` arrives at `now`; all in
    /// milliseconds.
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
