internal import WSTransport

/// The message forms of one reactor's endpoints, each registered with its shard.
///
/// To add a form, add a file to this folder and a line here.
package final class Forms {
    package let topic: SocketLanes
    package let json: SocketLanes
    package let packed: SocketLanes
    package let subscription: SocketLanes
    let lines: StreamForm
    let plainLines: StreamForm
    let events: StreamForm
    let plainEvents: StreamForm
    private let eventForms: [EventsForm]

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
        let form = EventsForm(epoch: shard.store.epoch, isChunked: true)
        let plainForm = EventsForm(epoch: shard.store.epoch, isChunked: false)
        events = stream(form, of: .events)
        plainEvents = stream(plainForm, of: .events)
        eventForms = [form, plainForm]
    }

    /// Takes the epoch of the store, after that has adopted the epoch of other brokers.
    package func adopt(epoch: UInt64) { for form in eventForms { form.adopt(epoch: epoch) } }
}

/// The lanes of one frame form: uncompressed and compressed.
package struct SocketLanes {
    package let plain: Lane
    /// Compressed with a window of 15 bits.
    let wide: Lane
    /// Compressed with the smallest window, for the few clients that ask for less than 15 bits.
    let narrow: Lane

    /// The lane for sockets with these window bits; `nil` for sockets without compression.
    func lane(windowBits: Int?) -> Lane {
        guard let windowBits else { return plain }
        return windowBits == 15 ? wide : narrow
    }
}

/// A form of messages in a streamed HTTP response, with its lane.
struct StreamForm {
    let text: any TextForm
    let lane: Lane
}

/// A form of messages in a streamed HTTP response.
protocol TextForm: AnyObject {
    /// Whether the form is server-sent events.
    var isEvents: Bool { get }

    /// The bytes of a message, before they are framed as a chunk.
    ///
    /// - Parameter isPlaced: whether they may say its place, if the form does.
    func text(of message: Message, isSnapshot: Bool, isPlaced: Bool) -> [UInt8]

    /// The bytes of a notice.
    ///
    /// - Parameter seq: a client that has received the notice has everything up to this number; `nil` if that is not
    ///   known.
    func notice(_ name: String, _ object: [UInt8], seq: UInt64?) -> [UInt8]
}

extension TextForm {
    /// The bytes of a message, with its place if the form says it.
    func text(of message: Message, isSnapshot: Bool) -> [UInt8] {
        text(of: message, isSnapshot: isSnapshot, isPlaced: true)
    }

    /// Encodes a live message: as a chunk for HTTP/1.1, unframed for HTTP/1.0.
    func encode(_ message: Message, into reactor: Reactor, lane: Lane, isChunked: Bool) -> Segment {
        let text = text(of: message, isSnapshot: false)
        let bytes = isChunked ? HTTPStream.chunk(text) : text
        return unsafe bytes.withUnsafeBytes { unsafe reactor.encode(lane: Int(lane.number), $0) }
    }
}
