internal import WSTransport

/// The forms in which the endpoints of one reactor send messages, each registered with its shard.
///
/// A further form is a file beside this one and a line here.
package final class Forms {
    package let topic: SocketLanes
    package let json: SocketLanes
    package let packed: SocketLanes
    package let subscription: SocketLanes
    let lines: StreamForm
    let plainLines: StreamForm
    let events: StreamForm
    let plainEvents: StreamForm

    init(on shard: Shard, compression: DeflatedForm.Compression) {
        func lanes(_ form: any FrameForm, of endpoint: ClientEndpoint) -> SocketLanes {
            SocketLanes(
                plain: shard.register(form, of: endpoint),
                wide: shard.register(DeflatedForm(of: form, windowBits: 15, compression), of: endpoint),
                narrow: shard.register(DeflatedForm(of: form, windowBits: 9, compression), of: endpoint))
        }
        func stream(_ form: any TextForm & WireForm, of endpoint: ClientEndpoint) -> StreamForm {
            StreamForm(text: form, lane: shard.register(form, of: endpoint))
        }
        topic = lanes(TopicForm(), of: .topic)
        json = lanes(JSONForm(hasOperation: true), of: .json)
        packed = lanes(PackedForm(), of: .msgpack)
        subscription = lanes(JSONForm(hasOperation: false), of: .subscription)
        lines = stream(LinesForm(isChunked: true), of: .lines)
        plainLines = stream(LinesForm(isChunked: false), of: .lines)
        events = stream(EventsForm(epoch: shard.store.epoch, isChunked: true), of: .events)
        plainEvents = stream(EventsForm(epoch: shard.store.epoch, isChunked: false), of: .events)
    }
}

/// The lanes of one form of frames: as it is, and compressed.
package struct SocketLanes {
    package let plain: Lane
    /// Compressed for windows of 15 bits.
    let wide: Lane
    /// Compressed for any window: for the few clients that ask for a smaller one.
    let narrow: Lane

    /// The lane for sockets that share messages compressed with so many window bits; `nil`: none.
    func lane(windowBits: Int?) -> Lane {
        guard let windowBits else { return plain }
        return windowBits == 15 ? wide : narrow
    }
}

/// A form of messages in an answer that does not end, with its lane.
struct StreamForm {
    let text: any TextForm
    let lane: Lane
}

/// A form of messages in a stream of text.
protocol TextForm: AnyObject {
    /// Whether it is server-sent events.
    var isEvents: Bool { get }

    /// The bytes of a message, before they are framed as a chunk.
    func text(of message: Message, isSnapshot: Bool) -> [UInt8]

    /// The bytes of a notice of that name.
    ///
    /// - Parameter seq: everything up to this number is known to the client that has seen it; `nil`: it says nothing of that.
    func notice(_ name: String, _ object: [UInt8], seq: UInt64?) -> [UInt8]
}

extension TextForm {
    /// The bytes of a message that comes live, as a chunk of HTTP/1.1 or, for HTTP/1.0, as they are.
    func encode(_ message: Message, into reactor: Reactor, lane: Lane, isChunked: Bool) -> Segment {
        let text = text(of: message, isSnapshot: false)
        let bytes = isChunked ? HTTPStream.chunk(text) : text
        return unsafe bytes.withUnsafeBytes { unsafe reactor.encode(lane: Int(lane.number), $0) }
    }
}
