internal import Synchronization
internal import WSTransport

/// The last operations on the broker, and the expiry of its certificates.
///
/// Any thread.
package final class Operations: Sendable {
    /// A finished reload.
    struct Reload {
        let isSuccessful: Bool
        /// When it ended, in Unix milliseconds.
        let time: Int64
    }

    /// A requested shutdown.
    package struct Drain: Sendable {
        /// The administrator that requested it.
        package let actor: String
        /// The time over which clients are told to spread their reconnects, in milliseconds; `nil` for the default.
        package let retrySpread: Int?
    }

    private struct State {
        var lastReload: Reload?
        var lastBackup: Int64?
        var drain: Drain?
        var certificateSeconds: @Sendable () -> Int? = { nil }
        var cluster: @Sendable () -> ClusterReading? = { nil }
    }

    private let state = Mutex(State())

    package init() {}

    /// The last reload; `nil` if there was none since the start.
    var lastReload: Reload? { state.withLock { $0.lastReload } }

    /// When the last complete backup ended, in Unix milliseconds; `nil` if there was none since the start.
    var lastBackup: Int64? { state.withLock { $0.lastBackup } }

    /// When the first certificate expires, in Unix seconds; `nil` if there are no certificates.
    var certificateEnd: Int64? {
        let secondsLeft = state.withLock { $0.certificateSeconds }
        return secondsLeft().map { WallClock.unixMilliseconds / 1000 + Int64($0) }
    }

    /// The shutdown that an administrator has requested; `nil` if none was requested.
    package var drain: Drain? {
        get { state.withLock { $0.drain } }
        set { state.withLock { $0.drain = newValue } }
    }

    /// Records a finished reload.
    ///
    /// - Parameter isSuccessful: whether the new settings are in force.
    package func reloaded(isSuccessful: Bool) {
        state.withLock { $0.lastReload = Reload(isSuccessful: isSuccessful, time: WallClock.unixMilliseconds) }
    }

    /// Records a complete backup.
    package func backedUp() { state.withLock { $0.lastBackup = WallClock.unixMilliseconds } }

    /// The figures of the cluster; `nil` without a cluster.
    var cluster: ClusterReading? { state.withLock { $0.cluster }() }

    /// Sets the source of the figures of the cluster.
    package func watchCluster(_ reading: @escaping @Sendable () -> ClusterReading?) {
        state.withLock { $0.cluster = reading }
    }

    /// Sets the source of the seconds until the first certificate of a listener expires.
    package func watchCertificates(_ seconds: @escaping @Sendable () -> Int?) {
        state.withLock { $0.certificateSeconds = seconds }
    }
}
