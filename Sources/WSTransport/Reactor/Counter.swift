public import Synchronization

/// A number that one thread changes and any thread reads, by a plain load and store without a locked instruction.
@usableFromInline package struct Counter: ~Copyable, Sendable {
    @usableFromInline let value = Atomic<Int>(0)

    package init() {}

    /// Adds to it.
    ///
    /// Only on the owning thread.
    @inlinable package func add(_ amount: Int) {
        value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Sets it.
    ///
    /// Only on the owning thread.
    package func set(_ amount: Int) { value.store(amount, ordering: .relaxed) }

    /// Its value a moment ago.
    ///
    /// Any thread.
    package var current: Int { value.load(ordering: .relaxed) }
}

/// The counters of a reactor; written on its thread, read on any.
package final class ReactorCounters: Sendable {
    /// Sockets open now.
    package let connections = Counter()
    package let accepted = Counter()
    /// Open sockets that were refused and wait only for their answer.
    package let refusedOpen = Counter()
    /// Sockets that were reset or refused because the remaining descriptors are reserved.
    package let refusedForDescriptors = Counter()
    /// Sockets that were reset because a proxy's header was expected: from peers that are not a trusted proxy, and from
    /// those that sent none, or not in time.
    package let refusedNonProxies = Counter()
    package let badProxyHeaders = Counter()
    package let receivedBytes = Counter()
    /// The memory of clients' input that is not processed yet, and of output that they have not taken, in bytes.
    package let heldBytes = Counter()
    /// The bytes that connections were given to send, without what TLS adds.
    package let sentBytes = Counter()
    /// How often the kernel was given something to send.
    package let sends = Counter()
    /// 1 if it sends by io_uring.
    package let rings = Counter()
    /// How long turns took, in nanoseconds; anything that arrived meanwhile waited as long.
    package let lag = Histogram(bounds: [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000].map { $0 * 1_000_000 })
    /// HTTP responses by the first digit of their status, except 1xx.
    private let done = Counter()
    private let redirected = Counter()
    private let faulty = Counter()
    private let failed = Counter()
    /// How often accepting paused because descriptors or memory ran out.
    package let acceptPauses = Counter()
    /// TLS handshakes that succeeded, and those that failed.
    package let tlsHandshakes = Counter()
    package let tlsFailures = Counter()
    /// TLS handshakes in the pool, and those for which it had no room.
    package let tlsWaiting = Counter()
    package let tlsRefused = Counter()
    /// Requests with a complete head.
    package let requests = Counter()
    package let badRequests = Counter()
    package let requestTimeouts = Counter()
    /// WebSockets open now.
    package let webSockets = Counter()
    /// Opening handshakes that ended with 101, and those that were refused.
    package let upgrades = Counter()
    package let refusedUpgrades = Counter()
    package let messagesReceived = Counter()
    package let pingsSent = Counter()
    /// Peers evicted because they did not answer a PING.
    package let evicted = Counter()
    /// Peers closed because they did not take what they were sent.
    package let slowReaders = Counter()
    /// WebSockets ended because a message was not complete in time.
    package let messageTimeouts = Counter()
    /// How often a connection waited for the next turn because enough had been inflated in this one.
    package let inflatePauses = Counter()
    /// Connections closed because all together used too much memory.
    package let shed = Counter()
    /// WebSockets ended because the peer violated the protocol or a limit.
    package let protocolErrors = Counter()

    package init() {}
}

extension ReactorCounters {
    /// Counts a response.
    func answered(_ status: Int) {
        switch status {
        case ..<300: done.add(1)
        case ..<400: redirected.add(1)
        case ..<500: faulty.add(1)
        default: failed.add(1)
        }
    }

    /// How many responses had a status that begins with this digit; 1: those that opened a WebSocket.
    package func answers(ofClass digit: Int) -> Int {
        switch digit {
        case 1: upgrades.current
        case 2: done.current
        case 3: redirected.current
        case 4: faulty.current
        default: failed.current
        }
    }
}
