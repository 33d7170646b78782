internal import Synchronization
internal import WSTransport

/// Who may come in: the limits on connections, over all reactors.
///
/// Any thread.
final class Door: Sendable {
    private let figures: Figures
    private let perAddress = Mutex<[String: Int]>([:])

    init(figures: Figures) { self.figures = figures }

    /// What a listener's connections are served by, from the shard's present settings.
    func settings(for shard: Shard, pathPrefix: String) -> HTTPSettings {
        var settings = HTTPSettings(shard.settings)
        settings.pathPrefix = pathPrefix
        settings.makeRefusal = Endpoints.refusal
        settings.standardFields = Reception.standardFields
        settings.isDraining = { [unowned shard] in shard.isDraining }
        let limits = shard.settings.limits
        settings.admit = { [self] peer in admit(peer, limits) }
        if limits.connectionsPerAddress != nil {
            settings.connectionClosed = { [self] peer in leave(peer) }
        }
        return settings
    }

    private func admit(_ peer: SocketAddress?, _ limits: Settings.Limits) -> HTTPRefusal? {
        var refusal: Refusal?
        // The one that asks is among them already.
        if figures.admitted > limits.connections {
            refusal = Refusal(.unavailable, "The limit of \(limits.connections) connections is reached.")
        }
        if refusal == nil, let most = limits.connectionsPerAddress, !enter(peer, most) {
            refusal = Refusal(.limitExceeded, "The limit of \(most) connections from one address is reached.")
        }
        guard let refusal else { return nil }
        figures.countRefused()
        return HTTPRefusal(refusal)
    }

    private func enter(_ peer: SocketAddress?, _ most: Int) -> Bool {
        // All that come by a path have no address, and would share one place.
        if peer?.path != nil { return true }
        return perAddress.withLock { counts in
            let count = counts[peer?.host ?? "", default: 0]
            guard count < most else { return false }
            counts[peer?.host ?? ""] = count + 1
            return true
        }
    }

    private func leave(_ peer: SocketAddress?) {
        if peer?.path != nil { return }
        perAddress.withLock { counts in
            let count = counts[peer?.host ?? "", default: 0] - 1
            counts[peer?.host ?? ""] = count > 0 ? count : nil
        }
    }
}
