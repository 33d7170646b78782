import Testing
import WSTransport

@Suite("RFC 8446, RFC 5246: both ends of a session, in memory")
struct TLSSessionTests {
    @Test func agreesOnTheNewestVersionAndHTTP() throws {
        let pair = try TLSPair().shakeHands()
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        #expect(pair.server.version == "TLSv1.3")
        #expect(pair.client.applicationProtocol == "http/1.1" && pair.server.applicationProtocol == "http/1.1")
        #expect(!pair.server.isResumed && pair.server.failure == nil && pair.client.failure == nil)
    }

    @Test(arguments: [1, 100, 16_384, 16_385, 1_000_000])
    func carriesPlaintextBothWays(count: Int) throws {
        let pair = try TLSPair().shakeHands()
        pair.cut = { $1.chunks(of: TLSPipe.maximumInput) }
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(pair.clientSends(bytes))
        #expect(pair.serverSends(bytes.reversed()))
        pair.settle()
        #expect(pair.atServer == bytes)
        #expect(pair.atClient == bytes.reversed())
    }

    /// The wire may cut anywhere; the rest of the handshake comes with the other half.
    @Test func completesTheHandshakeSplitAnywhere() throws {
        let whole = try TLSPair().shakeHands()
        let counts = [whole.sentToServer, whole.sentToClient]
        #expect(counts.allSatisfy { $0 > 300 })
        let (client, server) = (
            try TLSContext.client(TestAuthority.shared.get().trust), try TLSContext.server(TestAuthority.server.get())
        )
        for split in 1..<(counts.max() ?? 1) {
            let pair = try TLSPair(client: client, server: server)
            pair.cut = { first, flight in
                guard split > first, split < first + flight.count else { return [flight[...]] }
                return [flight[..<(split - first)], flight[(split - first)...]]
            }
            pair.shakeHands()
            #expect(pair.server.isEstablished && pair.client.isEstablished, "cut at \(split)")
            #expect(pair.clientSends([1, 2, 3]))
            pair.settle()
            #expect(pair.atServer == [1, 2, 3])
        }
    }

    @Test func completesTheHandshakeByteByByte() throws {
        let pair = try TLSPair()
        pair.cut = { $1.chunks(of: 1) }
        pair.shakeHands()
        #expect(pair.clientSends(Array("hello".utf8)) && pair.serverSends(Array("you".utf8)))
        pair.settle()
        #expect(pair.atServer == Array("hello".utf8) && pair.atClient == Array("you".utf8))
    }

    /// A client may send its first request in one piece with the end of the handshake.
    @Test func keepsDataThatArrivesWithTheHandshake() throws {
        let pair = try TLSPair()
        pair.client.start()
        _ = TLSPair.feed(pair.server, TLSPair.output(of: pair.client)[...])
        let flight = TLSPair.output(of: pair.server)
        _ = TLSPair.feed(pair.client, flight[...])
        var last = TLSPair.output(of: pair.client)
        #expect(pair.client.isEstablished && !pair.server.isEstablished)
        #expect([UInt8]("GET /".utf8).withUnsafeBytes { pair.client.send($0) })
        last += TLSPair.output(of: pair.client)
        #expect(TLSPair.feed(pair.server, last[...]) == Array("GET /".utf8))
    }

    @Test func sendsNothingBeforeTheHandshake() throws {
        let pair = try TLSPair()
        #expect(!pair.serverSends([1]) && !pair.clientSends([1]))
        pair.serverCloses()
        pair.shakeHands()
        #expect(pair.server.isEstablished)
    }

    // MARK: Its end

    @Test func closesEachDirectionSeparately() throws {
        let pair = try TLSPair().shakeHands()
        #expect(pair.serverSends([9]))
        pair.serverCloses()
        pair.settle()
        #expect(pair.atClient == [9] && pair.client.isEndedByPeer && !pair.server.isEndedByPeer)
        // RFC 8446 §6.1: the other direction is still open.
        #expect(pair.clientSends([8]))
        pair.clientCloses()
        pair.settle()
        #expect(pair.atServer == [8] && pair.server.isEndedByPeer)
        #expect(!pair.clientSends([7]) && !pair.serverSends([7]))
        #expect(pair.client.failure == nil && pair.server.failure == nil)
    }

