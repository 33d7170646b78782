internal import WSTransport

/// A topic socket: frames in are published, messages out are the frames that were published.
class TopicSession: ClientSocket {
    static let subprotocol = "broker.topic.v1"

    struct Options {
        /// What is sent here is retained.
        var isRetaining = false
        /// What comes, and since when.
        var subscribe = SubscribeOptions()
    }

    // In this order, as it fits into what is left of the superclass's last word.
    private let isRetaining: Bool
    private let topic: Topic

    init(shard: Shard, socket: WebSocketConnection, client: Client, topic: Topic, options: Options) {
        self.topic = topic
        isRetaining = options.isRetaining
        super.init(shard: shard, socket: socket, client: client, lanes: shard.endpoints.forms.topic)
        do throws(Refusal) {
            _ = try shard.subscribe(self, to: TopicFilter(topic), options.subscribe)
        } catch {
            closeWith(error)
        }
    }

    final override func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        do throws(Refusal) {
            try publish(opcode, payload)
        } catch {
            return closeWith(error)
        }
        if !shard.takesMore(from: stream.slot) { rest() }
    }

    /// Publishes what has come.
    fileprivate func publish(_ opcode: Opcode, _ payload: Span<UInt8>) throws(Refusal) {
        try shard.publish(draft(opcode, payload), by: client, from: stream)
    }

    /// In one piece: what is put together step by step is copied on its way out.
    @inline(__always)
    fileprivate final func draft(_ opcode: Opcode, _ payload: Span<UInt8>) -> Draft {
        Draft(
            topic: topic, payload: Array(copying: payload), kind: opcode == .text ? .text : .binary,
            isRetained: isRetaining, acknowledgement: isRetaining ? .stored : .routed,
            completion: isRetaining || shard.keepsHistory ? closeWhereRefused : nil)
    }

    /// There is no other way here to say that a message was refused, or a value not stored.
    private var closeWhereRefused: (Result<Receipt, Refusal>) -> Void {
        { [weak socket, counters = shard.counters] result in
            guard case .failure(let refusal) = result else { return }
            counters.failed(with: refusal.code)
            socket?.close(CloseCode(refusal), reason: refusal.message)
        }
    }

    final override func sendSnapshot(_ message: Message) { socket.send(message.opcode, message.payload) }

    /// A frame that nobody published has no place here.
    final override func sendLive(_ filter: TopicFilter, seq: UInt64) {}

    /// Nor has a notice, so who falls too far behind is told by the close code.
    ///
    /// What was lost before it came back is not told: it gets the retained value instead, if that is newer.
    final override func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {
        if !isResuming { end(.slow("messages were lost")) }
    }
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

/// A topic socket whose messages live for a time only.
///
/// A class of its own, as the others need not have the room for it.
final class ExpiringTopicSession: TopicSession {
    /// In milliseconds.
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

extension Array where Element == UInt8 {
    /// The bytes of a view that ends with the call.
    init(copying span: Span<UInt8>) {
        self = unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
    }
}
