package import WSTransport

/// The settings of the endpoints; a reload replaces all of them at once.
package struct EndpointSettings {
    /// Options of sockets whose messages are the payloads themselves.
    package var socketOptions: WebSocketConnection.Options
    /// Options of sockets whose messages hold payloads within JSON.
    package var objectOptions: WebSocketConnection.Options
    /// Options of such sockets while the client has not authenticated.
    package var unauthenticatedOptions: WebSocketConnection.Options
    /// Options of administrators' sockets.
    package var adminOptions: WebSocketConnection.Options
    /// The origins whose pages may send requests, and the host names that are answered.
    package var origins: OriginPolicy
    package var hosts: HostRule
    /// Proxies whose statements about clients are trusted.
    package var trustedProxies: [Settings.TrustedProxy]
    /// The idle time after which a client is sent a PING, in seconds; 0 disables it.
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

/// The state that all endpoints of one reactor share, besides its shard.
///
/// Runs on the reactor's thread.
package final class EndpointState {
    // Every request reads the settings several times; without the checks of exclusive access, a read is one
    // instruction.
    @exclusivity(unchecked) private var current: EndpointSettings
    package var settings: EndpointSettings {
        get { unsafe current }
        set {
            unsafe current = newValue
            version += 1
            compression.options = newValue.socketOptions.values.compression
        }
    }
    /// The number of times ``settings`` was replaced, for caches of values derived from them.
    private(set) var version = 0
    /// Where a damaged store was moved when the broker started; `nil` if it was intact.
    package var movedAside: String?
    /// The logins of browsers; `nil` if they are not available.
    var sessions: SessionDesk?
    /// The message forms of the reactor.
    package let forms: Forms
    private let compression: DeflatedForm.Compression

    /// The origins and user agents of the clients.
    var sources = ClientSources()

    /// The gates of the reactor's WebSocket clients, by the addresses of their listeners.
    var gates: [String: Gate] = [:]

    /// Whether a peer is a trusted proxy.
    package func trusts(_ peer: SocketAddress?) -> Bool {
        let proxies = settings.trustedProxies
        return !proxies.isEmpty && proxies.contains(host: peer?.path == nil ? peer?.host : nil)
    }

    /// Frames with more commands than fit into one turn, by their connections' slots.
    private(set) var unfinishedFrames: [UInt32: UnfinishedFrame] = [:]

    package init(on shard: Shard, settings: EndpointSettings) {
        unsafe current = settings
        compression = DeflatedForm.Compression(settings.socketOptions.values.compression)
        forms = Forms(on: shard, compression: compression)
    }

    /// Keeps the rest of a frame until it is finished or its client disconnects.
    func keep(_ frame: UnfinishedFrame, of slot: UInt32) { unfinishedFrames[slot] = frame }

    /// Forgets the frame of a slot, if there is one.
    func forgetFrame(of slot: UInt32) {
        if unfinishedFrames.isEmpty { return }
        unfinishedFrames[slot] = nil
    }
}

extension Shard {
    /// The endpoint state, which is set on the reactor when it starts.
    package var endpoints: EndpointState {
        guard let state = reactor[EndpointState.self] else { preconditionFailure("a shard without endpoints") }
        return state
    }
}
