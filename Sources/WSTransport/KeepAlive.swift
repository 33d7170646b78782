/// How a silent peer is detected: a PING after ``interval``, and the end of the connection ``timeout`` later.
///
/// Any received byte is a sign of life.
public struct KeepAlive: Equatable, Sendable {
    /// Silence after which a PING is sent.
    public var interval: Duration
    /// Silence after the PING after which the peer is considered dead.
    public var timeout: Duration

    /// By default 25 s of silence, and 10 s more.
    public init(interval: Duration = .seconds(25), timeout: Duration = .seconds(10)) {
        self.interval = interval
        self.timeout = timeout
    }
}
