internal import WSTransport

/// `authenticate`: a client authenticates, at first or again before its credentials expire.
extension JSONSession {
    /// The refusal of other commands while the client has no rights.
    static let authenticateFirst = Refusal(.unauthenticated, "Authenticate first.")

    /// Whether a check of the client's credentials is in progress; commands wait for it.
    var isBeingFoundOut: Bool { stream.isReadingPaused(for: .authentication) }

    func authenticate(_ credentials: Credentials, _ id: [UInt8]?) throws(Refusal) {
        guard let gate = shard.endpoints.gates[client.listener] else {
            throw Refusal(.unavailable, "This listener does not authenticate.")
        }
        if case .basic = credentials, !gate.isPrivate { throw Gate.openPassword }
        switch gate.authenticator.authenticate(credentials, shard.access, from: { client.host }) {
        case .known(let principal): conclude(.success(principal), credentials, id)
        case .refused(let failure):
            try checkAttempts()
            conclude(.failure(failure), credentials, id)
        case .pending(let begin):
            try checkAttempts()
            stream.pauseReading(for: .authentication)
            wait(for: begin, credentials, id, PendingCheck(shard.access), gate)
        }
    }

    private func wait(
        for begin: Authentication.Beginning, _ credentials: Credentials, _ id: [UInt8]?, _ check: PendingCheck,
        _ gate: Gate
    ) {
        let link = ReactorLink(remote: stream.reactor.remote)
        link.bind(self, on: stream.reactor)
        begin { outcome in
            link.take(JSONSession.self) { session in
                guard let session, session.socket.readyState == .open else { return }
                session.conclude(outcome, credentials, id, check, gate)
            }
        }
    }

    /// Ends a check that took time.
    private func conclude(
        _ outcome: Result<Principal, AuthenticationFailure>, _ credentials: Credentials, _ id: [UInt8]?,
        _ check: PendingCheck, _ gate: Gate
    ) {
        let result: Result<Principal, AuthenticationFailure>
        switch check.concluded(outcome, credentials, gate.authenticator, on: shard, from: { client.host }) {
        case .known(let principal): result = .success(principal)
        case .refused(let failure): result = .failure(failure)
        case .pending(let begin):
            return wait(for: begin, credentials, id, check.repeated(by: shard.access), gate)
        }
        stream.resumeReading(for: .authentication)
        conclude(result, credentials, id)
        let wasLate = isLate
        isLate = false
        if wasLate, shard.mustAuthenticate(client) { return closeBecauseLate() }
        continueFrame()
    }

    func closeBecauseLate() { socket.close(.tooLate, reason: "not authenticated in time") }

    /// Refuses an address that has presented too many wrong credentials; remembered ones are accepted nevertheless.
    private func checkAttempts() throws(Refusal) {
        guard let seconds = shard.credentialBlock(of: origin, isForwarded: client.isForwarded) else { return }
        throw Refusal(.limitExceeded, "Too many wrong credentials from one address: wait \(seconds) s.")
    }

    /// The client's address, for the count of wrong credentials.
    private var origin: SocketAddress? { client.host.flatMap { SocketAddress(host: $0, port: 0) } }

    /// The client's address with its port, for the audit log.
    private var peer: SocketAddress? {
        guard let host = client.host, let colon = client.address.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            return stream.peer
        }
        return SocketAddress(host: host, port: UInt16(client.address[colon...].dropFirst()) ?? 0)
    }

    private func conclude(
        _ outcome: Result<Principal, AuthenticationFailure>, _ credentials: Credentials, _ id: [UInt8]?
    ) {
        switch outcome {
        case .failure(let failure):
            if failure.isGuess { shard.credentialsFailed(origin, isForwarded: client.isForwarded) }
            shard.examined(credentials, outcome, from: peer)
            fail(id, Refusal(failure))
        case .success(let principal):
            let old = client.principal
            guard old.kind == .anonymous || old.isSameUser(as: principal) else {
                return fail(
                    id, Refusal(.forbidden, "This connection belongs to another user: open a new one."))
            }
            do throws(Refusal) { try shard.checkBans(of: principal, at: origin) } catch {
                fail(id, error)
                return socket.close(.kicked, reason: "banned")
            }
            if old.user == nil {
                do throws(Refusal) {
                    try shard.checkConnections(of: principal, at: origin) { client.subject(as: principal) }
                } catch {
                    return fail(id, error)
                }
            }
            shard.examined(credentials, outcome, from: peer)
            send("ok", id) { writer in
                if let expires = principal.expires { writer.member("expires", expires * 1000) }
            }
            // Nothing needs another check if the client has presented the same credentials again.
            guard !principal.isSame(as: old) else { return }
            shard.authenticate(self, as: principal)
            takeOverLimits()
        }
    }
}
