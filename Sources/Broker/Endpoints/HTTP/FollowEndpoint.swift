internal import WSTransport

/// `GET /s/FILTER`: messages as lines of JSON or as server-sent events, until the client disconnects.
enum FollowEndpoint {
    private static let parameters = ["poll"] + HTTPExchange.subscribeParameters

    static func follow(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly(Self.parameters)
        let filter = try exchange.filter(shard.settings.topicLimits)
        let fields = exchange.request.head.fields
        let hasEvents = Accept.prefersEvents(fields.all("Accept").joined(separator: ","))
        let client = try visit.makeClient(hasEvents ? "events" : "lines")
        do throws(Refusal) { try shard.checkSubscribe(client, to: filter) } catch { throw HTTPRefusal(error) }
        var options = try exchange.subscribeOptions()
        // A browser reconnects with its first URL, and sends its position in this field.
        if let last = fields.first("Last-Event-ID"), !last.isEmpty {
            (options.since, options.rewind) = (try HTTPExchange.resumePoint(last, named: "Last-Event-ID"), nil)
        }
        do throws(Refusal) { try shard.check(options.since) } catch { throw HTTPRefusal(error) }
        let isPoll = try exchange.flag("poll") ?? false
        guard !isPoll || options.hasBeginning else {
            throw HTTPRefusal(Refusal(.badRequest, "snapshot: a poll without retained values needs since."))
        }
        options.isPoll = isPoll
        let type = hasEvents ? "text/event-stream" : "application/x-ndjson"
        guard
            let stream = exchange.startStream([
                "Content-Type": type, "Cache-Control": "no-store", "X-Accel-Buffering": "no",
            ])
        else { return }
        guard !stream.isBodyless else { return stream.end() }
        stream.isFinite = isPoll
        let forms = shard.endpoints.forms
        let form =
            switch (hasEvents, stream.isChunked) {
            case (true, true): forms.events
            case (true, false): forms.plainEvents
            case (false, true): forms.lines
            case (false, false): forms.plainLines
            }
        let session = FollowSession(shard: shard, stream: stream, client: client, form: form, isPoll: isPoll)
        session.begin(filter, options)
    }
}

/// One client of `GET /s/FILTER`.
final class FollowSession: Session {
    let client: Client
    let lane: Lane?
    private let form: any TextForm
    let subscriptions = SubscriptionSet()
    private let shard: Shard
    private let output: HTTPStream
    private let isPoll: Bool
    /// What the client has of each of several logs; empty: it is not known yet, or there is one.
    private var position: [UInt64] = []
    /// Why the broker has ended the response; `nil` if it has not.
    private var ending: String?
    private static let comment = Array(":\n\n".utf8)
    private static let emptyLine: [UInt8] = [10]
    /// The time after which a browser reconnects if nothing else was said, in milliseconds.
    private static let usualRetry = 3000

    init(shard: Shard, stream: HTTPStream, client: Client, form: StreamForm, isPoll: Bool) {
        self.shard = shard
        self.client = client
        self.form = form.text
        // With several logs, each client has a position of its own in its events.
        let isPlaced = form.text.isEvents && shard.sequencer.partitions.count > 1
        lane = isPlaced ? nil : form.lane
        self.isPoll = isPoll
        output = stream
    }

    var connection: StreamConnection? { output.stream }
    var roundTrip: Int64? { nil }

    func begin(_ filter: TopicFilter, _ options: SubscribeOptions) {
        shard.join(self)
        // A reconnection time that a drain has sent would otherwise stay with an `EventSource` for the life of the
        // page.
        if form.isEvents { output.send(Array("retry: \(Self.usualRetry)\n\n".utf8)) }
        // A comment or an empty line, which clients ignore, keeps proxies from closing an idle connection.
        output.heartbeat = form.isEvents ? Self.comment : Self.emptyLine
        subscriptions.isPoll = isPoll
        // The stream and the session retain each other until the connection closes or the response ends.
        output.onClosed = { [self] in leave() }
        output.onDrained = { [weak self] in self.map { $0.shard.catchUp.advance($0) } }
        output.onFellBehind = { [weak self] in self.map { $0.shard.catchUp.fellBehind($0) } }
        position = options.since?.parts ?? []
        guard shard.isAhead(options.since) else { return subscribe(filter, options) }
        shard.afterReaching(options.since) { [self] in subscribe(filter, options) }
    }

