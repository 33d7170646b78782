/// What a listener asks and does about each connection before anything is read, whatever protocol is spoken.
///
/// `Refusal` is what the protocol's driver tells a client that is refused.
package struct Entrance<Refusal> {
    /// Called for each connection; a refusal is told by the driver, or resets the connection if many are being refused.
    package var admit: (SocketAddress?) -> Refusal? = { _ in nil }
    /// Whether a client is not wanted at all: its connection is reset, whatever there is room for.
    package var isShutOut: (SocketAddress?) -> Bool = { _ in false }
    /// Whether a peer is a proxy that says by a PROXY header which client it stands for, as all here have to; `nil`: no
    /// header is expected.
    package var isProxy: ((SocketAddress?) -> Bool)?
    /// How long such a header may take, in nanoseconds.
    package var proxyPatience: Int64 = 10_000_000_000
    /// Descriptors from this number on are reserved; connections that get one are reset, or refused.
    package var firstReservedDescriptor = Int32.max
    /// What a client is told whose connection got a reserved descriptor; `nil`: nothing, its connection is reset.
    package var refuseReserved: (_ descriptor: Int32, SocketAddress?) -> Refusal? = { _, _ in nil }
    /// Whether its connections stay open when memory is short.
    package var isSpared = false
    /// Asked for each admitted connection, at once: what is called when it has ended; `nil`: nothing.
    package var ending: (SocketAddress?) -> (() -> Void)? = { _ in nil }
    /// Unsent bytes that the kernel may hold for one connection; `nil`: no limit of ours.
    package var maximumUnsentInKernel: Int?
    /// The context for TLS; `nil`: no TLS.
    package var tls: TLSContext?
    /// The answer to a client that does not speak TLS if TLS is expected.
    package var plainAnswer: [UInt8] = []

    /// Everybody may come in.
    package init() {}

    /// How many connections of a reactor may be open only to be told why they are refused.
    private var maximumRefused: Int { 16 }

    /// Decides about a connection that was accepted.
    ///
    /// The reactor's thread, in ``Reactor/listen(on:isShared:welcome:)``.
    ///
    /// - Parameter makeDriver: gets the connection, and the refusal that it is to tell.
    /// - Returns: what makes the driver; `nil`: the connection is reset.
    func welcome(
        _ descriptor: Int32, from peer: SocketAddress?, counters: ReactorCounters,
        _ makeDriver: @escaping (StreamConnection, Refusal?) -> any StreamDriver
    ) -> ((StreamConnection) -> any StreamDriver)? {
        guard descriptor < firstReservedDescriptor else {
            counters.refusedForDescriptors.add(1)
            // A proxy's client is not known yet.
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
