public import Synchronization

/// A number that one thread changes and any thread reads: a plain load and store, no locked instruction.
@usableFromInline package struct Counter: ~Copyable, Sendable {
    @usableFromInline let value = Atomic<Int>(0)

    package init() {}

    /// Adds to it.
    ///
    /// The owning thread only.
    @inlinable package func add(_ amount: Int) {
        value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Sets it.
    ///
    /// The owning thread only.
    package func set(_ amount: Int) { value.store(amount, ordering: .relaxed) }

    /// Its value a moment ago.
    ///
    /// Any thread.
    package var current: Int { value.load(ordering: .relaxed) }
}

/// What a reactor counts; written on its thread, read on any.
package final class ReactorCounters: Sendable {
    /// Sockets open now.
    package let connections = Counter()
    package let accepted = Counter()
    /// Open sockets that were refused and only wait for their answer.
    package let refusedOpen = Counter()
    /// Sockets that were reset or refused because the remaining descriptors are reserved.
    package let refusedForDescriptors = Counter()
    /// Sockets that were reset because a proxy's header was expected: of peers that are no such proxy, and of those that
    /// sent none, or not in time.
    package let refusedNonProxies = Counter()
    package let badProxyHeaders = Counter()
    package let receivedBytes = Counter()
    /// What clients have sent and is not processed yet, and what they have not taken, in bytes of memory.
    package let heldBytes = Counter()
    /// What connections were given to send, in bytes, but for what TLS adds.
    package let sentBytes = Counter()
    /// Times the kernel was given something to send.
    package let sends = Counter()
    /// 1: it sends by io_uring.
    package let rings = Counter()
    /// How long turns took, in nanoseconds: what came meanwhile waited as long.
    package let lag = Histogram(bounds: [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000].map { $0 * 1_000_000 })
    /// HTTP answers by the first digit of their status, but for those of 1xx.
    private let done = Counter()
    private let redirected = Counter()
    private let faulty = Counter()
    private let failed = Counter()
    /// Times accepting paused because descriptors or memory ran out.
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
    /// Peers evicted because they answered no PING.
    package let evicted = Counter()
    /// Peers closed because they did not take what was sent.
    package let slowReaders = Counter()
    /// WebSockets ended because a message was not complete in time.
    package let messageTimeouts = Counter()
    /// Times a connection waited for the next turn because one had inflated enough.
    package let inflatePauses = Counter()
    /// Connections ended because all of them together held too much.
    package let shed = Counter()
    /// WebSockets ended because the peer broke the protocol or a limit.
    package let protocolErrors = Counter()

    package init() {}
}

extension ReactorCounters {
    /// Counts an answer.
    func answered(_ status: Int) {
        switch status {
        case ..<300: done.add(1)
        case ..<400: redirected.add(1)
        case ..<500: faulty.add(1)
        default: failed.add(1)
        }
    }

    /// How many answers had a status that begins with this digit; 1: those that began a WebSocket.
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
