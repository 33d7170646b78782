internal import WSTransport

/// One client of `broker.v1.json`, or of `broker.v1.msgpack`, which has the same objects.
///
/// docs/protocol.md describes the protocol.
final class JSONSession: ClientSocket {
    static let subprotocol = "broker.v1.json"
    static let packedSubprotocol = "broker.v1.msgpack"
    /// How many lines of one frame may be malformed before the connection is closed.
    private static let maximumBroken = 100
    /// Whether the time to authenticate has ended during a check of the client's credentials.
    var isLate = false

    init(shard: Shard, socket: WebSocketConnection, client: Client, isPacked: Bool = false) {
        let forms = shard.endpoints.forms
        super.init(
            shard: shard, socket: socket, client: client, lanes: isPacked ? forms.packed : forms.json,
            hasOperation: true, isPacked: isPacked)
        welcome()
        if shard.mustAuthenticate(client) { waitForAuthentication() }
    }

    /// Closes the connection after some time, unless the client authenticates.
    private func waitForAuthentication() {
        let timeout = shard.access.options.authenticationTimeout / 1_000_000
        shard.wake(self, at: WallClock.unixMilliseconds + timeout, for: .late)
    }

    private func welcome() {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.member("op", "welcome")
        writer.member("client", client.name)
        writer.member("server", "broker/\(BrokerVersion.current)")
        writer.member("keepalive", shard.endpoints.settings.keepaliveSeconds)
        writer.member("maximumMessage", shard.settings.limits.message)
        writer.member("epoch", shard.store.epoch)
        if let expires = client.principal.expires { writer.member("expires", expires * 1000) }
        writer.endObject()
        tell(writer.bytes)
    }

