extension StreamConnection {
    /// Where the peer has connected to; asks the system.
    package var localAddress: SocketAddress? { Socket.localAddress(rawDescriptor) }

    /// Runs `body` as well when the connection is gone.
    func onEnd(_ body: @escaping () -> Void) {
        let before = onClosed
        onClosed = {
            before?()
            body()
        }
    }
}
