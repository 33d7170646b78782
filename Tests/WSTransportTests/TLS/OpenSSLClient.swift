import COpenSSL
import WSTransport

/// A client of OpenSSL's own, for what ours never does: chosen ciphers, short records, requests for new keys.
final class OpenSSLClient {
    private let context: OpaquePointer
    private let handle: OpaquePointer
    let server: TLSSession
    /// The plaintext that each has received.
    private(set) var received: [UInt8] = []
    private(set) var atServer: [UInt8] = []
    /// The records from the server, each with its header.
    private(set) var records: [[UInt8]] = []
    /// The alert that it has received: level and description.
    private(set) var alert: [UInt8] = []

    struct Failed: Error {}

    init(_ configure: (OpaquePointer) -> Void = { _ in }) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let handle = SSL_new(context),
            let server = TLSSession(server: try .server(TestAuthority.server.get()), pipe: TLSPipe())
        else { throw Failed() }
        self.context = context
        self.handle = handle
        self.server = server
        configure(handle)
        SSL_set_bio(handle, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()))
        SSL_set_connect_state(handle)
        SSL_set_ex_data(handle, 1, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_info_callback(handle) { session, place, value in
            guard place & SSL_CB_READ_ALERT == SSL_CB_READ_ALERT, let owner = SSL_get_ex_data(session, 1) else {
                return
            }
            let client = Unmanaged<OpenSSLClient>.fromOpaque(owner).takeUnretainedValue()
            client.alert = [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
        }
        settle()
        guard server.isEstablished, SSL_is_init_finished(handle) == 1 else { throw Failed() }
    }

    deinit {
        SSL_free(handle)
        SSL_CTX_free(context)
    }

    var cipher: UInt16 { SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(handle)) }
    var version: Int32 { SSL_version(handle) }
    /// Whether the server has announced that it sends nothing more.
    var isEnded: Bool { SSL_get_shutdown(handle) & SSL_RECEIVED_SHUTDOWN != 0 }

    /// Transfers bytes in both directions until there are no more.
    func settle() {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = SSL_read(handle, &buffer, Int32(buffer.count))
            if count > 0 {
                received += buffer.prefix(Int(count))
                continue
            }
            let sent = BIO_read(SSL_get_wbio(handle), &buffer, Int32(buffer.count))
            guard sent > 0 else { return }
            deliver(buffer[..<Int(sent)])
        }
    }

    /// Gives the server bytes, as if they were from this client.
    func deliver(_ bytes: ArraySlice<UInt8>) {
        atServer += TLSPair.feed(server, bytes)
        take()
    }

    func serverSends(_ bytes: [UInt8]) -> Bool {
        let isSent = bytes.withUnsafeBytes { server.send($0) }
        take()
        settle()
        return isSent
    }

    func serverCloses() {
        server.close()
        take()
        settle()
    }

    func sends(_ bytes: [UInt8]) {
        SSL_write(handle, bytes, Int32(bytes.count))
        settle()
    }

    /// Changes its own key and requests that the server do the same, `count` times at once.
    func requestsKey(count: Int = 1) {
        for _ in 0..<count {
            SSL_key_update(handle, SSL_KEY_UPDATE_REQUESTED)
            SSL_do_handshake(handle)
        }
        settle()
    }

    private func take() {
        let output = TLSPair.output(of: server)
        if server.isEstablished { records += Self.records(output) }
        BIO_write(SSL_get_rbio(handle), output, Int32(output.count))
    }

    private static func records(_ bytes: [UInt8]) -> [[UInt8]] {
        var (records, rest) = ([[UInt8]](), bytes[...])
        while rest.count >= 5 {
            let count = 5 + Int(rest[rest.startIndex + 3]) << 8 + Int(rest[rest.startIndex + 4])
            records.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return records
    }
}
