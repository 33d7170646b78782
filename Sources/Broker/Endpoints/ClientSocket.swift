internal import WSTransport

/// A client's session over a WebSocket, with its subscriptions; the base class of all WebSocket endpoints.
class ClientSocket: Session, WebSocketSession {
    let shard: Shard
    let socket: WebSocketConnection
    let client: Client
    let subscriptions = SubscriptionSet()
    private let sharedLane: Lane
    private let hasOperation: Bool
    /// Whether objects are sent in MessagePack instead of JSON.
    final let isPacked: Bool
    /// Whether the client's last frame has used up its share of this turn.
    final var isTurnOver = false

    /// - Parameters:
    ///   - lanes: the lanes of the socket's wire form.
    ///   - hasOperation: whether messages have an `op`.
    ///   - isPacked: whether objects are sent in MessagePack.
    init(
        shard: Shard, socket: WebSocketConnection, client: Client, lanes: SocketLanes, hasOperation: Bool = false,
        isPacked: Bool = false
    ) {
        self.shard = shard
        self.socket = socket
        self.client = client
        sharedLane = lanes.lane(windowBits: socket.sharedWindowBits)
        self.hasOperation = hasOperation
        self.isPacked = isPacked
        shard.join(self)
    }

    final var stream: StreamConnection { socket.stream }
    final var connection: StreamConnection? { socket.stream }
    final var lane: Lane? { sharedLane }
    final var heldBytes: Int { shard.endpoints.unfinishedFrames[stream.slot]?.bytes.count ?? 0 }
    final var roundTrip: Int64? { socket.roundTrip }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        socket.close(.unsupportedData, reason: "read only")
    }

    final func fellBehind() { shard.catchUp.fellBehind(self) }

    final func drained() {
        shard.catchUp.advance(self)
        continueFrame()
    }

    /// Continues with the rest of the last frame, if that is possible now.
    func continueFrame() {}

    /// Ends the client's share of this turn: everything that it sends waits for the next turn.
    final func rest() {
        stream.pauseReading(for: .turn)
        shard.inNextTurn { [stream] in stream.resumeReading(for: .turn) }
    }

    /// Removes the subscriptions at once; the closing handshake may take longer.
    final func closing() { leave() }

    final func closed(_ event: CloseEvent) {
        leave()
        // A client that was sent a Close frame may disconnect without answering it.
        let isOurs = event.code == .abnormal && socket.sentCode > 0
        let code = isOurs ? socket.sentCode : event.code.rawValue
        let end = ClientEnd(code: Int(code), reason: event.reason, isDead: event.isDead)
        // The limit before authentication is not a setting.
        if event.cause == .violation, event.code == .messageTooBig, !shard.mustAuthenticate(client) {
            shard.witness?.limited(client, by: "limits.message")
            if shard.recorder.isTraced {
                let refusal = Refusal(.tooLarge, "A message is longer than the limit limits.message.")
                shard.recorder.refused(refusal, (self as? TopicSession)?.topic.name ?? "", client.id)
            }
        }
        shard.witness?.left(client, end.with(stream.traffic))
    }

    private func leave() {
        shard.endpoints.forgetFrame(of: stream.slot)
        shard.leave(self)
    }

    func sendSnapshot(_ message: Message) {
        if isPacked { return socket.send(.binary, PackedMessage.encode(message, as: "message", isSnapshot: true)) }
        let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: true)
        socket.send(.text, object)
    }

    /// Sends an object, as JSON or MessagePack.
    final func tell(_ object: [UInt8]) {
        guard isPacked else { return socket.send(.text, object) }
        var writer = PackedWriter(capacity: object.count + 16)
        if writer.value(json: object.span) { socket.send(.binary, writer.bytes) }
    }

    func sendLive(_ filter: TopicFilter, seq: UInt64) {
        tell(Notices.live(filter, seq: seq, on: shard))
    }

    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {
        tell(Notices.gap(filter, gap, on: shard))
    }

    func sendUndone(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts?) {
        tell(Notices.gap(filter, gap, parts, on: shard))
    }

    /// Nobody is told: all publications of other sockets have completions.
    func publicationRefused(_ refusal: Refusal) {}

    func revoked(_ filter: TopicFilter, _ refusal: Refusal) {
        closeWith(refusal)
    }

    /// Closes the socket with a refusal that the endpoint cannot report in any other way.
    final func closeWith(_ refusal: Refusal) {
        shard.counters.failed(with: refusal.code)
        socket.close(CloseCode(refusal), reason: refusal.message)
    }

    func takeOverLimits() {
        let settings = shard.endpoints.settings
        socket.adopt(hasOperation ? settings.objectOptions : settings.socketOptions)
    }

    func timeHasCome(for reason: Alarms.Reason) {
        if reason == .expired { end(.unauthenticated("expired")) }
    }

    func end(_ reason: SessionEnd) { socket.end(reason) }
}

