extension StreamConnection {
    /// Puts a server's TLS between the socket and the driver; `false` when memory has run out.
    ///
    /// Call it before the first byte. The driver is not called until there is plaintext.
    ///
    /// - Parameter plainAnswer: the answer to a peer that begins with plain text; empty: OpenSSL's alert.
    package func secure(asServer context: TLSContext, plainAnswer: [UInt8]) -> Bool {
        guard let session = TLSSession(server: context, pipe: reactor.tlsPipe) else { return false }
        tls = TLSFilter(session, isClient: false, plainAnswer: plainAnswer)
        reactor.setDescriptor(-1, of: slot)
        return true
    }

    /// Puts a client's TLS between the socket, which is connected, and the driver, and begins its handshake; `false` when
    /// `host` cannot be verified, or memory has run out.
    ///
    /// ``StreamDriver/drained()`` is called when the server is verified to be `host`.
    ///
    /// - Parameter port: tickets are kept for `host` and it; `nil`: none are.
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

    /// Encrypts what it has of this turn into `room`; `false`: it must be asked to send.
    func seal(_ newest: Segment, into room: inout SealedSends) -> Bool {
        guard let tls, isOpen, !isBroken, unsafe segments.isEmpty && backlog.isEmpty else { return false }
        let plaintext = unsafe reactor.chunk(of: newest).bytes(from: Int(newest.offset), count: Int(newest.count))
        guard unsafe tls.seal(plaintext, of: slot, into: &room, now: reactor.now) else { return false }
        if tls.hasUnsent { watch() }
        return true
    }

    /// Keeps the end of what ``seal(_:into:)`` gave, which the socket did not take.
    func takeBackSealed(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, !isBroken, let tls else { return }
        unsafe tls.takeBack(bytes, since: reactor.now)
        watch()
        driver?.fellBehind()
    }

    /// Whether its TLS handshake is complete.
    package var isSecured: Bool { tls?.isEstablished ?? false }

    /// The version of TLS that was agreed upon, such as `TLSv1.3`; `nil`: none yet.
    package var tlsVersion: String? { tls?.isEstablished ?? false ? tls?.session?.version : nil }

    /// The error that ended its TLS; `nil`: none, or no TLS.
    package var tlsFailure: TLSError? { tls?.session?.failure }

    /// Decrypts what has arrived: the driver gets the plaintext, the peer the answers of TLS.
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
        // Bytes for the peer wait until the driver has had its plaintext, which may be the last.
        tls.keepOutput()
        if unsafe !plaintext.isEmpty { unsafe handOver(plaintext) }
        finishReceiving(through: tls)
    }

    /// Lets the pool continue the handshake: the work of a certificate's key would make the other connections wait.
    private func shakeHands(_ bytes: UnsafeRawBufferPointer, _ tls: TLSFilter) {
        guard unsafe tls.shakeHands(bytes, of: self) else {
            reactor.counters.tlsRefused.add(1)
            return reset()
        }
        reactor.counters.tlsWaiting.add(1)
        watch()
    }

    /// The pool has finished its part.
    func shookHands(_ offload: TLSOffload) {
        guard let tls, tls.isAway else { return }
        var plaintext = tls.takeBack(offload)
        if tls.isEstablished {
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
        // A stranger may still read the alert; nobody waits for one that was known.
        if tls.isEstablished || tls.isClient { close() } else { finish() }
    }

    /// Tells the peer that nothing more is sent; `false` while that waits for the socket, or when the connection broke.
    func sayClose(through tls: TLSFilter) -> Bool {
        tls.session?.close()
        guard flushBacklog() else { return false }
        guard tls.hasUnsent else { return true }
        watch()
        return false
    }
}

/// What is told of the clients of a reactor that did not get through TLS.
final class TLSFailureWatch {
    let report: (_ reason: String, SocketAddress?) -> Void
    init(_ report: @escaping (_ reason: String, SocketAddress?) -> Void) { self.report = report }
}

extension StreamConnection {
    /// The peer's certificate; `nil`: it has shown none.
    package var peerCertificate: TLSPeerCertificate? { tls?.session?.peerCertificate }

    /// Whether it is a server's, and its client has shown a certificate.
    var hasClientCertificate: Bool { tls.map { !$0.isClient && $0.session?.hasPeerCertificate ?? false } ?? false }

    /// Why its client's certificate, which was accepted, would not be now; `nil`: it would, or there is none.
    package var certificateObjection: String? { hasClientCertificate ? tls?.session?.objection : nil }
}
