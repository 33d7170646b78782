public import CoreMetrics
public import WSTransport

/// Records metrics of a server with swift-metrics.
///
/// | label | kind | |
/// |---|---|---|
/// | `websocket_open` | meter | open WebSockets |
/// | `websocket_opened_total` | counter | WebSockets opened |
/// | `websocket_ended_total` | counter, `cause` | WebSockets ended, by `EndReason` |
/// | `websocket_duration_seconds` | timer | how long each was open |
/// | `websocket_behind_total` | counter | how often a client fell behind |
/// | `websocket_evicted_total` | counter | clients closed because they were too slow or did not respond |
/// | `websocket_violations_total` | counter, `code` | violations of the protocol, by close code |
/// | `http_refused_total` | counter, `status` | refused requests |
/// | `http_failed_total` | counter | errors thrown by handlers and closures |
/// | `tls_failed_total` | counter | failed TLS handshakes |
///
/// The prefix `websocket` can be replaced by another one.
public final class MetricsObserver: ServerObserver {
    private let openNow: Meter
    private let openedTotal: CoreMetrics.Counter
    private let endedTotal: [EndReason: CoreMetrics.Counter]
    private let durations: CoreMetrics.Timer
    private let behind: CoreMetrics.Counter
    private let evictedTotal: CoreMetrics.Counter
    private let violationsTotal: @Sendable (CloseCode) -> CoreMetrics.Counter
    private let refusedTotal: @Sendable (Int) -> CoreMetrics.Counter
    private let failedTotal: CoreMetrics.Counter
    private let tlsTotal: CoreMetrics.Counter

    /// - Parameters:
    ///   - prefix: the prefix of the labels for WebSockets.
    ///   - factory: creates the metrics; by default the factory that the program has bootstrapped.
    public init(prefix: String = "websocket", factory: any MetricsFactory = MetricsSystem.factory) {
        openNow = Meter(label: "\(prefix)_open", factory: factory)
        openedTotal = CoreMetrics.Counter(label: "\(prefix)_opened_total", factory: factory)
        let causes = EndReason.allCases.map { cause in
            (
                cause,
                CoreMetrics.Counter(
                    label: "\(prefix)_ended_total", dimensions: [("cause", cause.rawValue)], factory: factory)
            )
        }
        endedTotal = Dictionary(uniqueKeysWithValues: causes)
        durations = CoreMetrics.Timer(label: "\(prefix)_duration_seconds", factory: factory)
        behind = CoreMetrics.Counter(label: "\(prefix)_behind_total", factory: factory)
        evictedTotal = CoreMetrics.Counter(label: "\(prefix)_evicted_total", factory: factory)
        violationsTotal = { code in
            CoreMetrics.Counter(
                label: "\(prefix)_violations_total", dimensions: [("code", "\(code)")], factory: factory)
        }
        refusedTotal = { status in
            CoreMetrics.Counter(label: "http_refused_total", dimensions: [("status", "\(status)")], factory: factory)
        }
        failedTotal = CoreMetrics.Counter(label: "http_failed_total", factory: factory)
        tlsTotal = CoreMetrics.Counter(label: "tls_failed_total", factory: factory)
    }

    /// Updates the counters.
    public func opened(_ socket: ObservedSocket) {
        openNow.increment()
        openedTotal.increment()
    }

    /// Updates the counters.
    public func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
        openNow.decrement()
        endedTotal[end.cause]?.increment()
        durations.recordNanoseconds(Int64(socket.since.duration(to: .now) / .nanoseconds(1)))
    }

    /// Updates the counters.
    public func fellBehind(_ socket: ObservedSocket) { behind.increment() }

    /// Updates the counters.
    public func evicted(_ socket: ObservedSocket, _ reason: String) { evictedTotal.increment() }

    /// Updates the counters.
    public func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String) {
        violationsTotal(code).increment()
    }

    /// Updates the counters.
    public func refused(_ request: RefusedRequest) { refusedTotal(request.status).increment() }

    /// Updates the counters.
    public func failed(_ error: any Error, _ request: ServerRequest) { failedTotal.increment() }

    /// Updates the counters.
    public func tlsFailed(_ reason: String, remoteAddress: String) { tlsTotal.increment() }
}
