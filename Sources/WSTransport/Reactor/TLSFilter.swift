internal import Glibc

/// TLS between a socket and the bytes to send on it.
///
/// Encrypts only as much as the socket is ready for: at most one record's ciphertext waits here. Everything after it
/// stays plaintext, shared with other connections, in the ``Backlog``, from which a frame can still be dropped. Runs on
/// the reactor's thread.
final class TLSFilter {
    /// `nil` while a thread of the pool has it for the handshake.
    private(set) var session: TLSSession?
    /// The pipe of the reactor.
    private let pipe: TLSPipe
    // Unchecked, because each record asks for it, and nothing is called while it changes.
    @exclusivity(unchecked) private var ciphertext: [UInt8] = []
    /// The step that the pool is performing.
    private var offload: TLSOffload?
    /// The plaintext response to a peer that does not speak TLS; empty if there is none.
    let plainAnswer: [UInt8]
    let isClient: Bool
    private var hasHeard = false
    private var sentOfCiphertext = 0
    /// When the oldest waiting ciphertext was added; `nil` if none waits.
    private(set) var unsentSince: MonotonicTime?

    /// The maximum of responses below the application protocol that a peer may leave unread, in bytes.
    static let maximumCiphertext = 64 * 1024
    /// The size of a record's plaintext (RFC 8446 §5.1), which is encrypted at once, in bytes.
    static let record = 16 * 1024
    /// The maximum size of the ciphertext of one record's plaintext, with room for TLS's own records, in bytes.
    static let maximumSealed = record + 2048

    /// Makes a filter; a server's waits for its peer, a client's must be started.
    init(_ session: TLSSession, isClient: Bool, plainAnswer: [UInt8] = []) {
        self.session = session
        pipe = session.pipe
        self.plainAnswer = plainAnswer
        self.isClient = isClient
    }

    var isEstablished: Bool { session?.isEstablished ?? false }

    /// Whether the pool is performing the handshake, so that nothing more can be accepted for now.
    var isAway: Bool { offload != nil }

    var hasUnsent: Bool { unsafe !ciphertext.isEmpty }

    /// The ciphertext that the socket has not taken, in bytes.
    var unsentBytes: Int { unsafe ciphertext.count - sentOfCiphertext }

    /// Begins a client's handshake.
    func start() {
        session?.start()
        keepOutput()
    }

    /// Passes the session, with bytes for its handshake, to the pool; `false` if the pool has too much to do.
    func shakeHands(_ bytes: UnsafeRawBufferPointer, of connection: StreamConnection) -> Bool {
        guard let session else { return false }
        let offload = unsafe TLSOffload(session, bytes, connection: connection.token, home: connection.reactor.remote)
        self.session = nil
        self.offload = offload
        return TLSOffload.run(offload)
    }

    /// Takes the session and its output back from the pool; returns the plaintext that came with the handshake.
    func takeBack(_ returned: TLSOffload) -> [UInt8] {
        guard returned === offload else { return [] }
        offload = nil
        unsafe returned.session.move(to: pipe)
        session = unsafe returned.session
        let (output, plaintext) = returned.product
        unsafe ciphertext += output
        return plaintext
    }

    /// Tells the pool that the handshake is no longer needed.
    func abandon() { offload?.abandon() }

