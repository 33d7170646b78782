internal import Synchronization

/// What became of JSON Web Tokens, and how old the keys are that they are judged by: for metrics.
///
/// Any thread.
package final class JWTFigures: Sendable {
    private struct State {
        var keys: [JWTKeys] = []
        var outcomes: [JWTRejection?: UInt64] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Tells of these keys from now on.
    package func adopt(_ keys: [JWTKeys]) { state.withLock { $0.keys = keys } }

    /// Counts a token that was judged; `nil`: it was right.
    func count(_ outcome: JWTRejection?) { state.withLock { $0.outcomes[outcome, default: 0] += 1 } }

    /// How often tokens were right, under `nil`, and how often they were refused and why; remembered ones do not count.
    package var outcomes: [JWTRejection?: UInt64] { state.withLock { $0.outcomes } }

    /// Seconds since the keys of each issuer with an address were fetched; those of which there never were any are left out.
    package var ages: [(issuer: String, seconds: Int64)] {
        state.withLock { $0.keys }.compactMap { keys in keys.age.map { (keys.issuer, $0) } }
    }
}
