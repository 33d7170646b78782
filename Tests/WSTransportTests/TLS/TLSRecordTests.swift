import COpenSSL
import Testing
import WSTransport

@Suite("RFC 8446 §5: records that a server makes")
struct TLSRecordTests {
    /// RFC 8448 §3: the server's application traffic secret, and two records under it after a ticket.
    @Test func makesTheRecordsOfRFC8448() throws {
        let secret = bytes("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
        let writer = try #require(TLSRecordWriter(.aes128GCM, secret: secret, sequence: 1))
        let pipe = TLSPipe()
        #expect(write(Array(0...49), .applicationData, writer, pipe))
        #expect(
            take(pipe)
                == bytes(
                    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fc"
                        + "c49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"))
        #expect(write([1, 0], .alert, writer, pipe))
        #expect(take(pipe) == bytes("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"))
    }

    @Test func takesNoSecretOfAnotherLength() {
        #expect(TLSRecordWriter(.aes128GCM, secret: [UInt8](repeating: 1, count: 48), sequence: 0) == nil)
        #expect(TLSRecordWriter(.aes256GCM, secret: [UInt8](repeating: 1, count: 32), sequence: 0) == nil)
    }

    /// RFC 8446 §5.5: a key encrypts a limited number of records, and the next one is derived from its secret.
    @Test(arguments: TLSCipherSuite.allCases)
    func changesItsKeyAfterTheLastRecord(suite: TLSCipherSuite) throws {
        let secret = [UInt8](repeating: 7, count: suite.hashLength)
        let writer = try #require(TLSRecordWriter(suite, secret: secret, sequence: 0, maximumRecords: 2))
        let same = try #require(TLSRecordWriter(suite, secret: secret, sequence: 0))
        let (pipe, other) = (TLSPipe(), TLSPipe())
        for _ in 0..<3 { #expect(write([1, 2, 3], .applicationData, writer, pipe)) }
        for _ in 0..<2 { #expect(write([1, 2, 3], .applicationData, same, other)) }
        #expect(same.updateKey(through: other))
        #expect(write([1, 2, 3], .applicationData, same, other))
        #expect(take(pipe) == take(other))
    }

    // MARK: Read by OpenSSL

    @Test(arguments: [
        ("TLS_AES_128_GCM_SHA256", TLSCipherSuite.aes128GCM), ("TLS_AES_256_GCM_SHA384", .aes256GCM),
        ("TLS_CHACHA20_POLY1305_SHA256", .chaCha20Poly1305),
    ])
    func isReadByOpenSSL(name: String, suite: TLSCipherSuite) throws {
        let client = try OpenSSLClient { SSL_set_ciphersuites($0, name) }
        #expect(client.cipher == suite.rawValue)
        let message = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(client.serverSends([5]) && client.serverSends(message))
        #expect(client.received == [5] + message)
        // A record has at most 16 KiB, one byte for its type, and the tag.
        #expect(client.records.suffix(3).map(\.count) == [16_384, 16_384, 7_232].map { $0 + 5 + 17 })
    }

    @Test func changesItsKeyOnRequest() throws {
        let client = try OpenSSLClient()
        for round in UInt8(0)..<3 {
            client.requestsKey()
            client.sends([round])
            #expect(client.serverSends([100 + round]))
        }
        #expect(client.atServer == [0, 1, 2] && client.received == [100, 101, 102])
        #expect(client.server.failure == nil)
    }

    /// Each costs the server more than the peer, so an input may have a limited number of them.
    @Test(arguments: zip([0, UInt8(TLSEXT_max_fragment_length_512)], [[2, 10], []]))
    func refusesAFloodOfNewKeys(fragments: UInt8, alert: [UInt8]) throws {
        let client = try OpenSSLClient { SSL_set_tlsext_max_fragment_length($0, fragments) }
        client.requestsKey(count: TLSSession.maximumNewKeys)
        #expect(client.serverSends([1]) && client.received == [1] && client.server.failure == nil)
        client.requestsKey(count: TLSSession.maximumNewKeys + 1)
        #expect(client.server.failure == .failed("too many new keys at once"))
        #expect(!client.serverSends([2]) && client.alert == alert)
    }

    /// RFC 8446 §6.1: a request that arrives after the server's `close_notify` gets no answer.
    @Test func changesNoKeyAfterItsEnd() throws {
        let client = try OpenSSLClient()
        client.serverCloses()
        let count = client.records.count
        client.requestsKey()
        client.sends([2])
        #expect(client.records.count == count && client.atServer == [2])
    }

    @Test func announcesItsEnd() throws {
        let client = try OpenSSLClient()
        #expect(client.serverSends([1]))
        client.serverCloses()
        #expect(client.isEnded && client.alert == [1, 0] && client.received == [1])
        client.sends([2])
        #expect(client.atServer == [2])
    }

    /// RFC 8446 §5.2: `bad_record_mac`, which OpenSSL would have sent under its own key.
    @Test func tellsThePeerOfADamagedRecord() throws {
        let client = try OpenSSLClient()
        #expect(client.serverSends([1]))
        client.deliver([23, 3, 3, 0, 32] + [UInt8](repeating: 9, count: 32))
        client.settle()
        #expect(client.alert == [2, 20])
        #expect(client.server.failure != nil && !client.serverSends([2]))
    }

    // MARK: Left to OpenSSL

    /// RFC 6066 §4: the client wants at most 512 bytes in a record.
    @Test func makesShortRecordsForAClientThatAsksForThem() throws {
        let client = try OpenSSLClient { SSL_set_tlsext_max_fragment_length($0, UInt8(TLSEXT_max_fragment_length_512)) }
        let message = [UInt8](repeating: 3, count: 2000)
        #expect(client.serverSends(message) && client.received == message)
        #expect(client.records.allSatisfy { $0.count <= 512 + 5 + 17 })
    }

    @Test func speaksTLS12() throws {
        let client = try OpenSSLClient { SSL_ctrl($0, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil) }
        #expect(client.version == TLS1_2_VERSION)
        #expect(client.serverSends([1, 2]) && client.received == [1, 2])
        client.serverCloses()
        #expect(client.isEnded)
    }

    // MARK: Helpers

    private func bytes(_ digits: String) -> [UInt8] {
        let digits = Array(digits)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }

    private func write(
        _ content: [UInt8], _ type: TLSRecordWriter.ContentType, _ writer: TLSRecordWriter, _ pipe: TLSPipe
    ) -> Bool {
        content.withUnsafeBytes { writer.write($0, type, to: pipe) }
    }

    private func take(_ pipe: TLSPipe) -> [UInt8] {
        defer { pipe.clearOutput() }
        return pipe.withOutput { Array($0) }
    }
}
