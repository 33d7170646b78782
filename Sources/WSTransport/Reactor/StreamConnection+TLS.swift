extension StreamConnection {
    /// Puts a server's TLS between the socket and the driver; `false` if memory has run out.
    ///
    /// Must be called before the first byte. The driver is not called until there is plaintext.
    ///
    /// - Parameter plainAnswer: the response to a peer that starts with plain text; empty: OpenSSL's alert.
    package func secure(asServer context: TLSContext, plainAnswer: [UInt8]) -> Bool {
        guard let session = TLSSession(server: context, pipe: reactor.tlsPipe) else { return false }
        tls = TLSFilter(session, isClient: false, plainAnswer: plainAnswer)
        reactor.setDescriptor(-1, of: slot)
        return true
    }

    /// Puts a client's TLS between the connected socket and the driver, and begins its handshake; `false` if `host`
    /// cannot be verified, or memory has run out.
    ///
    /// ``StreamDriver/drained()`` is called after the server has been verified to be `host`.
    ///
    /// - Parameter port: identifies the tickets to use and keep, together with `host`; `nil`: none.
    package func secure(asClient context: TLSContext, host: String, port: UInt16?) -> Bool {
        let session = TLSSession(client: context, host: host, pipe: reactor.tlsPipe, port: port)
        guard let session else { return false }
        let filter = TLSFilter(session, isClient: true)
        tls = filter
        reactor.setDescriptor(-1, of: slot)
        filter.start()
        if flushBacklog() { watch() }
        return true
    }

    /// Whether TLS may encrypt the bytes of a turn, because no earlier ones wait.
    var maySeal: Bool {
        unsafe isOpen && !isBroken && segments.isEmpty && backlog.isEmpty && !(tls?.hasUnsent ?? true)
    }

    /// Encrypts the bytes that it has in this turn, `plaintext`, into `room`.
    ///
    /// - Returns: the ciphertext in `room`, empty if it must wait; `nil` if it must be asked to send.
    func seal(
        _ plaintext: UnsafeRawBufferPointer, into room: inout SealedSends, now: MonotonicTime
    ) -> UnsafeRawBufferPointer? {
        guard let tls, maySeal, let sealed = unsafe tls.seal(plaintext, into: &room, now: now) else { return nil }
        if tls.hasUnsent { waits() } else { sendsDirectly() }
        return unsafe sealed
    }

    /// Keeps the end of the output of ``seal(_:into:)`` that the socket did not take.
    func takeBackSealed(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, !isBroken, let tls else { return }
        unsafe tls.takeBack(bytes, since: reactor.now)
        waits()
    }

    /// Waits for the socket with ciphertext of this turn.
    private func waits() {
        watch()
        driver?.fellBehind()
    }

    /// Whether its TLS handshake is complete.
    package var isSecured: Bool { tls?.isEstablished ?? false }

    /// The negotiated version of TLS, such as `TLSv1.3`; `nil` if there is none yet.
    package var tlsVersion: String? { tls?.isEstablished ?? false ? tls?.session?.version : nil }

    /// The error that ended its TLS; `nil` if there is none, or no TLS.
    package var tlsFailure: TLSError? { tls?.session?.failure }

    /// Decrypts received bytes: the driver gets the plaintext, the peer TLS's responses.
    func received(_ bytes: UnsafeRawBufferPointer, through tls: TLSFilter) {
        if unsafe tls.isPlain(bytes) {
            reactor.counters.tlsFailures.add(1)
            reactor[TLSFailureWatch.self]?.report("the client does not speak TLS", peer)
            tls.sendPlain(tls.plainAnswer)
            _ = flushBacklog()
            return finish()
        }
        guard tls.isEstablished, let session = tls.session else { return unsafe shakeHands(bytes, tls) }
        let plaintext = unsafe session.receive(bytes)
        // Output for the peer waits until the driver has got its plaintext, which may be the last.
        tls.keepOutput()
        if tls.hasUnsent { reactor.setDescriptor(-1, of: slot) }
        if unsafe !plaintext.isEmpty { unsafe handOver(plaintext) }
        finishReceiving(through: tls)
    }

    /// Lets the pool continue the handshake: the work with a certificate's key would delay the other connections.
    private func shakeHands(_ bytes: UnsafeRawBufferPointer, _ tls: TLSFilter) {
        guard unsafe tls.shakeHands(bytes, of: self) else {
            reactor.counters.tlsRefused.add(1)
            return reset()
        }
        reactor.counters.tlsWaiting.add(1)
        watch()
    }

    /// Continues after the pool has finished its step.
    func shookHands(_ offload: TLSOffload) {
        guard let tls, tls.isAway else { return }
        var plaintext = tls.takeBack(offload)
        if tls.isEstablished {
            if let objection = newObjection {
                reactor.counters.tlsFailures.add(1)
                reactor[TLSFailureWatch.self]?.report("the client's certificate: \(objection)", peer)
                return reset()
            }
            reactor.counters.tlsHandshakes.add(1)
            if tls.isClient, isOpen { driver?.drained() }
            if isOpen, !plaintext.isEmpty { unsafe plaintext.withUnsafeMutableBytes { unsafe handOver($0) } }
        }
        finishReceiving(through: tls)
    }

    private func finishReceiving(through tls: TLSFilter) {
        let hadBacklog = unsafe !backlog.isEmpty
        guard flushBacklog() else { return }
        // Waiting bytes may have been sent here, along with TLS's own.
        if hadBacklog, unsafe backlog.isEmpty, !tls.hasUnsent, tls.isEstablished { driver?.drained() }
        guard tls.unsentBytes <= TLSFilter.maximumCiphertext else { return reset() }
        watch()
        finishIfFlushed()
        if tls.session?.failure != nil {
            tlsFailed(tls)
        } else if tls.session?.isEndedByPeer ?? false {
            ended()
        }
    }

    private func tlsFailed(_ tls: TLSFilter) {
        if !tls.isEstablished {
            reactor.counters.tlsFailures.add(1)
            if let failure = tls.session?.failure { reactor[TLSFailureWatch.self]?.report("\(failure)", peer) }
        }
        // A peer that is not established yet may still read the alert; an established one does not wait for it.
        if tls.isEstablished || tls.isClient { close() } else { finish() }
    }

    /// Announces to the peer that nothing more is sent; `false` while that waits for the socket, or if the connection
    /// broke.
    func sayClose(through tls: TLSFilter) -> Bool {
        tls.session?.close()
        guard flushBacklog() else { return false }
        guard tls.hasUnsent else { return true }
        watch()
        return false
    }
}

