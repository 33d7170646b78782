internal import WSTransport

/// A topic socket: received frames are published, and sent frames are published messages.
class TopicSession: ClientSocket {
    static let subprotocol = "broker.topic.v1"

    struct Options {
        /// Whether received messages are retained.
        var isRetaining = false
        /// The options of the subscription.
        var subscribe = SubscribeOptions()
    }

    // In this order, because the flag fits into the padding of the superclass.
    private let isRetaining: Bool
    let topic: Topic

    init(shard: Shard, socket: WebSocketConnection, client: Client, topic: Topic, options: Options) {
        self.topic = topic
        isRetaining = options.isRetaining
        super.init(shard: shard, socket: socket, client: client, lanes: shard.endpoints.forms.topic)
        if shard.isAhead(options.subscribe.since) {
            shard.afterReaching(options.subscribe.since) { [self] in subscribe(options.subscribe) }
        } else {
            subscribe(options.subscribe)
        }
    }

    private func subscribe(_ options: SubscribeOptions) {
        do throws(Refusal) { _ = try shard.subscribe(self, to: TopicFilter(topic), options) } catch { closeWith(error) }
    }

    final override func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        do throws(Refusal) {
            try publish(opcode, payload)
        } catch {
            return closeWith(error)
        }
        if !shard.takesMore(from: stream.slot, bytes: payload.count) { rest() }
    }

    /// Publishes a received message.
    fileprivate func publish(_ opcode: Opcode, _ payload: Span<UInt8>) throws(Refusal) {
        try shard.publish(draft(opcode, payload), by: client, from: stream)
    }

    /// One expression: a value that is built step by step is copied on its way.
    @inline(__always)
    fileprivate final func draft(_ opcode: Opcode, _ payload: Span<UInt8>) -> Draft {
        Draft(
            Message(
                topic: topic, payload: payload, kind: opcode == .text ? .text : .binary, isRetained: isRetaining,
                seq: 0, time: 0, origin: client.id),
            acknowledgement: isRetaining ? .stored : .routed,
            completion: isRetaining || shard.keepsHistory ? closeWhereRefused : nil)
    }

    /// Closing is the only way here to report that a message was refused, or a value not stored.
    private var closeWhereRefused: (Result<Receipt, Refusal>) -> Void {
        { [weak socket, counters = shard.counters] result in
            guard case .failure(let refusal) = result else { return }
            counters.failed(with: refusal.code)
            socket?.close(CloseCode(refusal), reason: refusal.message)
        }
    }

    /// Without a history, a publication that is not retained has no completion: nearly all are accepted.
    final override func publicationRefused(_ refusal: Refusal) { closeWhereRefused(.failure(refusal)) }

    final override func sendSnapshot(_ message: Message) {
        unsafe message.payload.withUnsafeBytes { unsafe socket.send(message.opcode, $0) }
    }

    /// No marker: frames on this socket are published messages only.
    final override func sendLive(_ filter: TopicFilter, seq: UInt64) {}

    /// No notice, for the same reason: a client that falls too far behind gets a close code.
    ///
    /// A gap from before a reconnect is not reported: the client gets the retained value instead, if that is newer.
    final override func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {
        if !isResuming { end(.slow("messages were lost")) }
    }

    final override func sendUndone(_ filter: TopicFilter, _ gap: Gap, _ parts: Gap.Parts?) {}
}

/// A topic socket whose messages are ephemeral values.
final class EphemeralTopicSession: TopicSession {
    private let lease: Lease

    init(
        shard: Shard, socket: WebSocketConnection, client: Client, topic: Topic, options: Options, lease: Lease
    ) {
        self.lease = lease
        super.init(shard: shard, socket: socket, client: client, topic: topic, options: options)
    }

    override fileprivate func publish(_ opcode: Opcode, _ payload: Span<UInt8>) throws(Refusal) {
        var draft = draft(opcode, payload)
        (draft.condition, draft.acknowledgement) = (.ephemeral(lease), .routed)
        try shard.publish(draft, by: client, from: stream)
    }
}

/// A topic socket whose messages expire.
///
/// A separate class, so that other sessions need no room for the time.
final class ExpiringTopicSession: TopicSession {
    /// The time to live, in milliseconds.
    private let timeToLive: Int64

    init(
        shard: Shard, socket: WebSocketConnection, client: Client, topic: Topic, options: Options, timeToLive: Int64
    ) {
        self.timeToLive = timeToLive
        super.init(shard: shard, socket: socket, client: client, topic: topic, options: options)
    }

    override fileprivate func publish(_ opcode: Opcode, _ payload: Span<UInt8>) throws(Refusal) {
        var draft = draft(opcode, payload)
        draft.timeToLive = timeToLive
        try shard.publish(draft, by: client, from: stream)
    }
}
