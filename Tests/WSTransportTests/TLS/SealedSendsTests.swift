import COpenSSL
import Foundation
import Testing

@testable import WSTransport

@Suite("Turns that a reactor encrypts itself", .timeLimit(.minutes(10)))
struct SealedSendsTests {
    /// A client of a connection that the reactor serves.
    private final class Client {
        let socket: SocketPeer
        let session: TLSSession
        private(set) var received: [UInt8] = []
        private let pipe = TLSPipe()

        struct Failed: Error {}

        /// Adopts a connection with a number, and performs the handshake of both ends.
        init(_ number: Int, _ reactor: ReactorThread, sendBytes: Int32?) throws {
            let server = try TLSContext.server(TestAuthority.server.get())
            let context = try TLSContext.client(TestAuthority.shared.get().trust)
            socket = try reactor.adopt(sendBytes: sendBytes) { _ = $0.stream.secure(asServer: server, plainAnswer: []) }
            guard let session = TLSSession(client: context, host: "localhost", pipe: pipe) else { throw Failed() }
            self.session = session
            let suites = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
            SSL_set_ciphersuites(session.handle, suites[number % 3])
            // OpenSSL makes the records then.
            if number % 5 == 4 { SSL_ctrl(session.handle, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil) }
            session.start()
            try sendOutput()
            while !session.isEstablished {
                try receive()
                try sendOutput()
            }
            try reactor.wait { try reactor.run { $1.drivers[number].stream.isSecured } }
        }

        func sendOutput() throws { try socket.send(TLSPair.output(of: session)) }

        /// Reads once; `false` at the end.
        @discardableResult
        func receive() throws -> Bool {
            let bytes = try socket.readSome()
            received += TLSPair.feed(session, bytes[...])
            return !bytes.isEmpty
        }

        func receive(upTo count: Int) throws {
            while received.count < count, try receive() {}
            #expect(session.failure == nil)
        }

        func requestKey() throws {
            SSL_key_update(session.handle, SSL_KEY_UPDATE_REQUESTED)
            SSL_do_handshake(session.handle)
            try sendOutput()
        }
    }

    /// What a turn sends: the numbers of the connections, and the bytes that all of them get.
    private struct Sent {
        let numbers: [Int]
        let bytes: [UInt8]
    }

    /// Broadcasts, readers that are slow for a while, requests for keys, and clients that end: everyone gets everything,
    /// in order.
    @Test(arguments: 0..<12)
    func deliversEverythingInOrder(schedule: Int) throws {
        var random = SplitMix(schedule: schedule)
        let reactor = try ReactorThread()
        let clients = try (0..<10).map { try Client($0, reactor, sendBytes: $0 % 4 == 1 ? 4096 : nil) }
        var open = Array(clients.indices)
        var expected = clients.map { _ in [UInt8]() }
        for _ in 0..<60 {
            let some = open[Int(random.next() % UInt64(open.count))]
            switch random.next() % 12 {
            case 0: try clients[some].receive(upTo: expected[some].count)
            case 1 where some % 5 != 4: try clients[some].requestKey()
            case 2:
                _ = [1].withUnsafeBytes { clients[some].session.send($0) }
                try clients[some].sendOutput()
            case 3 where open.count > 4:
                open.removeAll { $0 == some }
                // In order, or not.
                if random.next() % 2 == 0 {
                    try reactor.run { $1.drivers[some].stream.finish(patience: 60_000_000_000) }
                    while try clients[some].receive() {}
                    #expect(clients[some].received == expected[some], "\(schedule): \(some) ends")
                    #expect(clients[some].session.isEndedByPeer)
                } else {
                    clients[some].socket.close()
                }
            default:
                var turn: [Sent] = []
                for _ in 0...random.next() % 3 {
                    let size = Int(random.next() % (random.next() % 10 == 0 ? 40_000 : 300))
                    let all = random.next() % 5 != 0
                    turn.append(Sent(numbers: all ? open : [some], bytes: random.bytes(size + 1)))
                }
                for sent in turn { for number in sent.numbers { expected[number] += sent.bytes } }
                let sends = turn
                try reactor.run { reactor, stage in
                    for sent in sends {
                        let segment = sent.bytes.withUnsafeBytes { reactor.encode(lane: 0, $0) }
                        for number in sent.numbers { reactor.send(segment, to: stage.drivers[number].stream.slot) }
                    }
                }
            }
        }
        for number in open {
            try clients[number].receive(upTo: expected[number].count)
            #expect(clients[number].received == expected[number], "\(schedule): \(number)")
        }
    }