    /// Cutting the wire cannot look like an end.
    @Test func distinguishesTruncationFromClosing() throws {
        let pair = try TLSPair().shakeHands()
        #expect(pair.clientSends([UInt8](repeating: 5, count: 100)))
        pair.cut = { _, flight in [flight.dropLast(1)] }
        pair.settle()
        #expect(pair.atServer.isEmpty && !pair.server.isEndedByPeer)
    }

    @Test func rejectsDamagedBytesAndKeepsEarlierOnes() throws {
        let pair = try TLSPair().shakeHands()
        #expect(pair.clientSends([1, 2]) && pair.clientSends([3, 4]))
        pair.damage(at: 22 + 2 + 10)
        pair.settle()
        #expect(pair.atServer == [1, 2])
        #expect(pair.server.failure == .failed("decryption failed or bad record mac"))
        #expect(pair.client.failure == .refusedByPeer("sslv3 alert bad record mac"))
        #expect(!pair.serverSends([1]))
    }

    // MARK: Resumption

    @Test func resumesByTicket() throws {
        let (client, server) = (
            try TLSContext.client(TestAuthority.shared.get().trust), try TLSContext.server(TestAuthority.server.get())
        )
        let first = try TLSPair(client: client, server: server).shakeHands()
        let ticket = try #require(first.client.ticket)
        let second = try TLSPair(client: client, server: server, ticket: ticket).shakeHands()
        #expect(second.server.isResumed && second.client.isResumed && second.server.isEstablished)
        // Another context has other keys: the ticket is useless, and the handshake is a full one.
        let third = try TLSPair(client: client, ticket: ticket).shakeHands()
        #expect(!third.server.isResumed && third.server.isEstablished)
    }

    /// A client that has lost its connection, without any farewell, resumes.
    @Test func resumesAfterALostConnection() throws {
        let (client, server) = (
            try TLSContext.client(TestAuthority.shared.get().trust), try TLSContext.server(TestAuthority.server.get())
        )
        func lose() throws -> TLSTicket? { try TLSPair(client: client, server: server).shakeHands().client.ticket }
        let ticket = try #require(try lose())
        let again = try TLSPair(client: client, server: server, ticket: ticket).shakeHands()
        #expect(again.server.isResumed && again.client.isResumed)
    }

    // MARK: What is no TLS, or an old one

    /// A ClientHello of TLS 1.1 (RFC 4346 §7.4.1.2) that offers nothing newer.
    private static let oldHello: [UInt8] = {
        let body = [3, 2] + [UInt8](repeating: 7, count: 32) + [0, 0, 4, 0xC0, 0x13, 0, 0x2F, 1, 0]
        return [22, 3, 1, 0, UInt8(body.count + 4), 1, 0, 0, UInt8(body.count)] + body
    }()

    @Test func refusesTLS11() throws {
        let server = try TLSPair().server
        #expect(TLSPair.feed(server, Self.oldHello[...]).isEmpty)
        #expect(server.failure == .failed("unsupported protocol"))
        // RFC 5246 §7.2: a fatal (2) alert protocol_version (70).
        #expect(TLSPair.output(of: server).suffix(2) == [2, 70])
    }

    @Test(arguments: [
        Array("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0, count: 100), [UInt8](repeating: 255, count: 65_536),
        [22, 3, 1, 0, 4, 1, 255, 255, 255], [22, 3, 1, 255, 255, 1], [21, 3, 1, 0, 2, 2, 40], [23, 3, 3, 0, 1, 0],
    ])
    func rejectsAnythingButAHandshake(bytes: [UInt8]) throws {
        let server = try TLSPair().server
        #expect(TLSPair.feed(server, bytes[...]).isEmpty)
        #expect(server.failure != nil && !server.isEstablished)
        #expect(TLSPair.feed(server, bytes[...]).isEmpty)
    }

    @Test func rejectsOversizedInput() throws {
        let server = try TLSPair().server
        #expect(TLSPair.feed(server, [UInt8](repeating: 22, count: TLSPipe.maximumInput + 1)[...]).isEmpty)
        #expect(server.failure == .failed("more bytes than fit"))
    }
}

extension [UInt8] {
    fileprivate func chunks(of size: Int) -> [ArraySlice<UInt8>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