    override func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard !isPacked else { return receivedPacked(opcode, payload) }
        guard opcode == .text else {
            return socket.close(.unsupportedData, reason: "broker.v1.json is text")
        }
        received(payload)
    }

    private func receivedPacked(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard opcode == .binary else {
            return socket.close(.unsupportedData, reason: "broker.v1.msgpack is binary")
        }
        do throws(PackedError) {
            let json = try PackedReader.json(of: payload)
            received(json.span)
        } catch {
            let id = PackedReader.identifier(of: payload).flatMap { JSONObject.isIdentifier($0.span) ? $0 : nil }
            fail(id, Refusal(.badRequest, "Invalid MessagePack: \(error)."))
            if !shard.takesMore(from: stream.slot) { rest() }
        }
    }

    private func received(_ payload: Span<UInt8>) {
        var progress = FrameProgress()
        if !read(payload, &progress) {
            let frame = UnfinishedFrame(payload, progress, stream.reactor.counters)
            shard.endpoints.keep(frame, of: stream.slot)
            shard.counters.heldFrames.add(1)
            return continueLater(frame)
        }
        if isTurnOver { rest() }
    }

    /// Executes the commands of a frame while this turn has time and room for them; returns whether all were executed.
    private func read(_ payload: Span<UInt8>, _ frame: inout FrameProgress) -> Bool {
        isTurnOver = false
        // Others have used the turn up.
        if !frame.hasBegun, shard.isTurnUsedUp { return false }
        while frame.offset < payload.count, socket.readyState == .open {
            if isTurnOver || frame.hasBegun && (socket.bufferedAmount > room || isBeingFoundOut) { return false }
            if takePlainPublication(in: payload, &frame) { continue }
            var scanner = JSONScanner(payload, from: frame.offset)
            do throws(JSONError) {
                guard let object = try scanner.nextObject() else { break }
                frame.hasBegun = true
                if shard.hindrance != nil, frame.waits(object, on: shard) { return false }
                frame.offset = scanner.offset
                let bytes = object.rawBytes.count
                isTurnOver = !shard.takesMore(from: stream.slot, after: answer(object), bytes: bytes)
            } catch {
                frame.hasBegun = true
                isTurnOver = !shard.takesMore(from: stream.slot)
                let refused = RefusedObject(payload, from: frame.offset, error)
                // MessagePack was converted, so the place is one in the JSON.
                let what = isPacked ? "command, as JSON" : "JSON"
                fail(refused.identifier, Refusal(.badRequest, "Invalid \(what): \(error)."))
                frame.broken += 1
                guard frame.broken < Self.maximumBroken else {
                    socket.close(.badRequest, reason: "\(frame.broken) invalid lines in one frame")
                    break
                }
                if let end = refused.end {
                    frame.offset = end
                } else {
                    // The next line may be well-formed.
                    frame.skipLine(of: payload)
                }
            }
        }
        if !frame.hasBegun { fail(nil, Refusal(.badRequest, "The frame contains no JSON object.")) }
        return true
    }

    /// Executes the next command if it is a plain publication; returns `false` if it is not.
    private func takePlainPublication(in payload: Span<UInt8>, _ frame: inout FrameProgress) -> Bool {
        guard let publication = PlainPublication(payload, from: frame.offset),
            let topic = shard.topic(named: publication.topicName(in: payload))
        else { return false }
        frame.hasBegun = true
        let bytes = publication.end - frame.offset
        frame.offset = publication.end
        let id = publication.identifier(in: payload)
        do throws(Refusal) {
            try publish(publication.draft(of: payload, to: topic, origin: client.id, completion: completion(id)))
        } catch {
            refuse(id, error)
        }
        isTurnOver = !shard.takesMore(from: stream.slot, bytes: bytes)
        return true
    }

    private func refuse(_ id: [UInt8]?, _ refusal: Refusal) {
        fail(id, refusal.code == .forbidden && shard.mustAuthenticate(client) ? Self.authenticateFirst : refusal)
    }

    /// How many bytes may be unsent before commands wait for the client to read its answers.
    private var room: Int { shard.settings.limits.pending / 2 }

    override func continueFrame() {
        guard let frame = shard.endpoints.unfinishedFrames[stream.slot], !frame.isScheduled, !isBeingFoundOut else {
            return
        }
        // This function is called again when the client has read its answers.
        if socket.readyState == .open, stream.unsentBytes > room { return }
        if socket.readyState == .open {
            let bytes = frame.bytes
            if stream.isReadingPaused(for: .congestion) || !read(bytes.span, &frame.progress) {
                return continueLater(frame)
            }
        }
        shard.endpoints.forgetFrame(of: stream.slot)
        stream.resumeReading(for: .turn)
    }

    /// Defers the rest of a frame to the next turn, and pauses the socket until then.
    private func continueLater(_ frame: UnfinishedFrame) {
        stream.pauseReading(for: .turn)
        // The end of the check continues the frame.
        if isBeingFoundOut { return }
        frame.isScheduled = true
        let isLong = stream.isReadingPaused(for: .congestion) || frame.progress.deadline != nil
        shard.inNextTurn(isLong: isLong) { [self] in
            frame.isScheduled = false
            continueFrame()
        }
    }

    /// Executes a command, and returns how many commands it counts as.
    private func answer(_ object: borrowing JSONObject) -> Int {
        var id: [UInt8]?
        var (cost, isUnderstood) = (1, false)
        do throws(Refusal) {
            id = try object.identifier()
            let limits = shard.settings.limits
            let command = try JSONCommand(
                object, limits: shard.settings.topicLimits, maximumFilters: limits.subscriptionsPerClient)
            isUnderstood = true
            switch consume command {
            case .subscribe(let filters, let options):
                cost = TurnShare.filter * filters.count
                try subscribe(distinct(filters), id, options)
            case .unsubscribe(let filters):
                cost = TurnShare.filter * filters.count
                try unsubscribe(distinct(filters), id)
            case .publish(var draft):
                draft.completion = completion(id)
                try publish(draft)
            case .request(let draft, let timeout):
                try request(draft, id, timeout)
            case .authenticate(let credentials):
                // The rights of all subscriptions are checked.
                cost = TurnShare.credentials + subscriptions.count
                try authenticate(credentials, id)
            case .ping:
                send("pong", id) { _ in }
            }
        } catch {
            if !isUnderstood, shard.recorder.isTraced { shard.recorder.refused(error, in: object, client.id) }
            refuse(id, error)
        }
        return cost
    }

    /// Removes duplicate filters, and checks the limit of the list.
    private func distinct(_ filters: [TopicFilter]) throws(Refusal) -> [TopicFilter] {
        guard filters.count > 1 else { return filters }
        let most = shard.settings.limits.subscriptionsPerClient
        guard filters.count <= most else {
            shard.counters.subscriptionLimit.add(1)
            shard.witness?.limited(client, by: "limits.subscriptions_per_client")
            throw Refusal(.limitExceeded, "filter: a list of more than \(most) filters.")
        }
        var seen = Set<TopicFilter>(minimumCapacity: filters.count)
        return filters.filter { seen.insert($0).inserted }
    }

    private func subscribe(
        _ filters: [TopicFilter], _ id: [UInt8]?, _ options: SubscribeOptions
    ) throws(Refusal) {
        // All or nothing: what can be refused is refused before anything changes.
        let new = filters.count { !subscriptions.contains($0) }
        try shard.checkRoom(for: new, of: subscriptions, by: client)
        if filters.count > 1 { for filter in filters { try shard.checkSubscribe(client, to: filter) } }
        var position: UInt64?
        var live: [(TopicFilter, UInt64)] = []
        for filter in filters {
            let seq = try shard.subscribe(self, to: filter, options)
            position = min(position ?? seq, seq)
            if !subscriptions.isBehind { live.append((filter, seq)) }
        }
        if let position, id != nil {
            send("ok", id) { writer in
                writer.position(position, on: shard)
                writer.member("epoch", shard.store.epoch)
            }
        }
        for (filter, seq) in live { sendLive(filter, seq: seq) }
    }

    private func unsubscribe(_ filters: [TopicFilter], _ id: [UInt8]?) throws(Refusal) {
        shard.review(self)
        for filter in filters where !subscriptions.contains(filter) {
            throw Refusal(.notFound, "Not subscribed to \(filter).")
        }
        // The answer follows the messages with smaller numbers, which a slow client may not have received yet.
        shard.unsubscribe(self, from: filters) { [weak self] in
            if id != nil { self?.send("ok", id) { _ in } }
        }
    }

    override func revoked(_ filter: TopicFilter, _ refusal: Refusal) {
        tell(Notices.revoked(filter, refusal))
    }

    @inline(__always)
    private func publish(_ draft: consuming Draft) throws(Refusal) {
        try checkLength(of: draft)
        try shard.publish(draft, by: client, from: stream)
    }

    /// The closure that is called with the result of a publication.
    ///
    /// It holds the session strongly: a weak reference would slow down all reference counting of the session. The
    /// closure ends with the publication. A closure that captures only the session needs no allocation.
    private func completion(_ id: [UInt8]?) -> (Result<Receipt, Refusal>) -> Void {
        id == nil ? { [self] in concluded($0) } : { [self] in concluded($0, id) }
    }

    private func request(_ draft: Draft, _ id: [UInt8]?, _ timeout: Int64) throws(Refusal) {
        guard let id else { throw Refusal(.badRequest, "reply needs an id, which the reply carries.") }
        try checkLength(of: draft)
        try shard.request(draft, by: client, from: stream, timeout: timeout) { [weak self] receipt in
            self?.concluded(.success(receipt), id)
        } _: { [weak self] outcome in
            guard let self else { return }
            switch outcome {
            case .reply(let message) where isPacked:
                socket.send(.binary, PackedMessage.encode(message, as: "reply", id: id, isSnapshot: false))
            case .reply(let message): send("reply", id) { MessageObject.write(reply: message, to: &$0) }
            case .failed(let refusal): fail(id, refusal)
            case .late(let time): fail(id, Refusal(.unavailable, "No reply within \(time) ms."))
            }
        }
    }

    private func checkLength(of draft: borrowing Draft) throws(Refusal) {
        let most = shard.settings.limits.message
        guard draft.payload.count <= most else {
            throw shard.tooLarge(draft.topic, by: client)
        }
    }

    private func concluded(_ result: Result<Receipt, Refusal>, _ id: [UInt8]? = nil) {
        switch result {
        case .success(let receipt):
            guard id != nil else { return }
            send("ok", id) { writer in
                writer.member("seq", receipt.seq)
                writer.member("stored", receipt.isStored)
            }
        case .failure(let refusal):
            fail(id, refusal)
        }
    }

    func fail(_ id: [UInt8]?, _ refusal: Refusal) {
        shard.counters.errors.add(1)
        shard.counters.failed(with: refusal.code)
        send("error", id) { writer in
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
        }
    }

    func send(_ operation: String, _ id: [UInt8]?, _ members: (inout JSONWriter) -> Void) {
        var writer = JSONWriter(capacity: 96)
        writer.beginObject()
        writer.member("op", operation)
        if let id { writer.member("id", raw: id.span) }
        members(&writer)
        writer.endObject()
        tell(writer.bytes)
    }

    override func takeOverLimits() {
        guard shard.mustAuthenticate(client) else { return super.takeOverLimits() }
        socket.adopt(shard.endpoints.settings.unauthenticatedOptions)
        // A reload may have taken away the rights of clients without credentials.
        if !shard.isWaking(self, for: .late) { waitForAuthentication() }
    }

    /// Sends `restart` before the Close frame, because not every client can read the reason of a Close.
    override func end(_ reason: SessionEnd) {
        if case .restarting(let retry) = reason { send("restart", nil) { $0.member("retry", retry) } }
        super.end(reason)
    }

    override func timeHasCome(for reason: Alarms.Reason) {
        switch reason {
        case .expired: super.timeHasCome(for: reason)
        case .late:
            guard shard.mustAuthenticate(client) else { return }
            // The time of a check is the broker's.
            if isBeingFoundOut { isLate = true } else { closeBecauseLate() }
        case .expiring:
            guard let expires = client.principal.expires else { return }
            send("expiring", nil) { writer in
                writer.member("in", max(0, expires - WallClock.unixMilliseconds / 1000))
            }
        }
    }
}