    /// After a connection has taken everything, the reactor needs only the state of its records.
    @Test func doesNotAskAConnectionThatKeepsUp() throws {
        let reactor = try ReactorThread()
        let client = try Client(0, reactor, sendBytes: 4096)
        func isSealed() throws -> Bool { try reactor.run { $0.recordPlace(of: $1.drivers[0].stream.slot) != nil } }
        func send(_ count: Int) throws {
            try reactor.run { $1.drivers[0].stream.send([UInt8](repeating: 7, count: count)) }
            try reactor.turns(1)
        }
        try send(10)
        #expect(try isSealed())
        // More than its socket takes.
        try send(15_000)
        #expect(try !isSealed())
        try client.receive(upTo: 15_010)
        try send(10)
        #expect(try isSealed())
        try reactor.run { $1.drivers[0].stream.finish() }
        #expect(try !isSealed())
    }

    /// Its bytes wait for the socket, as if that had not taken them.
    @Test func tellsAConnectionWhoseRecordHasNoRoom() throws {
        let reactor = try ReactorThread()
        let client = try Client(0, reactor, sendBytes: nil)
        let log = try reactor.run { $1.drivers[0].log }
        let (sealed, events) = try reactor.run { reactor, stage in
            var room = SealedSends()
            _ = [UInt8](repeating: 0, count: SealedSends.capacity).withUnsafeBytes { room.add($0) }
            let sealed = [UInt8]([1, 2, 3]).withUnsafeBytes { bytes in
                stage.drivers[0].stream.seal(bytes, into: &room, now: reactor.now)?.count
            }
            return (sealed, stage.drivers[0].log.all)
        }
        #expect(sealed == 0 && events == ["behind"])
        try client.receive(upTo: 3)
        #expect(client.received == [1, 2, 3])
        try log.wait(for: "drained")
    }

    @Test func makesNoRecordForAnotherConnection() throws {
        let states = TLSRecordStates()
        let writer = try #require(TLSRecordWriter(.aes128GCM, secret: Self.secret, sequence: 0, maximumRecords: 2))
        #expect(writer.place(in: states, for: 5, 1) == nil)
        writer.move(to: states)
        let place = try #require(writer.place(in: states, for: 5, 1))
        #expect(states[place].pointee.socket(of: 1) == 5 && states[place].pointee.socket(of: 2) == -1)
        writer.end()
        #expect(states[place].pointee.socket(of: 1) == -1 && writer.place(in: states, for: 5, 1) == nil)
    }

    /// The state of an ended connection is erased, and another one gets its place.
    @Test func usesAPlaceAgain() throws {
        let states = TLSRecordStates()
        var writer = TLSRecordWriter(.aes128GCM, secret: Self.secret, sequence: 0)
        writer?.move(to: states)
        let place = try #require(writer?.place(in: states, for: 5, 1))
        writer = nil
        #expect(states[place].pointee.socket(of: 1) == -1)
        let bytes = UnsafeRawBufferPointer(start: states[place], count: MemoryLayout<TLSRecordState>.size)
        #expect(bytes.count(where: { $0 != 0 }) <= 8)
        let next = try #require(TLSRecordWriter(.aes128GCM, secret: Self.secret, sequence: 0))
        next.move(to: states)
        #expect(next.place(in: states, for: 6, 2) == place)
        #expect(states[place].pointee.socket(of: 1) == -1 && states[place].pointee.socket(of: 2) == 6)
    }

    /// The writer and the reactor count the same records; only the writer changes the key.
    @Test(arguments: TLSCipherSuite.allCases)
    func continuesTheRecordsOfItsWriter(suite: TLSCipherSuite) throws {
        let secret = [UInt8](repeating: 7, count: suite.hashLength)
        let writer = try #require(TLSRecordWriter(suite, secret: secret, sequence: 0, maximumRecords: 4))
        let same = try #require(TLSRecordWriter(suite, secret: secret, sequence: 0, maximumRecords: 4))
        let (pipe, other) = (TLSPipe(), TLSPipe())
        writer.move(to: pipe.records)
        var output: [UInt8] = []
        for round in UInt8(0)..<9 {
            let content = [round, 1, 2]
            #expect(content.withUnsafeBytes { same.write($0, .applicationData, to: other) })
            if round % 2 == 1, let place = writer.place(in: pipe.records, for: 5, 1) {
                let cipher = try #require(pipe.cipher(of: suite))
                var record = [UInt8](repeating: 0, count: TLSRecordWriter.length(ofRecordWith: content.count))
                #expect(
                    content.withUnsafeBytes { content in
                        record.withUnsafeMutableBufferPointer { record in
                            record.baseAddress.map {
                                pipe.records[place].pointee.seal(content, .applicationData, into: $0, cipher)
                            } ?? false
                        }
                    })
                output += record
            } else {
                #expect(content.withUnsafeBytes { writer.write($0, .applicationData, to: pipe) })
                output += pipe.withOutput { Array($0) }
                pipe.clearOutput()
            }
        }
        #expect(output == other.withOutput { Array($0) })
    }

    private static let secret = [UInt8](repeating: 7, count: 32)
}
