internal import Synchronization
package import WSTransport

/// The level of the log: that of the configuration, or for a time an administrator's.
///
/// Any thread.
package final class LogThreshold: Sendable {
    /// The levels at one moment.
    package struct State: Sendable, Equatable {
        /// The configuration's level.
        package var configured: Settings.Log.Level
        /// An administrator's level; `nil` if the configuration's is in force.
        fileprivate(set) package var chosen: Settings.Log.Level?
        /// When the administrator's level ends; `nil` if it lasts until the next reload.
        fileprivate(set) package var end: MonotonicTime?
        /// How many times an administrator has set a level, and the last one; `nil` if there was none.
        fileprivate(set) package var choices = 0
        fileprivate(set) package var last: Settings.Log.Level?

        /// The level in force.
        package var level: Settings.Log.Level { chosen ?? configured }
    }

    private let state: Mutex<State>

    /// Creates a threshold at the configuration's level.
    package init(_ configured: Settings.Log.Level) { state = Mutex(State(configured: configured)) }

    /// The levels in force.
    package func state(at now: MonotonicTime = .now) -> State {
        state.withLock { state in
            if let end = state.end, end <= now { (state.chosen, state.end) = (nil, nil) }
            return state
        }
    }

    /// Sets an administrator's level.
    ///
    /// - Parameter seconds: the duration; `nil` if it lasts until the next reload.
    func choose(_ level: Settings.Log.Level, seconds: Int64?, at now: MonotonicTime = .now) {
        state.withLock { state in
            state.chosen = level
            state.last = level
            state.choices += 1
            state.end = seconds.map { now.advanced(byNanoseconds: $0 * 1_000_000_000) }
        }
    }

    /// Sets the configuration's level after a reload, and ends the administrator's.
    package func adopt(_ configured: Settings.Log.Level) {
        state.withLock { state in
            state.configured = configured
            (state.chosen, state.end) = (nil, nil)
        }
    }
}

extension LogLevelRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let threshold = caller.desk.facts.logThreshold
        guard let level else {
            guard seconds == nil else { throw Refusal(.badRequest, "seconds: expected together with level.") }
            return then(.success(Answer(threshold)))
        }
        guard let chosen = Settings.Log.Level(rawValue: level) else {
            throw Refusal(.badRequest, "level: expected error, warning, info or debug.")
        }
        if let seconds, !(1...Self.longest).contains(seconds) {
            throw Refusal(.badRequest, "seconds: expected 1 to \(Self.longest).")
        }
        threshold.choose(chosen, seconds: seconds)
        then(.success(Answer(threshold)))
    }

    var subject: String? {
        guard let level else { return nil }
        return seconds.map { "\(level) for \($0) s" } ?? level
    }
}

extension LogLevelRequest.Answer {
    fileprivate init(_ threshold: LogThreshold) {
        let now = MonotonicTime.now
        let state = threshold.state(at: now)
        let left = state.end.map { $0.nanoseconds(since: now) / 1_000_000 }
        self.init(
            level: state.level.rawValue, configured: state.configured.rawValue,
            until: left.map { WallClock.unixMilliseconds + $0 })
    }
}
