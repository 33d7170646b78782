internal import COpenSSL

/// The records that one side of a TLS 1.3 connection sends after its handshake.
///
/// RFC 8446 §5: plaintext in, encrypted records out, in the output of a ``TLSPipe``. It has what a connection needs for
/// this, some 100 bytes; OpenSSL's state for the cipher belongs to the pipe and is given the key for each record, which
/// costs less than the cache misses of a state for each connection. Used only on the pipe's thread.
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
    /// The traffic secret, the key and the initial nonce, one after the other.
    private let secrets: UnsafeMutableRawPointer

    private static let keyOffset = 48
    private static let nonceOffset = 80
    private static let size = 96

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
        unsafe secrets = .allocate(byteCount: Self.size, alignment: 16)
        guard secret.count == suite.hashLength else { return nil }
        unsafe secrets.copyMemory(from: secret, byteCount: secret.count)
        guard deriveKey() else { return nil }
    }

    deinit {
        unsafe OPENSSL_cleanse(secrets, Self.size)
        unsafe secrets.deallocate()
    }

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
        let secret = unsafe UnsafeMutableRawBufferPointer(start: secrets, count: suite.hashLength)
        guard unsafe suite.expand(UnsafeRawBufferPointer(secret), "traffic upd", into: secret), deriveKey() else {
            return false
        }
        unsafe sequence = 0
        return true
    }

    /// RFC 8446 §7.3.
    private func deriveKey() -> Bool {
        let secret = unsafe UnsafeRawBufferPointer(start: secrets, count: suite.hashLength)
        let key = unsafe UnsafeMutableRawBufferPointer(start: secrets + Self.keyOffset, count: suite.keyLength)
        let nonce = unsafe UnsafeMutableRawBufferPointer(
            start: secrets + Self.nonceOffset, count: TLSCipherSuite.nonceLength)
        return unsafe suite.expand(secret, "key", into: key) && suite.expand(secret, "iv", into: nonce)
    }

    /// Adds one record (RFC 8446 §5.2), without padding.
    private func seal(_ part: UnsafeRawBufferPointer, _ type: ContentType, _ pipe: TLSPipe) -> Bool {
        guard let context = unsafe pipe.context(of: suite), let source = part.baseAddress else { return false }
        let inner = part.count + 1
        let total = inner + TLSCipherSuite.tagLength
        let start = pipe.outputCount
        let record = unsafe pipe.extendOutput(by: Self.headerLength + total)
        // `application_data`, whatever is inside, of TLS 1.2.
        unsafe (record[0], record[1], record[2]) = (23, 3, 3)
        unsafe record[3] = UInt8(truncatingIfNeeded: total >> 8)
        unsafe record[4] = UInt8(truncatingIfNeeded: total)
        let content = unsafe record + Self.headerLength
        unsafe UnsafeMutableRawPointer(content).copyMemory(from: source, byteCount: part.count)
        unsafe content[part.count] = type.rawValue

        // RFC 8446 §5.3: the number of the record, as long as the nonce, changes its last eight bytes.
        let initial = unsafe secrets + Self.nonceOffset
        var nonce = unsafe (
            initial.loadUnaligned(as: UInt32.self),
            initial.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
                ^ UInt32(truncatingIfNeeded: sequence >> 32).bigEndian,
            initial.loadUnaligned(fromByteOffset: 8, as: UInt32.self) ^ UInt32(truncatingIfNeeded: sequence).bigEndian
        )
        let key = unsafe (secrets + Self.keyOffset).assumingMemoryBound(to: UInt8.self)
        let isReady = unsafe withUnsafeBytes(of: &nonce) {
            unsafe EVP_EncryptInit_ex(context, nil, nil, key, $0.baseAddress?.assumingMemoryBound(to: UInt8.self)) == 1
        }
        var count: Int32 = 0
        guard isReady, unsafe EVP_EncryptUpdate(context, nil, &count, record, Int32(Self.headerLength)) == 1,
            unsafe EVP_EncryptUpdate(context, content, &count, content, Int32(truncatingIfNeeded: inner)) == 1,
            unsafe EVP_EncryptFinal_ex(context, content + inner, &count) == 1,
            unsafe EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_GET_TAG, Int32(TLSCipherSuite.tagLength), content + inner) == 1
        else {
            // Not a byte of it may be sent: it may be plain.
            pipe.truncateOutput(to: start)
            return false
        }
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
