/// How long a client waits before it reconnects: longer after each failure.
public struct Backoff: Equatable, Sendable {
    /// The pause after the first failure.
    public var first: Duration
    /// The longest pause.
    public var longest: Duration
    /// The factor by which each pause is longer than the one before.
    public var factor: Double
    /// The random part of a pause, 0 to 1, so that a server's clients do not all reconnect at once.
    public var jitter: Double

    /// Creates a backoff; by default the pause is half a second, doubles after each failure up to 30 s, and is half
    /// random.
    public init(
        first: Duration = .milliseconds(500), longest: Duration = .seconds(30), factor: Double = 2, jitter: Double = 0.5
    ) {
        self.first = first
        self.longest = longest
        self.factor = factor
        self.jitter = jitter
    }

    /// The pause after this many failures in a row, at least 1.
    func pause(after failures: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        var pause = max(.zero, min(first, longest))
        for _ in 1..<max(1, failures) where pause < longest { pause = min(longest, pause * max(1, factor)) }
        let share = min(1, max(0, jitter))
        return pause * (1 - share * Double.random(in: 0...1, using: &generator))
    }
}

extension WS {
    /// Keeps a WebSocket open for `body`: connects, and reconnects after a pause if the server cannot be reached or the
    /// connection is lost, until `body` returns.
    ///
    /// `body` runs once for each connection. The client reconnects if the server has gone away (1001, 1011 to 1014, or
    /// no Close frame) and `body` then returns, or throws because its socket has ended. The loop ends
    ///
    /// - if `body` returns in any other case, or throws any other error;
    /// - if the server closes with another code;
    /// - if the server refuses for good: with a status of 400 to 499 other than 408, 425 and 429, because it is not a
    ///   WebSocket server, or because its certificate is not accepted;
    /// - if the task is cancelled.
    ///
    /// The error that ended the loop is thrown. The socket is closed in any case.
    ///
    /// - Parameters:
    ///   - url: a `ws://` or `wss://` URL (RFC 6455 §3).
    ///   - options: header fields, TLS, proxy, limits.
    ///   - backoff: the pauses; after a connection that lasted longer than the longest pause, they start over.
    ///   - isolation: the actor on which the closures run; the caller's by default.
    ///   - prepare: called before each attempt with the options, which it may change, and the number of the attempt,
    ///     beginning with 1. It can set a new token, for example.
    ///   - body: called with the open socket and the number of the attempt.
    public static func keepOpen<Outcome>(
        _ url: String, options: ConnectOptions = ConnectOptions(), backoff: Backoff = Backoff(),
        isolation: isolated (any Actor)? = #isolation,
        prepare: (_ options: inout ConnectOptions, _ attempt: Int) async throws -> Void = { _, _ in },
        _ body: (_ socket: WebSocket, _ attempt: Int) async throws -> Outcome
    ) async throws -> Outcome {
        var (attempt, failures) = (0, 0)
        var generator = SystemRandomNumberGenerator()
        while true {
            attempt += 1
            var options = options
            try await prepare(&options, attempt)
            do {
                let socket = try await open(url, options: options)
                let begin = ContinuousClock.now
                do {
                    let outcome = try await body(socket, attempt)
                    guard socket.isLost else {
                        await socket.end(Task.isCancelled ? .goingAway : .normal)
                        return outcome
                    }
                } catch {
                    let isEnd = error is Error && socket.isLost
                    guard isEnd, !Task.isCancelled else {
                        await socket.end(Task.isCancelled ? .goingAway : .internalError)
                        throw error
                    }
                }
                if begin.duration(to: .now) > backoff.longest { failures = 0 }
            } catch let error as HandshakeError where error.mayPass {
                // The next attempt may succeed.
            }
            failures += 1
            try await Task.sleep(for: backoff.pause(after: failures, using: &generator))
        }
    }
}

extension WebSocket {
    /// Whether it has ended in a way that another connection may fix.
    fileprivate var isLost: Bool {
        guard let end = closeEvent else { return false }
        switch end.cause {
        case .lost, .silent, .unanswered: return true
        case .closedByPeer: return [1001, 1011, 1012, 1013, 1014].contains(end.code.rawValue)
        case .closed, .notOpened, .violation, .slow, .terminated: return false
        }
    }
}

extension WS.HandshakeError {
    /// Whether another attempt may succeed.
    fileprivate var mayPass: Bool {
        switch self {
        case .unknownHost, .unreachable, .timedOut, .connectionLost: true
        case .refused(let status, _): status >= 500 || [408, 425, 429].contains(status)
        case .insecure, .aborted, .invalidAnswer, .failed: false
        }
    }
}
