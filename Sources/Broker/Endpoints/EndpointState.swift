package import WSTransport

/// What the endpoints go by; replaced as a whole by a reload.
package struct EndpointSettings {
    /// Of sockets whose messages are payloads.
    package var socketOptions: WebSocketConnection.Options
    /// Of sockets whose messages hold payloads within JSON.
    package var objectOptions: WebSocketConnection.Options
    /// The same for clients that have yet to say who they are.
    package var unauthenticatedOptions: WebSocketConnection.Options
    /// Of administrators' sockets.
    package var adminOptions: WebSocketConnection.Options
    /// The pages that may ask, and the names that are answered to.
    package var origins: OriginPolicy
    package var hosts: HostRule
    /// Whose word about clients is believed.
    package var trustedProxies: [Settings.TrustedProxy]
    /// Silence after which a client is asked for a sign of life, in seconds; 0: never.
    package var keepaliveSeconds: Int

    package init(
        socketOptions: WebSocketConnection.Options, objectOptions: WebSocketConnection.Options,
        unauthenticatedOptions: WebSocketConnection.Options, adminOptions: WebSocketConnection.Options,
        origins: OriginPolicy, hosts: HostRule,
        trustedProxies: [Settings.TrustedProxy] = [], keepaliveSeconds: Int
    ) {
        self.socketOptions = socketOptions
        self.objectOptions = objectOptions
        self.unauthenticatedOptions = unauthenticatedOptions
        self.adminOptions = adminOptions
        self.origins = origins
        self.hosts = hosts
        self.trustedProxies = trustedProxies
        self.keepaliveSeconds = keepaliveSeconds
    }
}

/// What the endpoints of one reactor have in common, beside its shard.
///
/// Runs on the reactor's thread.
package final class EndpointState {
    // Every request looks at it a few times, and each look would be checked for a change that is under way: it is one step.
    @exclusivity(unchecked) private var current: EndpointSettings
    package var settings: EndpointSettings {
        get { unsafe current }
        set {
            unsafe current = newValue
            version += 1
            compression.options = newValue.socketOptions.values.compression
        }
    }
    /// How often ``settings`` was replaced, for those who keep what they made of it.
    private(set) var version = 0
    /// Where a damaged store was moved when the broker started; `nil`: it was in order.
    package var movedAside: String?
    /// Where people at browsers log in; `nil`: nowhere.
    var sessions: SessionDesk?
    /// The forms of its messages.
    package let forms: Forms
    private let compression: DeflatedForm.Compression

    /// Where its clients come from, as they say.
    var sources = ClientSources()

    /// The gates by which those with a session have come, by the names of their listeners.
    var gates: [String: Gate] = [:]

    /// Whether what a peer says about clients is believed.
    package func trusts(_ peer: SocketAddress?) -> Bool {
        let proxies = settings.trustedProxies
        return !proxies.isEmpty && proxies.contains(host: peer?.path == nil ? peer?.host : nil)
    }

    /// What is left of the frames that had more commands than one turn has time for, by their connections' slots.
    private(set) var unfinishedFrames: [UInt32: UnfinishedFrame] = [:]

    package init(on shard: Shard, settings: EndpointSettings) {
        unsafe current = settings
        compression = DeflatedForm.Compression(settings.socketOptions.values.compression)
        forms = Forms(on: shard, compression: compression)
    }

    /// Keeps what is left of a frame, until it is done or its client leaves.
    func keep(_ frame: UnfinishedFrame, of slot: UInt32) { unfinishedFrames[slot] = frame }

    /// The frame of that slot is done, if there was one.
    func forgetFrame(of slot: UInt32) {
        if unfinishedFrames.isEmpty { return }
        unfinishedFrames[slot] = nil
    }
}

extension Shard {
    /// What its endpoints have in common, which is kept with its reactor from the start.
    package var endpoints: EndpointState {
        guard let state = reactor[EndpointState.self] else { preconditionFailure("a shard without endpoints") }
        return state
    }
}
