internal import WSTransport

/// Reviews the certificates of connected clients; one may have expired or been revoked, or its authority removed.
///
/// Checks a few connections a turn, because each signature takes a while. Runs on one reactor.
enum CertificateReview {
    /// How many are checked in one turn; each takes about 0.1 ms or more.
    private static let count = 16

    /// Begins to check all of a reactor's connections.
    static func begin(on shard: Shard) { review(shard.reactor.certifiedConnections, on: shard) }

    private static func review(_ connections: [StreamConnection], on shard: Shard) {
        var ended: [(stream: StreamConnection, reason: String)] = []
        for stream in connections.suffix(count) where stream.isOpen {
            if let reason = stream.certificateObjection { ended.append((stream, reason)) }
        }
        if !ended.isEmpty { end(ended, on: shard) }
        let left = Array(connections.dropLast(count))
        guard !left.isEmpty else { return }
        shard.reactor.runSoon { [weak shard] in
            if let shard { review(left, on: shard) }
        }
    }

    private static func end(_ ended: [(stream: StreamConnection, reason: String)], on shard: Shard) {
        let sessions = Dictionary(
            shard.everybody.compactMap { session in session.connection.map { ($0.slot, session) } },
            uniquingKeysWith: { $1 })
        for (stream, reason) in ended {
            shard.counters.revokedClients.add(1)
            var event = AuditEvent(.certificateRevoked, target: stream.peer?.description ?? "", result: reason)
            event.address = stream.peer?.description
            shard.reactor[AuditTally.self]?.write(event)
            if let session = sessions[stream.slot], session.connection === stream {
                shard.forfeit(session.client)
                session.end(.unauthenticated("revoked"))
            } else {
                stream.reset()
            }
        }
    }
}
