internal import WSTransport

/// `/health/live` and `/health/ready`.
///
/// Ready means that just now a message went through the sequencer and this reactor's mailbox, and that the store took
/// a write and synced it. An answer is used again for a second, so that a probe in a tight loop costs next to nothing.
final class HealthEndpoint {
    // The shard keeps the endpoint.
    private unowned let shard: Shard
    private var known: (time: MonotonicTime, failure: String?)?
    private var waiting: [HTTPExchange] = []
    private var lastAsked: MonotonicTime?
    /// Who asks has asked within such a time, in nanoseconds.
    private static let memory: Int64 = 60_000_000_000
    private static let validity: Int64 = 1_000_000_000
    private static let patience: Int64 = 2_000_000_000

    private init(shard: Shard) { self.shard = shard }

    /// The one of a shard.
    static func of(_ shard: Shard) -> HealthEndpoint {
        if let known = shard.kept(HealthEndpoint.self) { return known }
        let made = HealthEndpoint(shard: shard)
        shard.keep(made)
        return made
    }

    /// Whether somebody asks for readiness now and then.
    static func isWatched(on shard: Shard) -> Bool {
        guard let asked = shard.kept(HealthEndpoint.self)?.lastAsked else { return false }
        return shard.reactor.now.nanoseconds(since: asked) < memory
    }

    func live(_ exchange: HTTPExchange) { answer(exchange, failure: nil) }

    func ready(_ exchange: HTTPExchange) {
        lastAsked = shard.reactor.now
        if shard.isDraining || shard.isLeaving { return answer(exchange, failure: "shutting down") }
        if let known, shard.reactor.now.nanoseconds(since: known.time) < Self.validity {
            return answer(exchange, failure: known.failure)
        }
        waiting.append(exchange)
        if waiting.count == 1 { probe() }
    }

    private func probe() {
        shard.probe(patience: Self.patience) { [weak self] failure in
            guard let self else { return }
            known = (shard.reactor.now, failure)
            let answered = waiting
            waiting = []
            for exchange in answered { answer(exchange, failure: failure) }
        }
    }

    private func answer(_ exchange: HTTPExchange, failure: String?) {
        var writer = JSONWriter(capacity: 64)
        writer.beginObject()
        writer.member("status", failure == nil ? "ok" : "unavailable")
        if let failure { writer.member("reason", failure) }
        if let aside = shard.movedAside { writer.member("warning", "a damaged store was moved aside to \(aside)") }
        writer.endObject()
        var fields: HTTPFields = ["Content-Type": "application/json", "Cache-Control": "no-store"]
        if failure != nil { fields.append("Retry-After", "1") }
        exchange.respond(
            OutgoingResponse(status: failure == nil ? 200 : 503, fields: fields, body: writer.bytes + [10]))
    }
}