extension StreamConnection {
    /// Lets the reactor send the bytes of a turn without asking this connection, as long as all of them are taken.
    func sendsDirectly() {
        guard let tls else { return reactor.setDescriptor(rawDescriptor, of: slot) }
        guard let place = tls.recordPlace(for: rawDescriptor, slot) else { return }
        reactor.setDescriptor(OutboundSlot.descriptor(sealedAt: place), of: slot)
    }
}

/// Is told of clients of a reactor whose TLS handshake failed.
final class TLSFailureWatch {
    let report: (_ reason: String, SocketAddress?) -> Void
    init(_ report: @escaping (_ reason: String, SocketAddress?) -> Void) { self.report = report }
}

extension StreamConnection {
    /// The peer's certificate; `nil` if it has presented none.
    package var peerCertificate: TLSPeerCertificate? { tls?.session?.peerCertificate }

    /// Whether it is a server's connection whose client has presented a certificate.
    var hasClientCertificate: Bool { tls.map { !$0.isClient && $0.session?.hasPeerCertificate ?? false } ?? false }

    /// Why the context that has replaced its own during the handshake does not accept its client's certificate; `nil`
    /// if it does, or there is none.
    ///
    /// Connections were reviewed at that moment, but this one had no certificate yet.
    private var newObjection: String? { tls?.session?.context.isSuperseded ?? false ? certificateObjection : nil }

    /// Why its client's certificate, which was accepted, would no longer be; `nil` if it would, or there is none.
    package var certificateObjection: String? { hasClientCertificate ? tls?.session?.objection : nil }
}
