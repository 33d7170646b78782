/// The latest time at which a turn of the event loop returns.
struct Alarm {
    /// The earliest time that is set, in nanoseconds of the monotonic clock; `nil` if there is none.
    private var next: Int64?

    /// Whether an alarm at `time` must be set, because no earlier one is set.
    mutating func set(_ time: Int64) -> Bool {
        if let next, next <= time { return false }
        next = time
        return true
    }

    /// The alarm at `time` has gone off.
    mutating func rang(_ time: Int64) { if next == time { next = nil } }
}
