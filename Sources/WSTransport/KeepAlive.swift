/// How an unresponsive peer is detected.
///
/// A PING is sent when the peer has been silent for ``interval``. If nothing arrives within ``timeout`` after that, the
/// connection is ended. Any received byte counts as a response.
public struct KeepAlive: Equatable, Sendable {
    /// How long the peer may be silent before a PING is sent.
    public var interval: Duration
    /// How long the peer may stay silent after the PING before the connection is ended.
    public var timeout: Duration

    /// Creates a configuration; by default a PING after 25 s, and the end 10 s later.
    public init(interval: Duration = .seconds(25), timeout: Duration = .seconds(10)) {
        self.interval = interval
        self.timeout = timeout
    }
}
