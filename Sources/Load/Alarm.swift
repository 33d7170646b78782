/// When a turn of the loop comes back at the latest.
struct Alarm {
    /// The earliest that is set, in nanoseconds of the monotonic clock; `nil`: none.
    private var next: Int64?

    /// Whether one at `time` has to be set, because none comes as soon.
    mutating func set(_ time: Int64) -> Bool {
        if let next, next <= time { return false }
        next = time
        return true
    }

    /// The one of `time` has come.
    mutating func rang(_ time: Int64) { if next == time { next = nil } }
}
