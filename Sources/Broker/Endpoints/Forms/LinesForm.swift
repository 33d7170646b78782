internal import WSTransport

/// Messages as lines of JSON.
final class LinesForm: TextForm, WireForm {
    private let isChunked: Bool

    /// - Parameter isChunked: `false` for HTTP/1.0, which has no chunked coding.
    init(isChunked: Bool) { self.isChunked = isChunked }

    var isEvents: Bool { false }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        encode(message, into: reactor, lane: lane, isChunked: isChunked)
    }

    func text(of message: Message, isSnapshot: Bool, isPlaced: Bool) -> [UInt8] {
        MessageObject.encode(message, hasOperation: false, isSnapshot: isSnapshot) + [10]
    }

    func notice(_ name: String, _ object: [UInt8], seq: UInt64?) -> [UInt8] { object + [10] }
}
