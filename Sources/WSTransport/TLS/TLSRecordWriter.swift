internal import COpenSSL

/// The records that one side of a TLS 1.3 connection sends after its handshake.
///
/// RFC 8446 §5: plaintext in, encrypted records out, in the output of a ``TLSPipe`` or in the caller's memory. It has
/// what a connection needs for this, some 150 bytes. OpenSSL's state for the cipher belongs to the pipe, and is given
/// the key for each record: one for each connection would be faster, but 1 KB larger. Used only on the pipe's thread.
@safe package final class TLSRecordWriter {
    /// What a record carries (RFC 8446 §5.1).
    package enum ContentType: UInt8 {
        case alert = 21
        case handshake = 22
        case applicationData = 23
    }

    /// The maximum plaintext of a record, in bytes (RFC 8446 §5.1).
    static let maximumPlaintext = 16 * 1024
    /// The length of a record's header, in bytes.
    static let headerLength = 5
    /// The maximum number of records encrypted by one key; RFC 8446 §5.5 allows 2^24.5 for AES-GCM.
    package static let maximumRecords: UInt64 = 1 << 24

    let suite: TLSCipherSuite
    private let maximumRecords: UInt64
    // Unchecked, because each record reads these, and nothing is called while one of them changes.
    /// The number of the next record under this key.
    @exclusivity(unchecked) private var sequence: UInt64
    /// Whether nothing may follow any more.
    @exclusivity(unchecked) private var hasEnded = false
    /// The initial nonce, which all of the suites have as long.
    @exclusivity(unchecked) private var nonce = InlineArray<12, UInt8>(repeating: 0)
    @exclusivity(unchecked) private var key = InlineArray<32, UInt8>(repeating: 0)
    /// The traffic secret, as long as the suite's hash.
    private var secret = InlineArray<48, UInt8>(repeating: 0)

    /// Continues the records under a traffic secret.
    ///
    /// - Parameters:
    ///   - suite: the negotiated cipher suite.
    ///   - secret: the sender's application traffic secret (RFC 8446 §7.1), as long as the suite's hash.
    ///   - sequence: the number of records already sent under it.
    ///   - maximumRecords: after how many records the key is changed.
    /// - Returns: `nil` if the secret has another length, or OpenSSL failed.
    package init?(
        _ suite: TLSCipherSuite, secret: [UInt8], sequence: UInt64,
        maximumRecords: UInt64 = TLSRecordWriter.maximumRecords
    ) {
        self.suite = suite
        unsafe self.sequence = sequence
        self.maximumRecords = maximumRecords
        guard secret.count == suite.hashLength else { return nil }
        for index in secret.indices { self.secret[index] = secret[index] }
        guard deriveKey() else { return nil }
    }

    deinit {
        unsafe withUnsafeMutableBytes(of: &secret) { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
        unsafe withUnsafeMutableBytes(of: &key) { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
        unsafe withUnsafeMutableBytes(of: &nonce) { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    /// Whether ``seal(_:_:into:_:)`` may make a record: it has not ended, and its key need not be changed first.
    var isReady: Bool { unsafe !hasEnded && sequence < maximumRecords }

    /// Notes that nothing may follow: the connection has failed, or its end has been announced.
    func end() { unsafe hasEnded = true }

    /// The length of a record with so many bytes of plaintext, at most ``maximumPlaintext``.
    static func length(ofRecordWith count: Int) -> Int { headerLength + count + 1 + TLSCipherSuite.tagLength }

    /// Adds `content` to the pipe's output, as one or more records; `false` if OpenSSL failed, and then nothing more can
    /// be sent.
    package func write(_ content: UnsafeRawBufferPointer, _ type: ContentType, to pipe: TLSPipe) -> Bool {
        var start = 0
        while start < content.count {
            if unsafe sequence >= maximumRecords, !updateKey(through: pipe) { return false }
            let count = min(Self.maximumPlaintext, content.count - start)
            let part = unsafe UnsafeRawBufferPointer(rebasing: content[start..<start + count])
            guard unsafe seal(part, type, pipe) else { return false }
            start += count
        }
        return true
    }

    /// Announces a new key and uses it from then on (RFC 8446 §4.6.3); the peer is not asked for one.
    package func updateKey(through pipe: TLSPipe) -> Bool {
        let message: InlineArray<5, UInt8> = [24, 0, 0, 1, 0]
        let isSent = unsafe message.span.withUnsafeBytes { unsafe seal($0, .handshake, pipe) }
        guard isSent else { return false }
        let isDone = unsafe withUnsafeMutableBytes(of: &secret) {
            let current = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<suite.hashLength])
            return unsafe suite.expand(UnsafeRawBufferPointer(current), "traffic upd", into: current)
        }
        guard isDone, deriveKey() else { return false }
        unsafe sequence = 0
        return true
    }

    /// RFC 8446 §7.3.
    private func deriveKey() -> Bool {
        unsafe withUnsafeBytes(of: &secret) {
            let current = unsafe UnsafeRawBufferPointer(rebasing: $0[..<suite.hashLength])
            let hasKey = unsafe withUnsafeMutableBytes(of: &key) {
                unsafe suite.expand(
                    current, "key", into: UnsafeMutableRawBufferPointer(rebasing: $0[..<suite.keyLength]))
            }
            let hasNonce = unsafe withUnsafeMutableBytes(of: &nonce) { unsafe suite.expand(current, "iv", into: $0) }
            return hasKey && hasNonce
        }
    }

    /// Adds one record to the pipe's output.
    private func seal(_ part: UnsafeRawBufferPointer, _ type: ContentType, _ pipe: TLSPipe) -> Bool {
        guard let context = unsafe pipe.context(of: suite) else { return false }
        let start = pipe.outputCount
        let record = unsafe pipe.extendOutput(by: Self.length(ofRecordWith: part.count))
        if unsafe seal(part, type, into: record, context) { return true }
        // Not a byte of it may be sent: it may be plain.
        pipe.truncateOutput(to: start)
        return false
    }

    /// Makes one record (RFC 8446 §5.2), without padding.
    ///
    /// - Parameters:
    ///   - part: at most ``maximumPlaintext`` bytes.
    ///   - record: memory for ``length(ofRecordWith:)`` bytes.
    ///   - context: OpenSSL's state for ``suite``.
    /// - Returns: `false` if OpenSSL failed: the memory must not be sent.
    func seal(
        _ part: UnsafeRawBufferPointer, _ type: ContentType, into record: UnsafeMutablePointer<UInt8>,
        _ context: OpaquePointer
    ) -> Bool {
        guard let source = part.baseAddress else { return false }
        let inner = part.count + 1
        let total = inner + TLSCipherSuite.tagLength
        // `application_data`, whatever is inside, of TLS 1.2.
        unsafe (record[0], record[1], record[2]) = (23, 3, 3)
        unsafe record[3] = UInt8(truncatingIfNeeded: total >> 8)
        unsafe record[4] = UInt8(truncatingIfNeeded: total)
        let content = unsafe record + Self.headerLength
        unsafe UnsafeMutableRawPointer(content).copyMemory(from: source, byteCount: part.count)
        unsafe content[part.count] = type.rawValue

        // RFC 8446 §5.3: the number of the record, as long as the nonce, changes its last eight bytes.
        var current = unsafe nonce
        let isReady = unsafe withUnsafeMutableBytes(of: &current) { bytes in
            let low = unsafe bytes.loadUnaligned(fromByteOffset: 4, as: UInt64.self)
            unsafe bytes.storeBytes(of: low ^ sequence.bigEndian, toByteOffset: 4, as: UInt64.self)
            return unsafe withUnsafeBytes(of: &key) {
                unsafe EVP_EncryptInit_ex(
                    context, nil, nil, $0.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)) == 1
            }
        }
        var count: Int32 = 0
        guard isReady, unsafe EVP_EncryptUpdate(context, nil, &count, record, Int32(Self.headerLength)) == 1,
            unsafe EVP_EncryptUpdate(context, content, &count, content, Int32(truncatingIfNeeded: inner)) == 1,
            unsafe EVP_EncryptFinal_ex(context, content + inner, &count) == 1,
            unsafe EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_GET_TAG, Int32(TLSCipherSuite.tagLength), content + inner) == 1
        else { return false }
        unsafe sequence += 1
        return true
    }

    /// How many records `bytes` are; `nil` if they are not whole ones.
    static func count(in bytes: UnsafeRawBufferPointer) -> UInt64? {
        var (index, records) = (0, UInt64(0))
        while index < bytes.count {
            guard bytes.count - index >= headerLength else { return nil }
            index += unsafe headerLength + Int(bytes[index + 3]) << 8 + Int(bytes[index + 4])
            records += 1
        }
        return index == bytes.count ? records : nil
    }
}