    /// Whether the first bytes are plain text, not TLS; called once.
    func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !hasHeard, let first = unsafe bytes.first else { return false }
        hasHeard = true
        return !plainAnswer.isEmpty && 0x41...0x5A ~= first
    }

    /// Sends `bytes` unencrypted.
    func sendPlain(_ bytes: [UInt8]) { unsafe ciphertext += bytes }

    /// Encrypts and sends as much of `plaintext` as the socket takes, in whole records; returns how much that is.
    func send(
        _ plaintext: UnsafeRawBufferPointer, to socket: borrowing FileDescriptor, now: MonotonicTime
    ) throws(Errno) -> Int {
        var taken = 0
        while isEstablished, !hasUnsent, taken < plaintext.count {
            let count = min(Self.record, plaintext.count - taken)
            let record = unsafe UnsafeRawBufferPointer(rebasing: plaintext[taken..<taken + count])
            guard let session, unsafe session.send(record) else { throw Errno(rawValue: EPROTO) }
            taken += count
            try sendOutput(to: socket, since: now)
        }
        return taken
    }

    /// Encrypts all of `plaintext` into `room`, or keeps the ciphertext if there is no room.
    ///
    /// - Returns: the ciphertext in `room`, empty if it was kept; `nil` if nothing was taken.
    func seal(
        _ plaintext: UnsafeRawBufferPointer, into room: inout SealedSends, now: MonotonicTime
    ) -> UnsafeRawBufferPointer? {
        guard !hasUnsent, plaintext.count <= Self.record else { return nil }
        guard let session, session.isEstablished, unsafe session.send(plaintext) else { return nil }
        defer { pipe.clearOutput() }
        if let sealed = unsafe pipe.withOutput({ unsafe room.add($0) }) { return unsafe sealed }
        unsafe pipe.withOutput { unsafe takeBack($0, since: now) }
        return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// The place of the state of its records, if the reactor may make them for the connection in `slot`; `nil` if not.
    func recordPlace(for descriptor: Int32, _ slot: UInt32) -> UInt32? {
        hasUnsent ? nil : unsafe session?.writer?.place(in: pipe.records, for: descriptor, slot)
    }

    /// Keeps ciphertext that the socket did not take.
    func takeBack(_ bytes: UnsafeRawBufferPointer, since: MonotonicTime) {
        unsafe ciphertext.append(contentsOf: bytes)
        unsentSince = unsentSince ?? since
    }

    /// Sends the waiting ciphertext, then the backlog, as far as the socket takes it; always returns `true`.
    func flush(
        _ backlog: inout Backlog, to socket: borrowing FileDescriptor, now: MonotonicTime
    ) throws(Errno) -> Bool {
        try sendOutput(to: socket, since: now)
        while isEstablished, !hasUnsent, let since = backlog.oldest {
            let plaintext = backlog.take(Self.record)
            guard let session, unsafe plaintext.withUnsafeBytes({ unsafe session.send($0) }) else {
                throw Errno(rawValue: EPROTO)
            }
            try sendOutput(to: socket, since: since)
        }
        return true
    }

    /// Sends waiting ciphertext, then the session's new output; the rest waits.
    private func sendOutput(to socket: borrowing FileDescriptor, since: MonotonicTime) throws(Errno) {
        var result = Result<Int, Errno>.success(0)
        if hasUnsent {
            keepOutput()
            unsafe ciphertext.withUnsafeBytes { bytes in
                unsafe result = Self.send(UnsafeRawBufferPointer(rebasing: bytes[sentOfCiphertext...]), to: socket)
            }
            sentOfCiphertext += try result.get()
            if unsafe sentOfCiphertext == ciphertext.count {
                unsafe ciphertext = []
                sentOfCiphertext = 0
            }
        } else {
            // Cleared on every path, because other sessions use the same pipe.
            defer { pipe.clearOutput() }
            unsafe pipe.withOutput { bytes in
                unsafe result = Self.send(bytes, to: socket)
                if case .success(let sent) = result, sent < bytes.count { unsafe ciphertext = Array(bytes[sent...]) }
            }
            _ = try result.get()
        }
        unsentSince = hasUnsent ? unsentSince ?? since : nil
    }

    private static func send(
        _ bytes: UnsafeRawBufferPointer, to socket: borrowing FileDescriptor
    ) -> Result<Int, Errno> {
        guard unsafe !bytes.isEmpty else { return .success(0) }
        do throws(Errno) { return .success(try unsafe socket.send(bytes)) } catch {
            return error == .wouldBlock ? .success(0) : .failure(error)
        }
    }

    /// Copies the session's output before another session uses the pipe.
    func keepOutput() {
        unsafe pipe.withOutput { unsafe ciphertext.append(contentsOf: $0) }
        pipe.clearOutput()
    }
}
