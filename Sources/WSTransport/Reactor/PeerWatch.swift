/// Distinguishes a slow peer from a dead one while something is overdue from it.
///
/// A peer that takes bytes, however slowly, is alive. So is one whose TCP answers that it has no room; the limits of
/// its unsent bytes apply. Made only when something is overdue, so that other peers cost nothing. Runs on the reactor's
/// thread.
final class PeerWatch {
    /// When the watch began.
    let began: MonotonicTime
    /// The last known sign of life.
    private(set) var sign: MonotonicTime
    private var acknowledged: UInt64 = 0
    /// When it was last found that bytes had been acknowledged.
    private var moved: MonotonicTime
    /// Whether the peer's TCP had acknowledged everything at the last check.
    private var hadEverything = false

    /// Two measurements of the age of one acknowledgement differ by less than this, in nanoseconds.
    private static let tolerance: Int64 = 50_000_000

    init(since began: MonotonicTime) {
        self.began = began
        sign = began
        moved = began
    }

    /// Whether there was a sign of life since the last one.
    ///
    /// A TCP that has acknowledged everything has the PING, too: its program then gets the usual time for an answer,
    /// once.
    ///
    /// - Parameter limit: how long the peer may take no bytes, in nanoseconds; `nil`: no limit.
    func isAlive(_ stream: StreamConnection, limit: Int64?) -> Bool {
        let now = stream.reactor.now
        guard let progress = SocketProgress(of: stream.rawDescriptor) else {
            guard stream.lastProgress > sign else { return false }
            sign = stream.lastProgress
            return true
        }
        let heard = now.advanced(byNanoseconds: -progress.silence)
        let isFresh = heard.nanoseconds(since: sign) > Self.tolerance
        if stream.isTaken {
            guard isFresh, !hadEverything else { return false }
            hadEverything = true
        } else {
            hadEverything = false
            guard isFresh || !progress.isUnanswered else { return false }
            if progress.acknowledged > acknowledged {
                acknowledged = progress.acknowledged
                moved = now
            } else if let limit, now.nanoseconds(since: moved) >= limit {
                return false
            }
        }
        sign = isFresh ? heard : now
        return true
    }
}

extension StreamConnection {
    /// Bytes that the kernel has accepted and the peer's TCP has not acknowledged.
    package var kernelBytes: Int { ending == .closed ? 0 : Socket.unacknowledged(rawDescriptor) }

    /// The bytes that TCP has received, and those that the peer has acknowledged, since the connection began; `nil` if
    /// it is not a TCP socket.
    package var traffic: (received: Int, sent: Int)? {
        guard let progress = SocketProgress(of: rawDescriptor) else { return nil }
        return (Int(clamping: progress.received), Int(clamping: progress.acknowledged))
    }

    /// Whether the peer's TCP has acknowledged everything.
    var isTaken: Bool { bufferedBytes == 0 && kernelBytes == 0 }

    /// Whether the peer of an ending connection is still taking bytes; if so, it gets the same time again.
    ///
    /// - Parameters:
    ///   - time: the time within which it must take something, in nanoseconds.
    ///   - answers: whether it will answer when it has everything.
    func isStillTaking(within time: Int64, answers: Bool) -> Bool {
        let watch = peerWatch ?? PeerWatch(since: reactor.now.advanced(byNanoseconds: -time))
        guard answers || !isTaken, reactor.now.nanoseconds(since: watch.began) < Self.longestEnd,
            watch.isAlive(self, limit: time)
        else { return false }
        peerWatch = watch
        reactor.setDeadline(reactor.now.advanced(byNanoseconds: time), of: slot)
        return true
    }

    /// The connection is closed after this time in any case, in nanoseconds.
    private static var longestEnd: Int64 { 60_000_000_000 }

    /// The watch of a peer from which something is overdue; `nil` if there is none.
    ///
    /// Kept by the reactor: few connections have one.
    var peerWatch: PeerWatch? {
        get { reactor.watches.isEmpty ? nil : reactor.watches[slot] }
        set { if newValue != nil || !reactor.watches.isEmpty { reactor.watches[slot] = newValue } }
    }
}
