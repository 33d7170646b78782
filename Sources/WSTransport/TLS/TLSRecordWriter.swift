internal import COpenSSL

/// The records that one side of a TLS 1.3 connection sends after its handshake.
///
/// RFC 8446 §5: plaintext in, encrypted records out, in the output of a ``TLSPipe``. What each record needs is in a
/// ``TLSRecordState``, from which the reactor can make records, too. OpenSSL's state for the cipher belongs to the pipe,
/// and is given the key for each record: one for each connection would be 1 KB. Used only on the pipe's thread.
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
    package static let maximumRecords: UInt32 = 1 << 24

    private let suite: TLSCipherSuite
    /// Where the state is: among those of its thread's pipe, or alone until it is moved there.
    // Unchecked, because each record reads these, and nothing is called while one of them changes.
    @exclusivity(unchecked) private var states = TLSRecordStates(forOne: true)
    @exclusivity(unchecked) private var place: UInt32
    /// The traffic secret, as long as the suite's hash.
    private var secret = InlineArray<48, UInt8>(repeating: 0)

    /// Continues the records under a traffic secret.
    ///
    /// - Parameters:
    ///   - suite: the negotiated cipher suite.
    ///   - secret: the sender's application traffic secret (RFC 8446 §7.1), as long as the suite's hash.
    ///   - sequence: the number of records already sent under it.
    ///   - maximumRecords: after how many records the key is changed.
    /// - Returns: `nil` if the secret has another length, too many records were sent, or OpenSSL failed.
    package init?(
        _ suite: TLSCipherSuite, secret: [UInt8], sequence: UInt64,
        maximumRecords: UInt32 = TLSRecordWriter.maximumRecords
    ) {
        self.suite = suite
        guard secret.count == suite.hashLength, suite.isAvailable, sequence <= maximumRecords else { return nil }
        for index in secret.indices { self.secret[index] = secret[index] }
        let number = UInt32(truncatingIfNeeded: sequence)
        unsafe place = states.add(TLSRecordState(suite, sequence: number, maximumRecords: maximumRecords))
        guard unsafe secret.withUnsafeBytes({ unsafe state.pointee.deriveKey($0, sequence: number) }) else {
            return nil
        }
    }

    deinit {
        unsafe states.release(place)
        unsafe withUnsafeMutableBytes(of: &secret) { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    /// Moves the state beside the others of a thread.
    func move(to others: TLSRecordStates) {
        guard unsafe others !== states else { return }
        let moved = unsafe others.add(state.pointee)
        unsafe states.release(place)
        unsafe (states, place) = (others, moved)
    }

    private var state: UnsafeMutablePointer<TLSRecordState> { unsafe states[place] }

    /// The place of its state in `others`, from which records can then be made for the connection in `slot`; `nil` if
    /// its key must be changed first, or nothing may follow.
    ///
    /// - Parameter descriptor: the connection's socket.
    func place(in others: TLSRecordStates, for descriptor: Int32, _ slot: UInt32) -> UInt32? {
        guard unsafe others === states && state.pointee.isReady else { return nil }
        unsafe state.pointee.setSocket(descriptor, of: slot)
        return unsafe place
    }

    /// Notes that nothing may follow: the connection has failed, or its end has been announced.
    func end() { unsafe state.pointee.end() }

    /// The length of a record with so many bytes of plaintext, at most ``maximumPlaintext``.
    static func length(ofRecordWith count: Int) -> Int { headerLength + count + 1 + TLSCipherSuite.tagLength }

    /// Adds `content` to the pipe's output, as one or more records; `false` if OpenSSL failed, and then nothing more can
    /// be sent.
    package func write(_ content: UnsafeRawBufferPointer, _ type: ContentType, to pipe: TLSPipe) -> Bool {
        var start = 0
        while start < content.count {
            if unsafe !state.pointee.isFresh, !updateKey(through: pipe) { return false }
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
        return unsafe withUnsafeMutableBytes(of: &secret) {
            let current = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<suite.hashLength])
            return unsafe suite.expand(UnsafeRawBufferPointer(current), "traffic upd", into: current)
                && state.pointee.deriveKey(UnsafeRawBufferPointer(current), sequence: 0)
        }
    }

    /// Adds one record to the pipe's output.
    private func seal(_ part: UnsafeRawBufferPointer, _ type: ContentType, _ pipe: TLSPipe) -> Bool {
        guard let cipher = unsafe pipe.cipher(of: suite) else { return false }
        let start = pipe.outputCount
        let record = unsafe pipe.extendOutput(by: Self.length(ofRecordWith: part.count))
        if unsafe state.pointee.seal(part, type, into: record, cipher) { return true }
        // Not a byte of it may be sent: it may be plain.
        pipe.truncateOutput(to: start)
        return false
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
