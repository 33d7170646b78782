internal import WSTransport

/// `POST /t`: one publication per line, published in one turn and one commit, with one line of the response for each.
///
/// A line is a `publish` of `broker.v1.json` without `op`. A refused line does not stop the others.
final class BatchEndpoint {
    private let exchange: HTTPExchange
    private let shard: Shard
    private let client: Client
    /// The answers, in the order of the lines; `nil` for one that is outstanding.
    private var answers: [[UInt8]?] = []
    private var outstanding = 0
    private var hasFailures = false
    /// Whether every line has been published or refused.
    private var isHandedOver = false

    private init(_ visit: Visit) {
        exchange = visit.exchange
        shard = visit.shard
        client = visit.client()
    }

    static func publish(_ visit: Visit) throws(HTTPRefusal) {
        try visit.exchange.takesOnly([])
        try visit.exchange.checkContentEncoding()
        do throws(Refusal) { try visit.shard.checkOpen() } catch { throw HTTPRefusal(error) }
        let batch = BatchEndpoint(visit)
        visit.exchange.readBody(maximum: visit.shard.settings.limits.batchBytes) { body in
            if visit.shard.isTurnUsedUp { return batch.publishLater(body.copied) }
            do throws(Refusal) { try batch.publish(body) } catch { visit.exchange.refuse(error) }
        }
    }

    /// Publishes the body in a later turn, because others have used this one up.
    private func publishLater(_ body: [UInt8]) {
        shard.inNextTurn { [self] in
            if shard.isTurnUsedUp { return publishLater(body) }
            do throws(Refusal) { try publish(body.span) } catch { exchange.refuse(error) }
        }
    }

    private func publish(_ body: Span<UInt8>) throws(Refusal) {
        let lines: [Range<Int>]
        do throws(Refusal) { lines = try Self.lines(of: body, atMost: shard.settings.limits.batch) } catch {
            shard.witness?.limited(client, by: "limits.batch")
            throw error
        }
        guard !lines.isEmpty else { throw Refusal(.badRequest, "The body has no line.") }
        answers = Array(repeating: nil, count: lines.count)
        outstanding = lines.count
        for (place, line) in lines.enumerated() { publish(body.extracting(line), place) }
        isHandedOver = true
        rest(after: lines.count)
        if outstanding == 0 { respond() }
    }

    /// The ranges of the lines; blank lines are left out.
    private static func lines(of body: Span<UInt8>, atMost maximum: Int) throws(Refusal) -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var (start, isBlank) = (0, true)
        for place in 0...body.count {
            guard place == body.count || body[place] == 0x0A else {
                if body[place] > 0x20 { isBlank = false }
                continue
            }
            if !isBlank {
                guard lines.count < maximum else {
                    throw Refusal(.tooLarge, "The body has more than \(maximum) lines (limits.batch).")
                }
                lines.append(start..<place)
            }
            (start, isBlank) = (place + 1, true)
        }
        return lines
    }

    private func publish(_ line: Span<UInt8>, _ place: Int) {
        var (id, isSystem): ([UInt8]?, Bool) = (nil, false)
        do throws(Refusal) {
            let object = try Self.parse(line)
            id = try object.identifier()
            var draft = try draft(object)
            guard try JSONCommand.timeout(object) == nil else {
                throw Refusal(.badRequest, "reply: a line cannot wait for a reply.")
            }
            isSystem = draft.topic.isSystem || draft.topic.isPrivate
            guard draft.payload.count <= shard.settings.limits.message else {
                throw shard.tooLarge(draft.topic, by: client)
            }
            // The publications retain the batch until all of them are answered.
            draft.completion = { [self, id] in conclude(place, id, $0) }
            try shard.publish(draft, by: client, from: exchange.stream)
        } catch {
            conclude(place, id, .failure(isSystem ? error : asked(error)))
        }
    }

    private func draft(_ object: borrowing JSONObject) throws(Refusal) -> Draft {
        do throws(Refusal) { return try JSONCommand.draft(object, shard.settings.topicLimits) } catch {
            if shard.recorder.isTraced { shard.recorder.refused(error, in: object, client.id) }
            throw error
        }
    }

    @_lifetime(copy line)
    private static func parse(_ line: Span<UInt8>) throws(Refusal) -> JSONObject {
        do throws(JSONError) {
            return try JSONObject.parse(line)
        } catch {
            throw Refusal(.badRequest, "Invalid JSON: \(error).")
        }
    }

    /// The refusal; an anonymous client that lacks a right is asked to authenticate.
    private func asked(_ refusal: Refusal) -> Refusal {
        guard client.principal.kind == .anonymous, refusal.code == .forbidden else { return refusal }
        return Refusal(.unauthenticated, refusal.message)
    }

    /// Ends the client's share of this turn if the batch was larger than it.
    private func rest(after count: Int) {
        guard let stream = exchange.stream, !shard.takesMore(from: stream.slot, after: count) else { return }
        stream.pauseReading(for: .turn)
        shard.inNextTurn { [stream] in stream.resumeReading(for: .turn) }
    }

    // MARK: Answers

    private func conclude(_ place: Int, _ id: [UInt8]?, _ result: Result<Receipt, Refusal>) {
        guard answers[place] == nil else { return }
        var writer = JSONWriter(capacity: 64)
        writer.beginObject()
        if let id { writer.member("id", raw: id.span) }
        switch result {
        case .success(let receipt):
            writer.member("seq", receipt.seq)
            writer.member("stored", receipt.isStored)
        case .failure(let refusal):
            hasFailures = true
            shard.counters.failed(with: refusal.code)
            writer.name("error")
            writer.beginObject()
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
            writer.endObject()
        }
        writer.endObject()
        answers[place] = writer.takeLine()
        outstanding -= 1
        if outstanding == 0, isHandedOver { respond() }
    }

    private func respond() {
        exchange.respond(
            OutgoingResponse(
                status: hasFailures ? 207 : 200, fields: ["Content-Type": "application/x-ndjson"],
                body: Array(answers.lazy.compactMap(\.self).joined())))
    }
}
