/// Encodes frames (RFC 6455 §5.2).
///
/// A server passes no masking key, a client a new one for every frame.
package enum FrameEncoder {
    /// The longest possible header, in bytes.
    package static let maximumHeaderLength = FrameHeader.maximumByteCount
    /// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
    package static let maximumControlPayload = 125
    /// The longest reason of a CLOSE, in bytes: a control payload less the code.
    package static let maximumReason = 123

    /// The length of the header of a frame with this payload, in bytes: 2 to 14.
    package static func headerLength(payloadLength: Int, isMasked: Bool = false) -> Int {
        let unmasked = payloadLength < 126 ? 2 : payloadLength < 65_536 ? 4 : 10
        return isMasked ? unmasked + 4 : unmasked
    }

    /// Writes a header to the start of `bytes` and returns its length, in bytes.
    ///
    /// `bytes` must have room for ``headerLength(payloadLength:isMasked:)`` bytes; otherwise nothing is written, and
    /// the result is 0. `isCompressed` sets RSV1, which only the first frame of a message may have (RFC 7692 §6.1).
    @discardableResult
    package static func writeHeader(
        _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payloadLength: Int,
        maskingKey: MaskingKey? = nil, into bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let length = headerLength(payloadLength: payloadLength, isMasked: maskingKey != nil)
        guard bytes.count >= length, payloadLength >= 0 else { return 0 }
        unsafe bytes[0] = opcode.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0)
        let maskBit: UInt8 = maskingKey == nil ? 0 : 0x80
        if payloadLength < 126 {
            unsafe bytes[1] = maskBit | UInt8(truncatingIfNeeded: payloadLength)
        } else if payloadLength < 65_536 {
            unsafe bytes[1] = maskBit | 126
            let short = UInt16(truncatingIfNeeded: payloadLength).bigEndian
            unsafe bytes.storeBytes(of: short, toByteOffset: 2, as: UInt16.self)
        } else {
            unsafe bytes[1] = maskBit | 127
            let long = UInt64(payloadLength).bigEndian
            unsafe bytes.storeBytes(of: long, toByteOffset: 2, as: UInt64.self)
        }
        if let maskingKey {
            unsafe bytes.storeBytes(of: maskingKey.word.littleEndian, toByteOffset: length - 4, as: UInt32.self)
        }
        return length
    }

    /// Appends a frame to `bytes`.
    package static func appendFrame(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isFinal: Bool = true, isCompressed: Bool = false,
        maskingKey: MaskingKey? = nil, to bytes: inout [UInt8]
    ) {
        appendHeader(
            opcode, isFinal: isFinal, isCompressed: isCompressed, payloadLength: payload.count, maskingKey: maskingKey,
            to: &bytes)
        let start = bytes.count
        unsafe bytes.append(contentsOf: payload)
        guard let maskingKey else { return }
        unsafe bytes.withUnsafeMutableBytes { all in
            unsafe maskingKey.apply(to: UnsafeMutableRawBufferPointer(rebasing: all[start...]))
        }
    }

    /// Appends a frame to `bytes`.
    package static func appendFrame(
        _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, isCompressed: Bool = false,
        maskingKey: MaskingKey? = nil, to bytes: inout [UInt8]
    ) {
        unsafe payload.withUnsafeBytes { payload in
            unsafe appendFrame(
                opcode, payload, isFinal: isFinal, isCompressed: isCompressed, maskingKey: maskingKey, to: &bytes)
        }
    }

    /// Appends the header of a frame, without its payload, to `bytes`.
    package static func appendHeader(
        _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payloadLength: Int,
        maskingKey: MaskingKey? = nil, to bytes: inout [UInt8]
    ) {
        unsafe withUnsafeTemporaryAllocation(byteCount: maximumHeaderLength, alignment: 8) { header in
            let length = unsafe writeHeader(
                opcode, isFinal: isFinal, isCompressed: isCompressed, payloadLength: payloadLength,
                maskingKey: maskingKey, into: header)
            unsafe bytes.append(contentsOf: header[..<length])
        }
    }

    /// Makes a whole frame.
    package static func frame(_ opcode: Opcode, _ payload: [UInt8], maskingKey: MaskingKey? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerLength(payloadLength: payload.count, isMasked: true) + payload.count)
        appendFrame(opcode, payload, maskingKey: maskingKey, to: &bytes)
        return bytes
    }

    /// A CLOSE frame (RFC 6455 §5.5.1).
    ///
    /// A `nil` code, or one that is not valid on the wire, makes an empty body. The reason is cut after the last
    /// whole character within 123 bytes.
    package static func closeFrame(
        _ code: CloseCode?, reason: String = "", maskingKey: MaskingKey? = nil
    ) -> [UInt8] {
        guard let code, code.isValidOnWire else { return frame(.close, [], maskingKey: maskingKey) }
        var body = [UInt8(truncatingIfNeeded: code.rawValue >> 8), UInt8(truncatingIfNeeded: code.rawValue)]
        for scalar in reason.unicodeScalars {
            let encoded = UTF8.encode(scalar)
            guard let encoded, body.count + encoded.count <= maximumControlPayload else { break }
            body.append(contentsOf: encoded)
        }
        return frame(.close, body, maskingKey: maskingKey)
    }
}
