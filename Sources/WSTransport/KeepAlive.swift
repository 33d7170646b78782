/// How a silent peer is found out: by a PING after ``interval``, and its end ``timeout`` later.
///
/// Any byte that comes is a sign of life.
public struct KeepAlive: Equatable, Sendable {
    /// Silence after which a PING is sent.
    public var interval: Duration
    /// Silence after the PING until the peer is taken for dead.
    public var timeout: Duration

    /// 25 s of silence, and 10 s more, where nothing else is said.
    public init(interval: Duration = .seconds(25), timeout: Duration = .seconds(10)) {
        self.interval = interval
        self.timeout = timeout
    }
}
