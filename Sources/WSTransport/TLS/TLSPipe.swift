internal import COpenSSL

/// The memory from which OpenSSL reads and to which it writes, shared by all sessions of a thread, one operation at a
/// time.
///
/// A pair of memory BIOs for each connection would keep the size of its handshake. With this, an idle connection has no
/// buffer at all: a session consumes all of its input, and its output is fetched at once. Used by one thread only.
@safe package final class TLSPipe {
    /// The maximum input of a session at once, in bytes.
    package static let maximumInput = 64 * 1024

    /// Input from the network that OpenSSL has not read yet.
    // Unchecked, like the output: each record would pay for these checks, and nothing is called while one of them changes.
    @exclusivity(unchecked) fileprivate var input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// Memory for the output; `nil` until there is some.
    @exclusivity(unchecked) private var memory: UnsafeMutableRawPointer?
    private var capacity = 0
    /// How much output for the network has not been fetched yet, in bytes.
    package var outputCount: Int { unsafe bytesOfOutput }
    @exclusivity(unchecked) private var bytesOfOutput = 0
    /// OpenSSL's states for the ciphers of records, by suite, each made when it is needed first.
    private let ciphers: UnsafeMutablePointer<tls_cipher>
    /// The states of the connections that make their own records.
    let records = TLSRecordStates()
    /// Room for the plaintext of one input, and of a record that was incomplete before.
    let plaintext: UnsafeMutableRawBufferPointer

    /// Makes an empty pipe, for inputs of at most this many bytes.
    package init(maximumInput: Int = TLSPipe.maximumInput) {
        // A record is at most 16 KiB of plaintext (RFC 8446 §5.1).
        unsafe plaintext = .allocate(byteCount: maximumInput + 2 * 16 * 1024, alignment: 16)
        let count = TLSCipherSuite.allCases.count
        unsafe ciphers = .allocate(capacity: count)
        unsafe ciphers.initialize(repeating: tls_cipher(), count: count)
    }

    deinit {
        unsafe plaintext.deallocate()
        unsafe memory?.deallocate()
        for suite in TLSCipherSuite.allCases { unsafe tls_cipher_close(ciphers + suite.index) }
        unsafe ciphers.deallocate()
    }

    /// Calls `body` while `bytes` can be read; unread bytes are dropped.
    func feed<Value>(_ bytes: UnsafeRawBufferPointer, _ body: () -> Value) -> Value {
        unsafe input = bytes
        defer { dropInput() }
        return body()
    }

    /// Drops the input that has not been read yet.
    func dropInput() { unsafe input = UnsafeRawBufferPointer(start: nil, count: 0) }

    /// Passes `body` the output of the last operation, for the network.
    package func withOutput<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        unsafe body(UnsafeRawBufferPointer(start: memory, count: outputCount))
    }

    /// Drops the output, after it has been sent or copied.
    package func clearOutput() {
        unsafe bytesOfOutput = 0
        guard capacity > 2 * Self.maximumInput else { return }
        unsafe memory?.deallocate()
        unsafe memory = nil
        capacity = 0
    }

    /// Keeps only the first `count` bytes of the output.
    func truncateOutput(to count: Int) { unsafe bytesOfOutput = min(count, outputCount) }

    /// Makes the output longer by `count` bytes, which the caller fills.
    func extendOutput(by count: Int) -> UnsafeMutablePointer<UInt8> {
        let start = outputCount
        unsafe bytesOfOutput += count
        let base = unsafe (outputCount <= capacity ? memory : nil) ?? grow(keeping: start)
        return unsafe (base + start).assumingMemoryBound(to: UInt8.self)
    }

    private func grow(keeping count: Int) -> UnsafeMutableRawPointer {
        capacity = max(4096, 2 * outputCount)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        if let memory = unsafe memory {
            unsafe larger.copyMemory(from: memory, byteCount: count)
            unsafe memory.deallocate()
        }
        unsafe memory = larger
        return unsafe larger
    }

    /// OpenSSL's state for the records of a suite, without a key; `nil` if memory has run out.
    @inline(__always)
    func cipher(of suite: TLSCipherSuite) -> UnsafePointer<tls_cipher>? {
        let cipher = unsafe ciphers + suite.index
        if unsafe cipher.pointee.state == nil {
            guard let made = unsafe suite.makeCipher() else { return nil }
            unsafe cipher.pointee = made
        }
        return unsafe UnsafePointer(cipher)
    }

    /// Makes `bio` read from and write to this pipe.
    func serve(_ bio: OpaquePointer?) { unsafe BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque()) }

    /// Makes a BIO for this pipe, which must outlive it; `nil` if memory has run out.
    func makeBIO() -> OpaquePointer? {
        guard let method = unsafe Self.method, let bio = unsafe BIO_new(method) else { return nil }
        unsafe serve(bio)
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    private nonisolated(unsafe) static let method: OpaquePointer? = {
        guard let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pipe") else { return nil }
        unsafe BIO_meth_set_read(method) { bio, bytes, count in unsafe TLSPipe.read(bio, bytes, count) }
        unsafe BIO_meth_set_write(method) { bio, bytes, count in unsafe TLSPipe.write(bio, bytes, count) }
        // The only request with an answer is to flush, which the caller does in any case.
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return unsafe method
    }()

    private static func of(_ bio: OpaquePointer?) -> TLSPipe? {
        guard let data = unsafe BIO_get_data(bio) else { return nil }
        return unsafe Unmanaged<TLSPipe>.fromOpaque(data).takeUnretainedValue()
    }

    private static func read(_ bio: OpaquePointer?, _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
        guard let pipe = unsafe of(bio), let bytes = unsafe bytes else { return -1 }
        unsafe tls_bio_clear_retry(bio)
        let taken = unsafe min(pipe.input.count, Int(count))
        guard taken > 0 else {
            unsafe tls_bio_set_retry_read(bio)
            return -1
        }
        unsafe UnsafeMutableRawPointer(bytes).copyMemory(
            from: pipe.input.baseAddress ?? UnsafeRawPointer(bytes), byteCount: taken)
        unsafe pipe.input = UnsafeRawBufferPointer(rebasing: pipe.input[taken...])
        return Int32(truncatingIfNeeded: taken)
    }

    private static func write(_ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
        guard let pipe = unsafe of(bio), let bytes = unsafe bytes, count >= 0 else { return -1 }
        unsafe UnsafeMutableRawPointer(pipe.extendOutput(by: Int(count))).copyMemory(from: bytes, byteCount: Int(count))
        return count
    }
}
