internal import WSTransport

/// `/health/live` and `/health/ready`.
///
/// ``Readiness`` decides whether the broker is ready.
struct HealthEndpoint {
    let shard: Shard

    func live(_ exchange: HTTPExchange) { answer(exchange, failure: nil) }

    func ready(_ exchange: HTTPExchange) {
        Readiness.of(shard).ask { failure in answer(exchange, failure: failure) }
    }

    private func answer(_ exchange: HTTPExchange, failure: String?) {
        var writer = JSONWriter(capacity: 64)
        writer.beginObject()
        writer.member("status", failure == nil ? "ok" : "unavailable")
        if let failure { writer.member("reason", failure) }
        if let aside = shard.endpoints.movedAside {
            writer.member("warning", "a damaged store was moved aside to \(aside)")
        }
        writer.endObject()
        var fields: HTTPFields = ["Content-Type": "application/json", "Cache-Control": "no-store"]
        if failure != nil { fields.append("Retry-After", "1") }
        exchange.respond(
            OutgoingResponse(status: failure == nil ? 200 : 503, fields: fields, body: writer.bytes + [10]))
    }
}
