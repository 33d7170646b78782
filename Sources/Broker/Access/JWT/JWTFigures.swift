internal import Synchronization

/// Metrics of JSON Web Tokens: how many were verified or rejected, and how old the keys are.
///
/// Any thread.
package final class JWTFigures: Sendable {
    private struct State {
        var keys: [JWTKeys] = []
        var outcomes: [JWTRejection?: UInt64] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Reports on these keys from now on.
    package func adopt(_ keys: [JWTKeys]) { state.withLock { $0.keys = keys } }

    /// Counts a token that was checked; `nil` if it was accepted.
    func count(_ outcome: JWTRejection?) { state.withLock { $0.outcomes[outcome, default: 0] += 1 } }

    /// How many tokens were accepted (key `nil`), and how many rejected for each reason.
    ///
    /// Accepted tokens that were remembered are not counted.
    package var outcomes: [JWTRejection?: UInt64] { state.withLock { $0.outcomes } }

    /// Seconds since the keys of each issuer with a URL were fetched; issuers whose keys were never fetched are left
    /// out.
    package var ages: [(issuer: String, seconds: Int64)] {
        state.withLock { $0.keys }.compactMap { keys in keys.age.map { (keys.issuer, $0) } }
    }
}
