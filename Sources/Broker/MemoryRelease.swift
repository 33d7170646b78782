internal import WSTransport

/// Tells when a crowd of clients has gone for good, whose memory the system may have back.
///
/// What connections have freed stays with the process: after 8,000 clients with TLS these are 129 MB, all but 8 of which go back in
/// 28 ms, during which other threads wait for memory of the same arena. So it is done once for a crowd, and only when it has
/// stayed away longer than those do who reconnect.
struct MemoryRelease {
    /// How many connections have to be gone, at least half of all.
    static let minimum = 1000
    /// For how long, in nanoseconds.
    static let patience: Int64 = 60_000_000_000

    /// The most connections there were since memory was given back.
    private var most = 0
    /// Since when it is known that a crowd is gone; `nil`: none is.
    private var goneSince: MonotonicTime?

    /// Whether it has gone for good, to be asked now and then; the next `true` is about another crowd.
    mutating func isDue(connections: Int, now: MonotonicTime) -> Bool {
        most = max(most, connections)
        guard most - connections >= Self.minimum, connections <= most / 2 else {
            goneSince = nil
            return false
        }
        guard let since = goneSince else {
            goneSince = now
            return false
        }
        guard now.nanoseconds(since: since) >= Self.patience else { return false }
        most = connections
        goneSince = nil
        return true
    }
}