    private func subscribe(_ filter: TopicFilter, _ options: SubscribeOptions) {
        do throws(Refusal) {
            let seq = try shard.subscribe(self, to: filter, options)
            if !subscriptions.isBehind { sendLive(filter, seq: seq) }
        } catch {
            end()
        }
    }

    func sendSnapshot(_ message: Message) {
        output.send(form.text(of: message, isSnapshot: true))
    }

    func deliver(_ message: Message, for subscriptions: [UInt32]) {
        advance(to: message.seq)
        position[shard.sequencer.partitions.partition(of: message.topic)] = message.number
        output.send(place + form.text(of: message, isSnapshot: false, isPlaced: false))
    }

    /// Has everything up to a place of several logs.
    private func advance(to seq: UInt64) {
        guard let reached = shard.sequencer.position(at: seq) else { return }
        position = position.isEmpty ? reached : zip(position, reached).map { max($0, $1) }
    }

    /// The `id:` line of a client that has its own position.
    private var place: [UInt8] { Array("id: \(shard.text(of: position))\n".utf8) }

    func sendLive(_ filter: TopicFilter, seq: UInt64) {
        if isPoll { return end() }
        if lane == nil {
            advance(to: seq)
            return output.send(place + form.notice("live", Notices.live(filter, seq: seq, on: shard), seq: nil))
        }
        // From here on the client has everything up to this number; the values themselves do not say so.
        output.send(form.notice("live", Notices.live(filter, seq: seq, on: shard), seq: seq))
    }

    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {
        output.send(form.notice("gap", Notices.gap(filter, gap, on: shard), seq: nil))
    }

    func sendUndone(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts?) {
        // It is not told again.
        if let parts { position = zip(position, parts.seq).map { max($0, $1) } }
        output.send(form.notice("gap", Notices.gap(filter, gap, parts, on: shard), seq: nil))
    }

    func revoked(_ filter: TopicFilter, _ refusal: Refusal) {
        if isPoll { return output.stream.reset() }
        tell(refusal)
        end()
    }

    /// Sends the reason of the end, if the form has a way to say it.
    private func tell(_ refusal: Refusal) {
        guard form.isEvents else { return }
        output.send(Array("event: error\ndata: ".utf8) + HTTPRefusal(refusal).object + [10, 10])
    }

    func takeOverLimits() {
        output.stream.maximumUnsent = shard.settings.limits.pending
        output.takeOverSettings()
    }

    func end(_ reason: SessionEnd) {
        ending = reason.sentence
        switch reason {
        // A poll ends by itself, or with the process.
        case .restarting where isPoll: return
        case .slow:
            shard.reactor.counters.slowReaders.add(1)
            return output.stream.reset()
        // A browser reconnects automatically, after the time in `retry`.
        case .restarting(let retry) where form.isEvents: output.send(Array("retry: \(retry)\n\n".utf8))
        case .unauthenticated(let why):
            tell(Refusal(.unauthenticated, "The credentials are no longer accepted: \(why)."))
        case .restarting, .failed, .kicked: break
        }
        // A poll's response would look complete if it ended normally.
        if isPoll { output.stream.reset() } else { end() }
    }

    private func end() {
        leave()
        output.end()
    }

    private func leave() {
        if shard.isKnown(self) {
            let end = ClientEnd(reason: ending ?? (output.isDead ? "no sign of life" : ""), isDead: output.isDead)
            shard.witness?.left(client, end.with(output.stream.traffic))
        }
        shard.leave(self)
        output.onClosed = nil
        output.onDrained = nil
        output.onFellBehind = nil
    }
}
