internal import COpenSSL

/// One side of one TLS connection, without its socket: bytes in, bytes out.
///
/// ``receive(_:)`` takes bytes from the network and returns plaintext; ``send(_:)`` takes plaintext. Both leave output
/// for the network in ``pipe``. Fetch it before the next operation of any session on the pipe, which drops it.
/// ``start()`` and ``close()`` begin and end the session. Nothing throws: an error is in ``failure``, its alert in the
/// output, and from then on the session accepts nothing. Used only on the pipe's thread; ``move(to:)`` may move it to
/// another.
@safe package final class TLSSession {
    package var pipe: TLSPipe { unsafe currentPipe }
    // Unchecked, because each record reads these, and nothing is called while one of them changes.
    @exclusivity(unchecked) private var currentPipe: TLSPipe
    /// Whether the handshake is complete, so that plaintext can be sent.
    package private(set) var isEstablished = false
    /// Whether the peer has announced, by `close_notify`, that it sends nothing more.
    package private(set) var isEndedByPeer = false
    /// The error that ended it; `nil` if there is none.
    package private(set) var failure: TLSError? {
        get { unsafe firstFailure }
        set {
            unsafe firstFailure = newValue
            unsafe writer?.end()
        }
    }
    @exclusivity(unchecked) private var firstFailure: TLSError?
    let context: TLSContext
    /// The server's name in the context's tickets; `nil` if no tickets are kept.
    private let server: String?
    let handle: OpaquePointer
    private var isClosing = false
    /// Makes the records that it sends; `nil` if OpenSSL does.
    // Unchecked, like the pipe.
    @exclusivity(unchecked) private(set) var writer: TLSRecordWriter?
    /// A server's traffic secret, from its first flight to the end of the handshake; otherwise empty.
    private var secret: [UInt8] = []
    /// How many records OpenSSL has sent under the secret; `nil` if that is not known.
    private var recordsSent: UInt64? = 0
    /// The alert that OpenSSL would have sent, if ``writer`` makes the records; empty if there is none.
    private var alert: [UInt8] = []
    /// Whether the peer has requested a new key (RFC 8446 §4.6.3) and has not got it yet.
    private var isKeyRequested = false
    /// How many keys the peer has announced in the input that is being read.
    private var newKeys = 0

    /// How many new keys a peer may announce in one input: each costs a server three derivations, and a record of 22
    /// bytes is enough for one.
    package static let maximumNewKeys = 32

    /// Makes a server's session; `nil` if memory has run out.
    package convenience init?(server context: TLSContext, pipe: TLSPipe) {
        self.init(context, pipe, server: nil)
        unsafe SSL_set_accept_state(handle)
        unsafe _ = SSL_set_ex_data(handle, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Makes a client's session, which must be started; `nil` if memory has run out.
    ///
    /// - Parameters:
    ///   - host: the server's name or numeric address, which its certificate must have.
    ///   - ticket: a ticket of an earlier session with the same server, to resume it.
    ///   - port: identifies, with `host`, the server whose tickets the context keeps: one of them is used, and new ones
    ///     are kept. `nil`: neither.
    package convenience init?(
        client context: TLSContext, host: String, pipe: TLSPipe, ticket: TLSTicket? = nil, port: UInt16? = nil
    ) {
        self.init(context, pipe, server: port.map { "\(host) \($0)" })
        unsafe SSL_set_connect_state(handle)
        unsafe _ = SSL_set_ex_data(handle, 0, Unmanaged.passUnretained(self).toOpaque())
        let rules = unsafe SSL_get0_param(handle)
        // RFC 9525 §6: neither `lo*.example` nor the common name names a server.
        unsafe X509_VERIFY_PARAM_set_hostflags(
            rules, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        let isAddress = unsafe X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1
        if !isAddress {
            // RFC 6066 §3: names only.
            guard unsafe SSL_set1_host(handle, host) == 1, unsafe tls_set_server_name(handle, host) == 1 else {
                return nil
            }
        }
        if let ticket = ticket ?? server.flatMap(context.tickets.take) {
            unsafe _ = SSL_set_session(handle, ticket.handle)
        }
    }

    private init?(_ context: TLSContext, _ pipe: TLSPipe, server: String?) {
        guard let handle = unsafe SSL_new(context.handle) else { return nil }
        guard let bio = unsafe pipe.makeBIO() else {
            unsafe SSL_free(handle)
            return nil
        }
        unsafe SSL_set_bio(handle, bio, bio)
        unsafe self.handle = handle
        self.context = context
        self.server = server
        unsafe currentPipe = pipe
    }

    deinit { unsafe SSL_free(handle) }

    /// Continues with another pipe, which may belong to another thread.
    package func move(to pipe: TLSPipe) {
        unsafe currentPipe = pipe
        unsafe pipe.serve(SSL_get_rbio(handle))
        unsafe writer?.move(to: pipe.records)
    }

    /// Begins a client's handshake.
    package func start() {
        begin()
        shakeHands()
    }

    /// Takes all of `bytes`, at most ``TLSPipe/maximumInput``, and returns the plaintext that is complete now.
    ///
    /// The plaintext may be changed in place and is valid until the next bytes are received on the same pipe.
    package func receive(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        if bytes.count > TLSPipe.maximumInput { failure = failure ?? .failed("more bytes than fit") }
        begin()
        newKeys = 0
        let count = unsafe pipe.feed(bytes) {
            if !isEstablished { shakeHands() }
            let end = pipe.outputCount
            let count = isEstablished ? readAll() : 0
            if newKeys > Self.maximumNewKeys, failure == nil {
                failure = .failed("too many new keys at once")
                // RFC 8446 §6.2: fatal, `unexpected_message`.
                alert = [2, 10]
            }
            if let writer = unsafe writer { sendNotices(writer, after: end) }
            return count
        }
        return unsafe UnsafeMutableRawBufferPointer(rebasing: pipe.plaintext[..<count])
    }

    /// Encrypts `plaintext`; `false` if that is not possible (any more).
    @discardableResult
    package func send(_ plaintext: UnsafeRawBufferPointer) -> Bool {
        guard isEstablished, failure == nil, !isClosing else { return false }
        if let writer = unsafe writer {
            pipe.clearOutput()
            if unsafe writer.write(plaintext, .applicationData, to: pipe) { return true }
            failure = TLSErrorQueue.error(verification: Int(X509_V_OK))
            return false
        }
        begin()
        var rest = unsafe plaintext
        while unsafe !rest.isEmpty {
            var written = 0
            let result = unsafe SSL_write_ex(handle, rest.baseAddress, rest.count, &written)
            guard result == 1, written > 0 else {
                note(result)
                return false
            }
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return true
    }

    /// Announces by `close_notify` that nothing more is sent; once, and only on an open connection.
    package func close() {
        guard isEstablished, failure == nil, !isClosing else { return }
        isClosing = true
        begin()
        defer { unsafe writer?.end() }
        guard let writer = unsafe writer else {
            unsafe _ = SSL_shutdown(handle)
            return
        }
        unsafe SSL_set_shutdown(handle, SSL_get_shutdown(handle) | SSL_SENT_SHUTDOWN)
        // RFC 8446 §6.1: a warning, `close_notify`.
        send(alert: [1, 0], writer)
    }

    /// Clears what an earlier operation has left on this thread.
    private func begin() {
        TLSErrorQueue.clear()
        pipe.clearOutput()
    }

    private func shakeHands() {
        guard failure == nil else { return }
        let hadSecret = !secret.isEmpty
        let result = unsafe SSL_do_handshake(handle)
        // The flight that follows the secret in the same step was encrypted before it.
        if hadSecret, let sent = recordsSent {
            recordsSent = unsafe pipe.withOutput { unsafe TLSRecordWriter.count(in: $0) }.map { sent + $0 }
        }
        guard result == 1 else { return note(result) }
        isEstablished = true
        takeOver()
    }

    private func readAll() -> Int {
        var count = 0
        while failure == nil, !isEndedByPeer, unsafe count < pipe.plaintext.count {
            var read = 0
            let space = unsafe UnsafeMutableRawBufferPointer(rebasing: pipe.plaintext[count...])
            let result = unsafe SSL_read_ex(handle, space.baseAddress, space.count, &read)
            guard result == 1, read > 0 else {
                note(result)
                break
            }
            count += read
        }
        return count
    }

    private func note(_ result: Int32) {
        switch unsafe SSL_get_error(handle, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: break
        case SSL_ERROR_ZERO_RETURN: isEndedByPeer = true
        default: failure = unsafe TLSErrorQueue.error(verification: SSL_get_verify_result(handle))
        }
    }

    // MARK: Negotiated values

    /// The version, such as `TLSv1.3`.
    package var version: String { unsafe String(cString: SSL_get_version(handle)) }

    /// Whether an earlier session was resumed, without certificates.
    package var isResumed: Bool { unsafe SSL_session_reused(handle) == 1 }

    /// The protocol chosen by ALPN; empty if there is none.
    package var applicationProtocol: String {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(handle, &name, &count)
        return unsafe String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// The ticket with which a client can resume this session; `nil` until the server has sent one.
    package var ticket: TLSTicket? {
        guard let session = unsafe SSL_get_session(handle), unsafe SSL_SESSION_is_resumable(session) == 1 else {
            return nil
        }
        return unsafe TLSTicket(copying: session)
    }
}

// MARK: Records

extension TLSSession {
    /// Makes the records from now on, if this is a server's session of TLS 1.3; otherwise OpenSSL continues.
    private func takeOver() {
        let suite = unsafe TLSCipherSuite(rawValue: SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(handle)))
        defer {
            unsafe secret.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
            secret = []
        }
        guard !secret.isEmpty else { return }
        heed()
        // A client may have asked for shorter records (RFC 6066 §4).
        guard let suite, let recordsSent,
            unsafe SSL_SESSION_get_max_fragment_length(SSL_get_session(handle)) == 0
        else { return }
        unsafe writer = TLSRecordWriter(suite, secret: secret, sequence: recordsSent)
    }

    /// Takes note of OpenSSL's alerts, and of the peer's new keys.
    private func heed() {
        unsafe SSL_set_msg_callback(handle) { isOutput, _, type, bytes, count, session, _ in
            guard let owner = unsafe SSL_get_ex_data(session, 0) else { return }
            let session = unsafe Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
            let message = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
            if isOutput == 1, type == SSL3_RT_ALERT {
                session.alert = unsafe Array(message)
            } else if isOutput == 0, type == SSL3_RT_HANDSHAKE, count == 5, unsafe message[0] == SSL3_MT_KEY_UPDATE {
                session.isKeyRequested = unsafe session.isKeyRequested || message[4] == SSL_KEY_UPDATE_REQUESTED
                session.newKeys += 1
                if session.newKeys > TLSSession.maximumNewKeys { session.pipe.dropInput() }
            }
        }
    }

    /// Replaces what OpenSSL has written after `end`, under a key that the peer no longer expects.
    private func sendNotices(_ writer: TLSRecordWriter, after end: Int) {
        pipe.truncateOutput(to: end)
        defer {
            isKeyRequested = false
            alert = []
        }
        // RFC 8446 §6.1: nothing follows `close_notify`.
        guard !isClosing else { return }
        if isKeyRequested, failure == nil {
            if !writer.updateKey(through: pipe) { failure = failure ?? .failed("no new key") }
        }
        if !alert.isEmpty { send(alert: alert, writer) }
    }

    private func send(alert: [UInt8], _ writer: TLSRecordWriter) {
        unsafe _ = alert.withUnsafeBytes { unsafe writer.write($0, .alert, to: pipe) }
    }

    /// Keeps the secret of a server's records from a line of a key log.
    ///
    /// Such a line is a label, the client's random value and the secret, the last two in hexadecimal digits.
    static func noteSecret(_ line: UnsafePointer<CChar>?, of session: OpaquePointer?) {
        guard let line = unsafe line, let owner = unsafe SSL_get_ex_data(session, 0) else { return }
        let words = unsafe UnsafeRawBufferPointer(start: line, count: strlen(line)).split(separator: 0x20)
        guard unsafe words.count == 3, unsafe words[0].elementsEqual("SERVER_TRAFFIC_SECRET_0".utf8) else { return }
        let session = unsafe Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
        var secret = [UInt8](repeating: 0, count: unsafe words[2].count / 2)
        var count = 0
        // The digits are the end of the line, so a NUL follows them.
        let isDone = unsafe OPENSSL_hexstr2buf_ex(&secret, secret.count, &count, line + words[2].startIndex, 0) == 1
        session.secret = isDone && count == secret.count ? secret : []
        session.recordsSent = 0
    }
}

extension TLSSession {
    /// Receives a ticket from a server.
    ///
    /// The result is 0: OpenSSL's own object is not kept.
    static func keep(_ ticket: OpaquePointer?, of session: OpaquePointer?) -> Int32 {
        guard let ticket = unsafe ticket, let owner = unsafe SSL_get_ex_data(session, 0) else { return 0 }
        let session = unsafe Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
        if let server = session.server, unsafe SSL_SESSION_is_resumable(ticket) == 1,
            let copy = unsafe TLSTicket(copying: ticket)
        {
            session.context.tickets.put(copy, of: server)
        }
        return 0
    }
}

/// A session that a client may resume.
///
/// RFC 8446 §2.2. Any thread.
@safe package final class TLSTicket: Sendable {
    // Nothing changes it here.
    nonisolated(unsafe) fileprivate let handle: OpaquePointer

    /// Copies a session; `nil` if memory has run out.
    ///
    /// If a connection ends without `close_notify`, OpenSSL marks its session as not to be resumed. RFC 8446 §6.1 does
    /// not want that, and a client that has lost its connection is the one that resumes: the copy stays as it was.
    fileprivate init?(copying session: OpaquePointer) {
        guard let copy = unsafe SSL_SESSION_dup(session) else { return nil }
        unsafe handle = copy
    }

    deinit { unsafe SSL_SESSION_free(handle) }
}
