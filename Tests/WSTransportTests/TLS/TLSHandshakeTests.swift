import Foundation
import Testing

@testable import WSTransport

@Suite("TLS handshakes on a pool of threads", .timeLimit(.minutes(10)))
struct TLSHandshakeTests {
    /// A client's end of a connection to a listener, which performs its handshake itself.
    private final class Client {
        let socket: Int32
        let session: TLSSession
        private let pipe = TLSPipe()

        struct Failed: Error {}

        init(port: UInt16) throws {
            guard let address = SocketAddress(host: "127.0.0.1", port: port) else { throw Failed() }
            let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            socket = descriptor
            try address.withSockaddr { (pointer, length) throws(Errno) in
                _ = try valueOrErrno { connect(descriptor, pointer, length) }
            }
            let context = try TLSContext.client(TestAuthority.shared.get().trust)
            guard let session = TLSSession(client: context, host: "localhost", pipe: pipe) else { throw Failed() }
            self.session = session
        }

        deinit { close(socket) }

        func sendOutput(upTo count: Int = .max) {
            let bytes = TLSPair.output(of: session).prefix(count)
            _ = bytes.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }

        /// Reads once; the plaintext, `nil` at the end.
        func receive() -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: 65536)
            let count = recv(socket, &bytes, bytes.count, 0)
            return count > 0 ? TLSPair.feed(session, bytes[..<count]) : nil
        }

        func shakeHands() throws {
            session.start()
            sendOutput()
            while !session.isEstablished {
                guard receive() != nil else { throw Failed() }
                sendOutput()
            }
        }

        func say(_ text: String) {
            _ = Array(text.utf8).withUnsafeBytes { session.send($0) }
            sendOutput()
        }
    }

    /// Echoes, and notes the events of its connection.
    private final class Echo: StreamDriver {
        private let stream: StreamConnection
        private let log: EventLog
        private let patience: Int64?

        init(_ stream: StreamConnection, _ log: EventLog, patience: Int64? = nil) {
            self.stream = stream
            self.log = log
            self.patience = patience
            stream.setDeadline(patience.map { stream.reactor.now.advanced(byNanoseconds: $0) })
        }

        func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
            log.add(String(decoding: bytes, as: UTF8.self))
            stream.send(UnsafeRawBufferPointer(bytes))
            return bytes.count
        }

        func receivedEnd() {
            log.add("end")
            stream.finish()
        }

        func deadlinePassed() { stream.finish() }
        func fellBehind() {}
        func drained() {}
        func overflowed() {}
        func closed() { log.add("closed") }
    }

    private static func server(_ log: EventLog, patience: Int64? = nil) throws -> LoopbackServer {
        try .driving(tls: .server(TestAuthority.server.get())) { Echo($0, log, patience: patience) }
    }

    @Test func keepsDataThatArrivesWithTheHandshake() throws {
        let log = EventLog()
        let server = try Self.server(log)
        let client = try Client(port: server.port)
        client.session.start()
        client.sendOutput()
        while !client.session.isEstablished { _ = try #require(client.receive()) }
        // The end of the handshake and what follows it are one piece.
        var bytes = TLSPair.output(of: client.session)
        _ = Array("early".utf8).withUnsafeBytes { client.session.send($0) }
        bytes += TLSPair.output(of: client.session)
        _ = bytes.withUnsafeBytes { send(client.socket, $0.baseAddress, $0.count, 0) }
        var answer: [UInt8] = []
        while answer.count < 5 { answer += try #require(client.receive()) }
        #expect(answer == Array("early".utf8))
    }

    @Test func acceptsAHandshakeInPieces() throws {
        let log = EventLog()
        let server = try Self.server(log)
        let client = try Client(port: server.port)
        client.session.start()
        let hello = TLSPair.output(of: client.session)
        for byte in hello { _ = [byte].withUnsafeBytes { send(client.socket, $0.baseAddress, 1, 0) } }
        while !client.session.isEstablished {
            _ = try #require(client.receive())
            client.sendOutput()
        }
        client.say("whole")
        try log.wait(for: "whole")
    }

    /// A client that disconnects in the middle leaves nothing behind, and harms no other client.
    @Test(arguments: 0..<4)
    func survivesDisconnectingClients(way: Int) throws {
        let log = EventLog()
        let server = try Self.server(log, patience: way == 3 ? 1_000_000 : nil)
        var clients: [Client] = []
        for _ in 0..<40 {
            let client = try Client(port: server.port)
            client.session.start()
            client.sendOutput(upTo: way == 0 ? 20 : .max)
            var option = linger(l_onoff: 1, l_linger: 0)
            switch way {
            case 1:  // A reset.
                _ = setsockopt(client.socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            case 2: shutdown(client.socket, Int32(SHUT_WR))
            default: break
            }
            // With 3 the server gives up.
            if way >= 2 { clients.append(client) }
        }
        if way == 3 { for client in clients { while client.receive() != nil {} } }
        clients = []
        try log.wait(for: "closed", times: 40)
        guard way != 3 else { return }
        let client = try Client(port: server.port)
        try client.shakeHands()
        client.say("still there")
        try log.wait(for: "still there")
    }

    /// A server ends while its sessions are in the pool.
    @Test(arguments: 0..<20)
    func stopsDuringHandshakes(number: Int) throws {
        var server: LoopbackServer? = try Self.server(EventLog())
        let port = try #require(server).port
        let clients = try (0..<4).map { _ in try Client(port: port) }
        for client in clients {
            client.session.start()
            client.sendOutput()
        }
        if number % 2 == 0 { _ = clients[0].receive() }
        server = nil
        for client in clients { while client.receive() != nil {} }
    }

    @Test func completesManyHandshakesAtOnce() async throws {
        let log = EventLog()
        let server = try Self.server(log)
        let clients = try (0..<60).map { _ in try Client(port: server.port) }
        for client in clients {
            client.session.start()
            client.sendOutput()
        }
        for client in clients {
            while !client.session.isEstablished {
                _ = try #require(client.receive())
                client.sendOutput()
            }
            client.say("in")
        }
        try log.wait(for: "in", times: 60)
    }
}
