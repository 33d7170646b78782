internal import WSTransport

/// A form of messages as WebSocket frames.
protocol FrameForm: WireForm {
    /// What the frame of a message that comes live holds.
    func payload(of message: Message) -> (opcode: Opcode, bytes: [UInt8])
}

extension FrameForm {
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment {
        let (opcode, bytes) = payload(of: message)
        return unsafe bytes.withUnsafeBytes { payload in
            unsafe WebSocketConnection.encode(opcode, payload, lane: Int(lane.number), on: reactor)
        }
    }
}

/// Frames of another form, compressed once for all that take them so (RFC 7692, without a context that is taken over).
final class DeflatedForm: WireForm {
    private let form: any FrameForm
    private let windowBits: Int
    private let compression: Compression

    /// When compressing is worth it, which a reload may change.
    final class Compression {
        /// `nil`: never.
        var options: CompressionOptions?
        init(_ options: CompressionOptions?) { self.options = options }
    }

    init(of form: any FrameForm, windowBits: Int, _ compression: Compression) {
        self.form = form
        self.windowBits = windowBits
        self.compression = compression
    }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment {
        let (opcode, bytes) = form.payload(of: message)
        return unsafe bytes.withUnsafeBytes { payload in
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
