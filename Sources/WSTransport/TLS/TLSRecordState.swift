internal import COpenSSL

/// What encrypts a connection's next record: 64 bytes, one line of the processor's cache.
///
/// The number of the next record is nowhere else, so no nonce is used twice.
struct TLSRecordState {
    let suite: TLSCipherSuite
    /// Whether nothing of the application may follow: the connection has failed, or its end has been announced.
    private(set) var hasEnded = false
    /// The number of the next record under this key.
    private(set) var sequence: UInt32
    /// The number of records after which the key is changed.
    private let maximumRecords: UInt32
    private var key = InlineArray<32, UInt8>(repeating: 0)
    /// The initial nonce, which all of the suites have as long.
    private var nonce = InlineArray<12, UInt8>(repeating: 0)
    /// The socket that takes the records.
    private var descriptor: Int32 = -1
    /// The connection's place in the tables of its reactor.
    private var slot = UInt32.max

    /// A state without a key, which makes no record.
    static var unused: TLSRecordState { TLSRecordState(.aes128GCM, sequence: 0, maximumRecords: 0) }

    /// Makes a state that still needs a key.
    init(_ suite: TLSCipherSuite, sequence: UInt32, maximumRecords: UInt32) {
        self.suite = suite
        self.sequence = sequence
        self.maximumRecords = maximumRecords
    }

    /// Whether a record may be made under this key.
    var isFresh: Bool { sequence < maximumRecords }

    /// Whether the application's bytes may be sent under this key.
    var isReady: Bool { isFresh && !hasEnded }

    /// The socket of the connection in `slot`, if the application's bytes may be sent to it; otherwise -1.
    func socket(of slot: UInt32) -> Int32 { isReady && slot == self.slot ? descriptor : -1 }

    /// Sets where the records are sent.
    mutating func setSocket(_ descriptor: Int32, of slot: UInt32) {
        self.descriptor = descriptor
        self.slot = slot
    }

    mutating func end() { hasEnded = true }

    /// Changes the key; its first record is number `sequence`.
    ///
    /// RFC 8446 §7.3.
    ///
    /// - Parameter secret: the traffic secret.
    /// - Returns: `false` if OpenSSL failed; the state makes no record then.
    mutating func deriveKey(_ secret: UnsafeRawBufferPointer, sequence: UInt32) -> Bool {
        let hasKey = unsafe withUnsafeMutableBytes(of: &key) {
            unsafe suite.expand(secret, "key", into: UnsafeMutableRawBufferPointer(rebasing: $0[..<suite.keyLength]))
        }
        let hasNonce = unsafe withUnsafeMutableBytes(of: &nonce) { unsafe suite.expand(secret, "iv", into: $0) }
        self.sequence = hasKey && hasNonce ? sequence : .max
        return hasKey && hasNonce
    }

    /// Makes one record (RFC 8446 §5.2), without padding.
    ///
    /// - Parameters:
    ///   - part: at most ``TLSRecordWriter/maximumPlaintext`` bytes.
    ///   - record: memory for ``TLSRecordWriter/length(ofRecordWith:)`` bytes.
    ///   - cipher: OpenSSL's state for ``suite``.
    /// - Returns: `false` if OpenSSL failed: the memory must not be sent.
    @inline(__always)
    mutating func seal(
        _ part: UnsafeRawBufferPointer, _ type: TLSRecordWriter.ContentType, into record: UnsafeMutablePointer<UInt8>,
        _ cipher: UnsafePointer<tls_cipher>
    ) -> Bool {
        guard let source = part.baseAddress, sequence < .max else { return false }
        let inner = part.count + 1
        let total = inner + TLSCipherSuite.tagLength
        // `application_data`, whatever is inside, of TLS 1.2.
        unsafe (record[0], record[1], record[2]) = (23, 3, 3)
        unsafe record[3] = UInt8(truncatingIfNeeded: total >> 8)
        unsafe record[4] = UInt8(truncatingIfNeeded: total)
        let content = unsafe record + TLSRecordWriter.headerLength
        unsafe UnsafeMutableRawPointer(content).copyMemory(from: source, byteCount: part.count)
        unsafe content[part.count] = type.rawValue

        // RFC 8446 §5.3: the number of the record, as long as the nonce, changes its last bytes.
        var current = nonce
        let isDone = unsafe withUnsafeMutableBytes(of: &current) { bytes in
            let low = unsafe bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            unsafe bytes.storeBytes(of: low ^ sequence.bigEndian, toByteOffset: 8, as: UInt32.self)
            return unsafe withUnsafeBytes(of: &key) {
                unsafe tls_cipher_seal(
                    cipher, $0.baseAddress, suite.keyLength, bytes.baseAddress, bytes.count, record,
                    TLSRecordWriter.headerLength, inner, TLSCipherSuite.tagLength) == 1
            }
        }
        // Counted even if it failed: OpenSSL may have used the nonce.
        sequence &+= 1
        return isDone
    }
}
