package import WSTransport

/// One connected client: who it is, for administrators and for messages' origins.
///
/// Runs on its reactor's thread.
package final class Client {
    /// Unique in this process, never 0.
    package let id: UInt64
    package let identity: Identity
    package let address: String
    /// The way in, such as `broker.v1.json`, `topic`, `events`.
    package let protocolName: String
    /// Unix milliseconds.
    package let connectedAt: Int64
    private var bucket = RateLimit()

    package init(
        id: UInt64, identity: Identity, address: String, protocolName: String, connectedAt: Int64
    ) {
        self.id = id
        self.identity = identity
        self.address = address
        self.protocolName = protocolName
        self.connectedAt = connectedAt
    }

    /// Its name in texts: the number in base 36.
    package var name: String { String(id, radix: 36) }

    /// Whether one more publication is within the rate that holds now; `nil`: unlimited.
    package func mayPublish(perSecond rate: Int?, now: @autoclosure () -> MonotonicTime) -> Bool {
        guard let rate else { return true }
        return bucket.take(perSecond: rate, now: now())
    }
}

/// So many a second, saved up for one second at most.
package struct RateLimit {
    private var tokens = 0.0
    private var last: MonotonicTime?

    package init() {}

    /// Takes one, if there is one.
    ///
    /// - Parameter rate: what is earned a second, and the most that is saved; it may be another one each time.
    package mutating func take(perSecond rate: Int, now: MonotonicTime) -> Bool {
        let most = Double(max(0, rate))
        let earned = last.map { max(0, Double(now.nanoseconds(since: $0)) / 1e9 * most) }
        tokens = min(most, tokens + (earned ?? most))
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
