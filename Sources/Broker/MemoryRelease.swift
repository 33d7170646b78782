internal import WSTransport

/// Decides when many clients have gone permanently, so that their memory can be returned to the system.
///
/// Memory that connections have freed stays with the process: after 8,000 clients with TLS it is 129 MB. Returning all
/// but 8 MB of it takes 28 ms, during which other threads wait for memory of the same arena. So it is done once after
/// many clients have gone, and only when they have stayed away longer than clients that reconnect.
struct MemoryRelease {
    /// How many connections must have ended; at least half of all must have, too.
    static let minimum = 1000
    /// How long they must have been gone, in nanoseconds.
    static let patience: Int64 = 60_000_000_000

    /// The maximum number of connections since memory was last returned.
    private var most = 0
    /// Since when that many have been gone; `nil` if they are not.
    private var goneSince: MonotonicTime?

    /// Whether to return memory now; called every few seconds, and `true` once after each departure of many clients.
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
