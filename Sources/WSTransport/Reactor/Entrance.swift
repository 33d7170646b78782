/// What a listener checks and does for each connection before anything is read, whatever the protocol.
///
/// `Refusal` is what the protocol's driver tells a refused client.
package struct Entrance<Refusal> {
    /// Called for each connection; the driver sends a returned refusal, or the connection is reset if many are being
    /// refused.
    package var admit: (SocketAddress?) -> Refusal? = { _ in nil }
    /// Whether a client is banned: its connection is reset, even if there is room.
    package var isShutOut: (SocketAddress?) -> Bool = { _ in false }
    /// Whether a peer is a trusted proxy, which must send a PROXY header that names its client; `nil` if no header is
    /// expected.
    package var isProxy: ((SocketAddress?) -> Bool)?
    /// How long such a header may take to arrive, in nanoseconds.
    package var proxyPatience: Int64 = 10_000_000_000
    /// Descriptors from this number on are reserved; connections that get one are reset or refused.
    package var firstReservedDescriptor = Int32.max
    /// The refusal for a client whose connection got a reserved descriptor; `nil`: its connection is reset.
    package var refuseReserved: (_ descriptor: Int32, SocketAddress?) -> Refusal? = { _, _ in nil }
    /// Whether its connections stay open when memory is short.
    package var isSpared = false
    /// Called at once for each admitted connection; returns a function to call when it has ended, or `nil`.
    package var ending: (SocketAddress?) -> (() -> Void)? = { _ in nil }
    /// The maximum of unsent bytes that the kernel may hold for one connection; `nil`: not limited here.
    package var maximumUnsentInKernel: Int?
    /// The context for TLS; `nil`: no TLS.
    package var tls: TLSContext?
    /// The response to a client that does not speak TLS although TLS is expected.
    package var plainAnswer: [UInt8] = []

    /// Admits every client.
    package init() {}

    /// How many connections of a reactor may be open only to be told why they are refused.
    private var maximumRefused: Int { 16 }

    /// Decides what to do with an accepted connection.
    ///
    /// Called on the reactor's thread, in ``Reactor/listen(on:isShared:welcome:)``.
    ///
    /// - Parameter makeDriver: gets the connection, and the refusal that it must send, if any.
    /// - Returns: a function that makes the driver; `nil`: the connection is reset.
    func welcome(
        _ descriptor: Int32, from peer: SocketAddress?, counters: ReactorCounters,
        _ makeDriver: @escaping (StreamConnection, Refusal?) -> any StreamDriver
    ) -> ((StreamConnection) -> any StreamDriver)? {
        guard descriptor < firstReservedDescriptor else {
            counters.refusedForDescriptors.add(1)
            // The client behind a proxy is not known yet.
            guard isProxy == nil, !isShutOut(peer), counters.refusedOpen.current < maximumRefused,
                let refusal = refuseReserved(descriptor, peer)
            else { return nil }
            return { stream in seat(stream, refusal, makeDriver) }
        }
        guard let isProxy else {
            if isShutOut(peer) { return nil }
            let refusal = admit(peer)
            if refusal != nil, counters.refusedOpen.current >= maximumRefused { return nil }
            return { stream in seat(stream, refusal, makeDriver) }
        }
        guard isProxy(peer) else {
            counters.refusedNonProxies.add(1)
            return nil
        }
        return { stream in
            ProxyPreface(stream, patience: proxyPatience) { stream in
                if isShutOut(stream.peer) { return nil }
                let refusal = admit(stream.peer)
                if refusal != nil, counters.refusedOpen.current >= maximumRefused { return nil }
                return seat(stream, refusal, makeDriver)
            }
        }
    }

    /// Makes the driver of a connection whose client is known.
    private func seat(
        _ stream: StreamConnection, _ refusal: Refusal?,
        _ makeDriver: (StreamConnection, Refusal?) -> any StreamDriver
    ) -> any StreamDriver {
        stream.isSpared = isSpared
        if refusal != nil {
            stream.isRefused = true
        } else if let ended = ending(stream.peer) {
            stream.onClosed = ended
        }
        if let maximumUnsentInKernel, stream.peer?.path == nil {
            Socket.setUnsentLimit(stream.rawDescriptor, bytes: maximumUnsentInKernel)
        }
        if let tls, !stream.secure(asServer: tls, plainAnswer: plainAnswer) { stream.reset() }
        return makeDriver(stream, refusal)
    }
}
