internal import WSTransport

/// A form of messages as WebSocket frames.
protocol FrameForm: WireForm {
    /// Passes the payload of a live message's frame to `body`; returns `nil` if the form has no frame for the message.
    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment?
}

extension FrameForm {
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        unsafe withPayload(of: message) { (opcode, payload) in
            unsafe WebSocketConnection.encode(opcode, payload, lane: Int(lane.number), on: reactor)
        }
    }
}

/// The frames of another form, compressed once for all sockets (RFC 7692, without context takeover).
final class DeflatedForm: WireForm {
    private let form: any FrameForm
    private let windowBits: Int
    private let compression: Compression

    /// The compression options, which a reload may change.
    final class Compression {
        /// The options; `nil` disables compression.
        var options: CompressionOptions?
        init(_ options: CompressionOptions?) { self.options = options }
    }

    init(of form: any FrameForm, windowBits: Int, _ compression: Compression) {
        self.form = form
        self.windowBits = windowBits
        self.compression = compression
    }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        unsafe form.withPayload(of: message) { (opcode, payload) in
            guard let compression = compression.options, payload.count >= compression.minimum,
                let compressed = unsafe reactor.deflatePool.deflate(
                    payload, windowBits: windowBits, level: compression.level)
            else {
                return unsafe WebSocketConnection.encode(opcode, payload, lane: Int(lane.number), on: reactor)
            }
            return unsafe compressed.withUnsafeBytes { compressed in
                unsafe WebSocketConnection.encode(
                    opcode, compressed, isCompressed: true, lane: Int(lane.number), on: reactor)
            }
        }
    }
}