extension WebSocketConnection {
    /// Closes the socket with the reason.
    func end(_ reason: SessionEnd) {
        switch reason {
        case .slow(let what): closeSlowReader(what)
        case .failed(let what): close(.internalError, reason: what)
        case .restarting(let retry): close(.serviceRestart, reason: "retry=\(retry)")
        case .kicked(let why): close(.kicked, reason: why)
        case .unauthenticated(let why): close(.unauthenticated, reason: why)
        }
    }
}

extension JSONWriter {
    /// Writes where a client is: `seq`, or with several logs `position`.
    mutating func position(_ seq: UInt64, on shard: Shard) {
        if let position = shard.position(at: seq) { member("position", position) } else { member("seq", seq) }
    }
}

/// The notices that the broker sends to subscribers besides messages.
enum Notices {
    /// The marker after the retained values.
    static func live(_ filter: TopicFilter, seq: UInt64, on shard: Shard) -> [UInt8] {
        var writer = JSONWriter(capacity: 96)
        writer.beginObject()
        writer.member("op", "live")
        writer.member("filter", filter.name)
        writer.position(seq, on: shard)
        writer.endObject()
        return writer.bytes
    }

    /// The notice that a subscription has ended because its right was withdrawn.
    static func revoked(_ filter: TopicFilter, _ refusal: Refusal) -> [UInt8] {
        var writer = JSONWriter(capacity: 96)
        writer.beginObject()
        writer.member("op", "revoked")
        writer.member("filter", filter.name)
        writer.member("message", refusal.message)
        writer.endObject()
        return writer.bytes
    }

    /// The notice about messages that were not delivered and will not be.
    ///
    /// - Parameter parts: its numbers in each of several logs; `nil`: as the gap says.
    static func gap(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts? = nil, on shard: Shard) -> [UInt8] {
        var writer = JSONWriter(capacity: 96)
        writer.beginObject()
        writer.member("op", "gap")
        writer.member("filter", filter.name)
        if let parts {
            writer.member("since", shard.text(of: parts.since))
            writer.member("position", shard.text(of: parts.seq))
        } else {
            if let since = shard.position(at: gap.since) {
                writer.member("since", since)
            } else {
                writer.member("since", gap.since)
            }
            writer.position(gap.seq, on: shard)
        }
        if let missed = gap.missed { writer.member("missed", missed) }
        if gap.isUndone { writer.member("undone", true) }
        writer.endObject()
        return writer.bytes
    }
}

extension CloseCode {
    static let badRequest = CloseCode(rawValue: 4400)
    static let unauthenticated = CloseCode(rawValue: 4401)
    static let forbidden = CloseCode(rawValue: 4403)
    /// The client has not authenticated in time.
    static let tooLate = CloseCode(rawValue: 4408)
    static let kicked = CloseCode(rawValue: 4410)
    static let tooManyMessages = CloseCode(rawValue: 4429)

    /// The close code for a refused publication on a socket without error messages.
    init(_ refusal: Refusal) {
        self =
            switch refusal.code {
            case .forbidden: .forbidden
            case .unauthenticated: .unauthenticated
            case .rateLimited: .tooManyMessages
            case .unavailable: .tryAgainLater
            case .storageFull, .internal: .internalError
            default: .badRequest
            }
    }
}
