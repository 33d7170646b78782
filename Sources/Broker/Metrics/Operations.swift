internal import Synchronization
internal import WSTransport

/// What was last done to the broker, and how long its certificates hold.
///
/// Any thread.
package final class Operations: Sendable {
    /// A reload that has ended.
    struct Reload {
        let isSuccessful: Bool
        /// When it ended, in Unix milliseconds.
        let time: Int64
    }

    /// A shutdown that was asked for.
    package struct Drain: Sendable {
        /// The administrator.
        package let actor: String
        /// Over which time clients are told to come back, in milliseconds; `nil`: as the settings say.
        package let retrySpread: Int?
    }

    private struct State {
        var lastReload: Reload?
        var lastBackup: Int64?
        var drain: Drain?
        var certificateSeconds: @Sendable () -> Int? = { nil }
    }

    private let state = Mutex(State())

    package init() {}

    /// `nil`: there was none since the start.
    var lastReload: Reload? { state.withLock { $0.lastReload } }

    /// When a backup was last complete, in Unix milliseconds; `nil`: there was none since the start.
    var lastBackup: Int64? { state.withLock { $0.lastBackup } }

    /// When the first certificate ends, in Unix seconds; `nil`: there are none.
    var certificateEnd: Int64? {
        let secondsLeft = state.withLock { $0.certificateSeconds }
        return secondsLeft().map { WallClock.unixMilliseconds / 1000 + Int64($0) }
    }

    /// The shutdown that an administrator has asked for; `nil`: none has.
    package var drain: Drain? {
        get { state.withLock { $0.drain } }
        set { state.withLock { $0.drain = newValue } }
    }

    /// A reload has ended.
    ///
    /// - Parameter isSuccessful: whether what was read holds now.
    package func reloaded(isSuccessful: Bool) {
        state.withLock { $0.lastReload = Reload(isSuccessful: isSuccessful, time: WallClock.unixMilliseconds) }
    }

    /// A backup is complete.
    package func backedUp() { state.withLock { $0.lastBackup = WallClock.unixMilliseconds } }

    /// Asks `seconds` from now on how long the certificates of all listeners still hold.
    package func watchCertificates(_ seconds: @escaping @Sendable () -> Int?) {
        state.withLock { $0.certificateSeconds = seconds }
    }
}
