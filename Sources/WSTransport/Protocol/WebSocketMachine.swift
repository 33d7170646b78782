/// One side of a WebSocket connection after its handshake: bytes in, events out (RFC 6455).
///
/// It knows no socket, clock or thread. Frames are unmasked in place; a message that is complete in one input is
/// reported as a range of it and never copied. Data that an input cuts is kept: at most a header, a control payload of
/// 125 bytes, and the message under way up to its limit. An idle machine holds no memory beyond its own.
package struct WebSocketMachine: ~Copyable {
    /// Which side of the connection this is: the client masks, the server must not (RFC 6455 §5.1).
    package enum Role: Sendable { case server, client }

    /// The state of the closing handshake (RFC 6455 §7.1).
    package enum State: Equatable, Sendable {
        /// Messages flow both ways.
        case open
        /// Our CLOSE has been sent, the peer's is expected; nothing else from the peer is reported.
        case closing
        /// The handshake is complete or the peer failed; further input is discarded.
        case closed
    }

    /// The place of an event's bytes.
    package enum Payload: Equatable, Sendable {
        /// A range of the input, unmasked in place.
        case input(Range<Int>)
        /// Bytes that arrived in several inputs or fragments.
        case assembled([UInt8])
    }

    /// An event in the peer's bytes.
    package enum Event: Equatable, Sendable {
        /// A whole message; the opcode is `.text`, and the payload valid UTF-8, or `.binary`.
        case message(Opcode, Payload)
        /// A further part of a message, not empty; its last one is a `.message`. Only with ``handsOverParts``.
        ///
        /// A character of a text may be cut between two parts.
        case part(Opcode, Payload)
        /// The peer's PING, at most 125 bytes: answer with a PONG of the same payload.
        case ping(Payload)
        /// The peer's PONG, at most 125 bytes.
        case pong(Payload)
        /// The peer's CLOSE: send `reply`, then close.
        ///
        /// `code` is `nil` if the body was empty (to be reported as 1005); `reply` is empty if our CLOSE was first.
        case close(code: CloseCode?, reason: String, reply: [UInt8])
        /// The peer violated the protocol or a limit: send `frame`, then close.
        ///
        /// `frame` is a CLOSE with the same code and reason; it is empty if our CLOSE was sent before.
        case failed(CloseCode, reason: String, frame: [UInt8])
    }

    /// The state of the closing handshake.
    package private(set) var state = State.open

    private let role: Role
    // Small properties are together here and below to save padding in every connection.
    private var isFinal = false
    /// Whether a message that is not complete in one input is handed over in parts as it arrives, and not kept.
    ///
    /// The limit of a message's size then applies to each frame, and to the inflated size of one input.
    var handsOverParts = false
    private let maximumFragments: Int32
    /// In bytes, over all fragments; a change also applies to the rest of a message under way.
    var maximumMessageSize: Int
    /// permessage-deflate, if it was agreed on.
    let compression: MessageCompression?
    /// Makes the masking keys; `nil`: random ones.
    private let maskingKeys: MaskingKeys?

    /// The header under way, if an input ended within it.
    private var partialHeader = InlineArray<14, UInt8>(repeating: 0)
    private var partialHeaderCount: UInt8 = 0

    /// Whether the header of a frame has been read and its payload is not complete.
    private var isInFrame = false
    private var frameOpcode = Opcode.continuation
    private var validator = UTF8Validator()
    /// The key for the next byte of the payload.
    private var frameKey = MaskingKey(word: 0)
    private var frameRemaining = 0

    /// The kind of the message under way; `.continuation` if there is none.
    private var messageOpcode = Opcode.continuation
    /// Whether that message is compressed.
    private var isCompressed = false
    private var fragmentCount: Int32 = 0
    private var assembled: [UInt8] = []
    private var control: [UInt8] = []

    /// Makes a machine for a connection after its handshake.
    ///
    /// `maximumMessageSize` is in bytes, over all fragments; exactly as many are allowed. `maximumFragments` limits the
    /// frames of one message. A compressed message is inflated as it arrives, and its limit applies to the inflated
    /// size. `makeMaskingKey` is called once for every frame that a client's machine makes, and never for a server's;
    /// `nil`: the keys are random.
    package init(
        role: Role, maximumMessageSize: Int, maximumFragments: Int = 1 << 20, compression: MessageCompression? = nil,
        makeMaskingKey: (@Sendable () -> MaskingKey)? = nil
    ) {
        self.role = role
        self.maximumMessageSize = max(0, maximumMessageSize)
        self.maximumFragments = Int32(clamping: maximumFragments)
        self.compression = compression
        maskingKeys = makeMaskingKey.map { MaskingKeys(make: $0) }
    }

    // An object, because a closure would take twice as much in every connection.
    private final class MaskingKeys: Sendable {
        let make: @Sendable () -> MaskingKey
        init(make: @escaping @Sendable () -> MaskingKey) { self.make = make }
    }

    /// Whether a frame or a fragmented message has begun and is not complete.
    package var isMidMessage: Bool {
        isInFrame || partialHeaderCount > 0 || messageOpcode != .continuation
    }

    /// Whether the message of the last `.message` event was compressed; valid until the next input is read.
    package var messageWasCompressed: Bool { isCompressed }

    /// How many bytes of earlier inputs are kept.
    package var bufferedBytes: Int { assembled.count &+ control.count &+ Int(partialHeaderCount) }

    /// What they take of the memory, in bytes.
    package var heldBytes: Int { assembled.capacity &+ control.capacity }

    /// Both of these.
    var receiveProgress: (heldBytes: Int, isMidMessage: Bool) { (heldBytes, isMidMessage) }

    /// The next event in `input`, from `offset` on; `nil` when all of the input is consumed.
    ///
    /// Moves `offset` past what was read and unmasks in place. Call it again with the same input until `nil`, then
    /// with the next one from its start. A range in the event is valid until `input` changes. After `.close` and
    /// `.failed` there are no more events.
    package mutating func next(_ input: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> Event? {
        if let (opcode, range) = unsafe nextWhole(input, &offset) { return .message(opcode, .input(range)) }
        while state != .closed {
            if !isInFrame {
                guard offset < input.count else { return nil }
                switch unsafe readHeader(UnsafeRawBufferPointer(input), &offset) {
                case .incomplete: return nil
                case .violation(let violation): return fail(violation)
                case .whole(let header, _):
                    if let violation = begin(header) { return fail(violation) }
                }
            } else if offset >= input.count {
                return nil
            }
            if let event = unsafe readPayload(input, &offset) { return event }
        }
        offset = input.count
        return nil
    }

    /// Our CLOSE: the frame to send, or `nil` when one was sent already.
    ///
    /// A code that is not valid on the wire, as 1005, makes a CLOSE without a body; the reason is cut to 123 bytes at a
    /// character. The message under way is forgotten. After it only the peer's CLOSE, or a failure, is reported.
    package mutating func close(_ code: CloseCode, reason: String = "") -> [UInt8]? {
        guard state == .open else { return nil }
        state = .closing
        assembled = []
        compression?.forgetReceived()
        return FrameEncoder.closeFrame(code, reason: reason, maskingKey: ownMaskingKey())
    }

    private func ownMaskingKey() -> MaskingKey? {
        role == .client ? maskingKeys?.make() ?? .random() : nil
    }

    private mutating func fail(_ violation: ProtocolViolation) -> Event {
        let frame =
            state == .open
            ? FrameEncoder.closeFrame(violation.code, reason: violation.reason, maskingKey: ownMaskingKey()) : []
        end()
        return .failed(violation.code, reason: violation.reason, frame: frame)
    }

    private mutating func end() {
        state = .closed
        assembled = []
        compression?.forgetReceived()
        control = []
        partialHeaderCount = 0
        isInFrame = false
        messageOpcode = .continuation
    }
}

// MARK: - Frames

extension WebSocketMachine {
    /// The next message, if it is one frame, not compressed, all of it in `input` and valid, as nearly all are.
    ///
    /// `nil`: it is anything else, and nothing has been read: ``next(_:_:)`` has to. That reports these messages, too, but
    /// an event takes some instructions to copy and to release.
    @inline(__always)
    mutating func nextWhole(
        _ input: UnsafeMutableRawBufferPointer, _ offset: inout Int
    ) -> (opcode: Opcode, range: Range<Int>)? {
        guard state == .open, !isInFrame, partialHeaderCount == 0, messageOpcode == .continuation else { return nil }
        let (count, mask) = (input.count &- offset, role == .server ? 4 : 0)
        guard count >= 4 &+ mask else { return nil }
        let (first, second) = unsafe (input[offset], input[offset &+ 1])
        // The only frame of a message, text (1) or binary (2), and no other bit is set.
        guard first == 0x81 || first == 0x82, (second & 0x80 != 0) == (mask > 0) else { return nil }
        var (length, header) = (Int(second & 0x7F), 2 &+ mask)
        if length > 125 {
            guard length == 126 else { return nil }
            length = Int(unsafe UInt16(bigEndian: input.loadUnaligned(fromByteOffset: offset &+ 2, as: UInt16.self)))
            header &+= 2
            guard length > 125 else { return nil }
        }
        guard length <= count &- header, length <= maximumMessageSize else { return nil }
        let start = offset &+ header
        let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: input[start..<start &+ length])
        var key = MaskingKey(word: 0)
        if mask > 0 {
            let word = unsafe input.loadUnaligned(fromByteOffset: start &- mask, as: UInt32.self)
            key = MaskingKey(word: UInt32(littleEndian: word))
        }
        let isASCII = unsafe key.applyTellingASCII(to: payload)
        if !isASCII, first == 0x81, unsafe !UTF8Validator.isValid(UnsafeRawBufferPointer(payload)) {
            // Masked again, for those that say what is wrong.
            unsafe key.apply(to: payload)
            return nil
        }
        isCompressed = false
        offset = start &+ length
        return (Opcode(rawValue: first), start..<offset)
    }

    private mutating func readHeader(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> FrameHeader.Reading {
        let mustBeMasked = role == .server
        if partialHeaderCount == 0 {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: input[offset...])
            let reading = unsafe FrameHeader.read(
                rest, isMasked: mustBeMasked, allowsCompression: compression != nil)
            if case .whole(_, let byteCount) = reading {
                offset &+= byteCount
                return reading
            }
            guard case .incomplete = reading else { return reading }
        }
        while offset < input.count, Int(partialHeaderCount) < FrameHeader.maximumByteCount {
            partialHeader[Int(partialHeaderCount)] = unsafe input[offset]
            partialHeaderCount &+= 1
            offset &+= 1
            let count = Int(partialHeaderCount)
            let reading = unsafe partialHeader.span.withUnsafeBytes { bytes in
                unsafe FrameHeader.read(
                    UnsafeRawBufferPointer(rebasing: bytes[..<count]), isMasked: mustBeMasked,
                    allowsCompression: compression != nil)
            }
            guard case .incomplete = reading else {
                partialHeaderCount = 0
                return reading
            }
        }
        return .incomplete
    }

    /// Takes up the frame that `header` announces, or says why not.
    private mutating func begin(_ header: FrameHeader) -> ProtocolViolation? {
        if !header.opcode.isControl {
            if header.opcode == .continuation {
                guard messageOpcode != .continuation else { return .orphanContinuation }
                fragmentCount &+= 1
            } else {
                guard messageOpcode == .continuation else { return .messageInsideMessage }
                messageOpcode = header.opcode
                isCompressed = header.isCompressed
                fragmentCount = 1
            }
            // What comes after our CLOSE is only skipped, so it needs no limit.
            if state == .open {
                guard isCompressed || header.payloadLength <= maximumMessageSize &- assembled.count else {
                    return .messageTooBig
                }
                guard fragmentCount <= maximumFragments else { return .tooManyFragments }
            }
        }
        isInFrame = true
        isFinal = header.isFinal
        frameOpcode = header.opcode
        frameKey = header.maskingKey
        frameRemaining = header.payloadLength
        return nil
    }

    private mutating func readPayload(_ input: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> Event? {
        let count = min(frameRemaining, input.count &- offset)
        let range = offset..<offset &+ count
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: input[range])
        offset = range.upperBound
        frameRemaining &-= count
        isInFrame = frameRemaining > 0
        if state == .open || frameOpcode.isControl {
            unsafe frameKey.apply(to: bytes)
            frameKey = frameKey.advanced(by: count)
        }
        return if frameOpcode.isControl {
            unsafe readControl(UnsafeRawBufferPointer(bytes), at: range)
        } else {
            unsafe readData(UnsafeRawBufferPointer(bytes), at: range)
        }
    }

    private mutating func readData(_ bytes: UnsafeRawBufferPointer, at range: Range<Int>) -> Event? {
        let opcode = messageOpcode
        let isLast = isFinal && !isInFrame
        if isLast { messageOpcode = .continuation }
        guard state == .open else { return nil }
        if isCompressed, let compression {
            return unsafe readCompressed(bytes, opcode, isLast: isLast, compression)
        }
        if opcode == .text {
            // §8.1, and Autobahn's strict reading: an error is an error as soon as it is seen, not at the message's
            // end.
            guard unsafe validator.append(bytes) else { return fail(.text) }
            guard !isLast || validator.isComplete else { return fail(.text) }
        }
        if isLast && assembled.isEmpty { return .message(opcode, .input(range)) }
        if handsOverParts { return range.isEmpty ? nil : .part(opcode, .input(range)) }
        unsafe assembled.append(contentsOf: bytes)
        return isLast ? .message(opcode, .assembled(takeAssembled())) : nil
    }

    private mutating func takeAssembled() -> [UInt8] {
        var whole: [UInt8] = []
        swap(&whole, &assembled)
        return whole
    }

    /// RFC 7692 §6.2: the text is what the message amounts to, so it is inflated first.
    private mutating func readCompressed(
        _ bytes: UnsafeRawBufferPointer, _ opcode: Opcode, isLast: Bool, _ compression: MessageCompression
    ) -> Event? {
        let start = assembled.count
        let violation = unsafe compression.inflate(
            bytes, isLast: isLast, limit: maximumMessageSize, to: &assembled)
        if opcode == .text {
            // What came before a violation is looked at first, so that the cuts make no difference.
            let isText = unsafe assembled.withUnsafeBytes { whole in
                unsafe validator.append(UnsafeRawBufferPointer(rebasing: whole[start...]))
            }
            guard isText else { return fail(.text) }
        }
        if let violation { return fail(violation) }
        guard isLast else {
            guard handsOverParts, !assembled.isEmpty else { return nil }
            return .part(opcode, .assembled(takeAssembled()))
        }
        guard opcode != .text || validator.isComplete else { return fail(.text) }
        return .message(opcode, .assembled(takeAssembled()))
    }

    private mutating func readControl(_ bytes: UnsafeRawBufferPointer, at range: Range<Int>) -> Event? {
        guard !isInFrame && control.isEmpty else {
            unsafe control.append(contentsOf: bytes)
            guard !isInFrame else { return nil }
            var whole: [UInt8] = []
            swap(&whole, &control)
            return unsafe whole.withUnsafeBytes { body in unsafe report(body, .assembled(whole)) }
        }
        return unsafe report(bytes, .input(range))
    }

    private mutating func report(_ body: UnsafeRawBufferPointer, _ payload: Payload) -> Event? {
        switch frameOpcode {
        case .close: unsafe receivedClose(body)
        case .ping: state == .open ? .ping(payload) : nil
        default: state == .open ? .pong(payload) : nil
        }
    }

    /// §5.5.1: the body is empty, or a code and a reason.
    private mutating func receivedClose(_ body: UnsafeRawBufferPointer) -> Event {
        guard body.count != 1 else { return fail(.closeBodyTooShort) }
        var code: CloseCode?
        var reason = ""
        if body.count >= 2 {
            let number = unsafe UInt16(bigEndian: body.loadUnaligned(as: UInt16.self))
            let received = CloseCode(rawValue: number)
            guard received.isValidOnWire else { return fail(.closeCode) }
            let text = unsafe UnsafeRawBufferPointer(rebasing: body[2...])
            guard unsafe UTF8Validator.isValid(text) else { return fail(.closeReason) }
            code = received
            reason = unsafe String(decoding: text, as: UTF8.self)
        }
        let reply =
            state == .open
            ? FrameEncoder.closeFrame(code, reason: reason, maskingKey: ownMaskingKey()) : []
        end()
        return .close(code: code, reason: reason, reply: reply)
    }
}
