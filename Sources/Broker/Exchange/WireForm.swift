package import WSTransport

/// The ways a message looks on a wire.
///
/// Its number is the lane its frames are encoded in.
package enum WireForm: UInt8, Sendable {
    /// A frame with the payload as it was published.
    case topic = 1
    /// A text frame with a JSON object that has `op`.
    case json = 2
    /// A text frame with a JSON object without `op`.
    case subscription = 3
    /// An HTTP chunk with a line of JSON.
    case lines = 4
    /// An HTTP chunk with a server-sent event.
    case events = 5
    /// As ``topic``, ``json`` and ``subscription``, compressed for windows of 15 bits.
    case compressedTopic = 6
    case compressedJSON = 7
    case compressedSubscription = 8
    /// The same, compressed for any window: for the few clients that ask for a smaller one.
    case narrowTopic = 9
    case narrowJSON = 10
    case narrowSubscription = 11
    /// As ``lines`` and ``events``, for HTTP/1.0, which has no chunks.
    case plainLines = 12
    case plainEvents = 13

    /// This form of messages for sockets that share messages compressed with so many window bits; `nil`: none.
    func compressed(windowBits: Int?) -> WireForm {
        guard let windowBits else { return self }
        let isWide = windowBits == Self.wideWindowBits
        return switch self {
        case .topic: isWide ? .compressedTopic : .narrowTopic
        case .json: isWide ? .compressedJSON : .narrowJSON
        case .subscription: isWide ? .compressedSubscription : .narrowSubscription
        default: self
        }
    }

    private static let wideWindowBits = 15
    private static let narrowWindowBits = 9

    private var windowBits: Int? {
        switch self {
        case .topic, .json, .subscription, .lines, .events, .plainLines, .plainEvents: nil
        case .compressedTopic, .compressedJSON, .compressedSubscription: Self.wideWindowBits
        case .narrowTopic, .narrowJSON, .narrowSubscription: Self.narrowWindowBits
        }
    }

    /// The bytes of a message that comes live, encoded into the reactor's arena for everybody of this form.
    ///
    /// - Parameters:
    ///   - places: ``places(in:)`` of the store's epoch, which events name with their number.
    ///   - compression: when a compressed form is worth it; `nil`: never.
    func encode(
        _ message: Message, on reactor: Reactor, places: [UInt8], compression: CompressionOptions? = nil
    ) -> Segment {
        switch self {
        case .topic, .compressedTopic, .narrowTopic:
            return unsafe message.payload.withUnsafeBytes { payload in
                unsafe frame(message.opcode, payload, on: reactor, compression)
            }
        case .json, .compressedJSON, .narrowJSON:
            return object(of: message, hasOperation: true, on: reactor, compression)
        case .subscription, .compressedSubscription, .narrowSubscription:
            return object(of: message, hasOperation: false, on: reactor, compression)
        case .lines, .events:
            let chunk = HTTPStream.chunk(text(of: message, places: places, isSnapshot: false))
            return unsafe chunk.withUnsafeBytes { unsafe reactor.encode(lane: Int(rawValue), $0) }
        case .plainLines, .plainEvents:
            let text = text(of: message, places: places, isSnapshot: false)
            return unsafe text.withUnsafeBytes { unsafe reactor.encode(lane: Int(rawValue), $0) }
        }
    }

    private func object(
        of message: Message, hasOperation: Bool, on reactor: Reactor, _ compression: CompressionOptions?
    ) -> Segment {
        let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false)
        return unsafe object.withUnsafeBytes { unsafe frame(.text, $0, on: reactor, compression) }
    }

    private func frame(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, on reactor: Reactor, _ compression: CompressionOptions?
    ) -> Segment {
        let lane = Int(rawValue)
        if let windowBits, let compression, payload.count >= compression.minimum,
            let compressed = unsafe reactor.deflatePool.deflate(
                payload, windowBits: windowBits, level: compression.level)
        {
            return unsafe compressed.withUnsafeBytes { compressed in
                unsafe WebSocketConnection.encode(opcode, compressed, isCompressed: true, lane: lane, on: reactor)
            }
        }
        return unsafe WebSocketConnection.encode(opcode, payload, lane: lane, on: reactor)
    }

    /// Whether it is server-sent events.
    var isEvents: Bool { self == .events || self == .plainEvents }

    /// The bytes of a message in a stream of text, before they are framed as a chunk.
    func text(of message: Message, places: [UInt8], isSnapshot: Bool) -> [UInt8] {
        let object = MessageObject.encode(message, hasOperation: false, isSnapshot: isSnapshot)
        guard isEvents else { return object + [10] }
        // Values come in the order of their topics: a client that has seen one has not seen all up to its number.
        var text: [UInt8] = []
        text.reserveCapacity(object.count + 56)
        if !isSnapshot { Self.appendPlace(message.seq, in: places, to: &text) }
        text += "data: ".utf8
        text += object
        text.append(10)
        text.append(10)
        return text
    }

    /// The line of an event that says where a client is that has seen it: a number alone means nothing to another store.
    ///
    /// - Parameter places: ``places(in:)`` of the store's epoch.
    static func appendPlace(_ seq: UInt64, in places: [UInt8], to text: inout [UInt8]) {
        text += places
        // By hand, as it is done for each message, and a string of it would have to be allocated.
        var digits = InlineArray<21, UInt8>(repeating: 10)
        var (start, rest) = (20, seq)
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        while start < 21 {
            text.append(digits[start])
            start += 1
        }
    }

    /// What such lines of a store begin with.
    static func places(in epoch: UInt64) -> [UInt8] { Array("id: \(epoch)-".utf8) }
}

extension Message {
    /// The opcode its payload travels in on a topic socket.
    package var opcode: Opcode { kind == .binary ? .binary : .text }
}
