/// How an unresponsive peer is detected: by a PING after ``interval``, and the end of the connection ``timeout`` later.
///
/// Any received byte counts as a response.
public struct KeepAlive: Equatable, Sendable {
    /// The idle time after which a PING is sent.
    public var interval: Duration
    /// How long the peer may stay silent after the PING.
    public var timeout: Duration

    /// Creates a configuration; by default 25 s, and 10 s more.
    public init(interval: Duration = .seconds(25), timeout: Duration = .seconds(10)) {
        self.interval = interval
        self.timeout = timeout
    }
}
