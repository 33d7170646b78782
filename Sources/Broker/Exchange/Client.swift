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
    private var bucket: RateLimit

    package init(
        id: UInt64, identity: Identity, address: String, protocolName: String, connectedAt: Int64, publishRate: Int?
    ) {
        self.id = id
        self.identity = identity
        self.address = address
        self.protocolName = protocolName
        self.connectedAt = connectedAt
        bucket = RateLimit(perSecond: publishRate)
    }

    /// Its name in texts: the number in base 36.
    package var name: String { String(id, radix: 36) }

    /// Whether one more publication is within its rate.
    package func mayPublish(now: @autoclosure () -> MonotonicTime) -> Bool {
        bucket.isUnlimited || bucket.take(now: now())
    }
}

/// So many a second, saved up for one second at most.
package struct RateLimit {
    /// Below 0: unlimited, so that a client has no optional for it.
    private let perSecond: Int
    private var tokens: Double
    private var last: MonotonicTime?

    /// - Parameter perSecond: `nil`: unlimited.
    package init(perSecond: Int?) {
        self.perSecond = perSecond.map { max(0, $0) } ?? -1
        tokens = Double(max(0, self.perSecond))
    }

    fileprivate var isUnlimited: Bool { perSecond < 0 }

    /// Takes one, if there is one.
    package mutating func take(now: MonotonicTime) -> Bool {
        guard perSecond >= 0 else { return true }
        if let last {
            let earned = Double(now.nanoseconds(since: last)) / 1e9 * Double(perSecond)
            tokens = min(Double(perSecond), tokens + max(0, earned))
        }
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
