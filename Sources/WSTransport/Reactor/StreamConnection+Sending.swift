extension StreamConnection {
    /// Sends `bytes` at the end of the turn.
    package func send(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, unsafe !bytes.isEmpty else { return }
        reactor.send(unsafe reactor.encode(lane: 0, bytes), to: slot)
    }

    /// Sends `bytes` at the end of the turn.
    package func send(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe send($0) } }

    /// The socket took everything of this turn: next time it is sent to without asking this connection.
    func tookAll() {
        if isOpen, tls == nil { reactor.setDescriptor(rawDescriptor, of: slot) }
        finishIfFlushed()
    }
}
