public import WSTransport

extension ProtocolMachine {
    /// One frame on the wire (RFC 6455 §5.2), valid or not.
    ///
    /// For tests with fragments, with peers that violate the protocol, and of what a machine sends:
    ///
    /// ```swift
    /// let server = ProtocolMachine(.server)
    /// let parts = [
    ///     ProtocolMachine.Frame(.text, Array("hel".utf8), isFinal: false, maskingKey: 0x37FA_213D),
    ///     ProtocolMachine.Frame(.continuation, Array("lo".utf8), maskingKey: 0x37FA_213D),
    /// ]
    /// let events = server.receive(parts.flatMap(\.bytes)) // [.text("hello")]
    /// ```
    public struct Frame: Equatable, Sendable {
        /// The opcode; the reserved ones are possible, too.
        public var type: Opcode
        /// The payload, not masked.
        public var payload: [UInt8]
        /// Whether it is the last frame of its message.
        public var isFinal: Bool
        /// Whether RSV1 is set: the message that begins with this frame is compressed (RFC 7692 §6).
        public var isCompressed: Bool
        /// The masking key, its first byte in the highest 8 bits; `nil` if the frame is not masked.
        public var maskingKey: UInt32?

        /// Creates a frame.
        public init(
            _ type: Opcode, _ payload: [UInt8] = [], isFinal: Bool = true, isCompressed: Bool = false,
            maskingKey: UInt32? = nil
        ) {
            self.type = type
            self.payload = payload
            self.isFinal = isFinal
            self.isCompressed = isCompressed
            self.maskingKey = maskingKey
        }

        /// The frame as it is sent.
        public var bytes: [UInt8] {
            var bytes: [UInt8] = []
            FrameEncoder.appendFrame(
                type, payload, isFinal: isFinal, isCompressed: isCompressed,
                maskingKey: maskingKey.map(MaskingKey.init(number:)), to: &bytes)
            return bytes
        }

        /// The complete frames at the beginning of `bytes`, up to one that is incomplete or malformed.
        public static func frames(in bytes: some Sequence<UInt8>) -> [Frame] {
            var (frames, rest) = ([Frame](), Array(bytes)[...])
            while let frame = first(of: &rest) { frames.append(frame) }
            return frames
        }

        /// Takes the frame at the beginning of `rest`.
        private static func first(of rest: inout ArraySlice<UInt8>) -> Frame? {
            guard rest.count >= 2 else { return nil }
            let isMasked = rest[rest.startIndex + 1] & 0x80 != 0
            let reading = unsafe rest.withUnsafeBytes { bytes in
                unsafe FrameHeader.read(bytes, isMasked: isMasked, allowsCompression: true)
            }
            guard case .whole(let header, let count) = reading, header.payloadLength <= rest.count - count else {
                return nil
            }
            rest.removeFirst(count)
            var payload = Array(rest.prefix(header.payloadLength))
            rest.removeFirst(header.payloadLength)
            unsafe payload.withUnsafeMutableBytes { unsafe header.maskingKey.apply(to: $0) }
            return Frame(
                header.opcode, payload, isFinal: header.isFinal, isCompressed: header.isCompressed,
                maskingKey: isMasked ? header.maskingKey.word.byteSwapped : nil)
        }
    }
}
