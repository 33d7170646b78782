import Synchronization
import Testing

@testable import WSTransport

/// RFC 6455 §7.1.4: a connection is closed when TCP is, not when the closing handshake is done.
///
/// Otherwise a program that exits at that event would lose its own CLOSE.
@Suite("ws.Socket: the end comes after the last byte", .timeLimit(.minutes(10)))
struct SocketEndTests {
    @Test func aServersSocketClosesWithItsConnection() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/close",
                ws.upgrade(.patient) { socket in
                    socket.onclose = { log.add("close \($0.code) \($0.wasClean) \(socket.readyState)") }
                })
        }
        let address = try #require(SocketAddress(host: "127.0.0.1", port: harness.server.port))
        let opening = HTTPPeer(try SocketPeer(to: address))
        try opening.send("GET /close HTTP/1.1\r\nHost: h\r\n\(EchoServer.handshake)\r\n")
        #expect(try opening.readHead().status == 101)
        let peer = WebSocketPeer(after: opening)
        try peer.sendClose(4000)
        #expect(try peer.readFrame() == .close(4000))
        #expect(try peer.readFrame() == nil, "the server ends its side first")
        harness.log.add("the client has all")
        peer.socket.close()
        await harness.log.wait(for: 2)
        #expect(harness.log.all == ["the client has all", "close 4000 true CLOSED"])
    }

    /// Failures from before the first listener are reported in order, whichever event gets a listener first.
    @Test(arguments: ["http:/x", "ws://127.0.0.1:1/"])
    func reportsTheErrorBeforeTheClose(url: String) async throws {
        for isLate in [false, true] {
            let socket = WebSocket(url)
            let log = EchoServer.Notes()
            if isLate {
                _ = try await socket.closed()
                // A task may still be reporting the events, which have no listener yet. This one comes after them; it is
                // not reported if the task has ended, and has removed its listener.
                let told = EchoServer.Notes()
                socket.once(.ping) { _ in told.add("told") }
                if socket.emit(.ping([])) { await told.wait(for: 1) }
            }
            socket.onclose = { log.add("close \($0.code)") }
            socket.onerror = { log.add("error \($0.code)") }
            await log.wait(for: 2)
            #expect(log.all == ["error 1002", "close 1006"])
        }
    }

    @Test func reportsTheCloseWithoutAnErrorListener() async throws {
        let socket = WebSocket("ws:/")
        _ = try await socket.closed()
        let log = EchoServer.Notes()
        socket.onclose = { log.add("close \($0.code)") }
        await log.wait(for: 1)
        #expect(log.all == ["close 1006"])
    }

    /// Nothing retains a socket for listeners that are added after its end, except while they are called.
    @Test func callsListenersThatAreAddedAfterTheEnd() async throws {
        let core = SocketCore(link: ReactorLink(remote: nil), limits: .init(), isClient: false, subprotocol: "")
        let socket = WebSocket(url: "", origin: "", offered: "", core: core)
        core.finished(CloseEvent(code: .normal, reason: "", wasClean: true), error: nil)
        let log = EchoServer.Notes()
        socket.on(.ping) { _ in log.add("ping") }
        #expect(socket.emit(.ping([])))
        await log.wait(for: 1)
        #expect(log.all == ["ping"])
    }

    /// The moment after the error, which had no listener yet, and before the report of the end.
    @Test func reportsAnUnheardErrorBeforeTheClose() {
        var state = SocketCore.State(readyState: .closed, subprotocol: "")
        state.unheard[.error] = .error(.protocolError, "")
        state.happenings.append(.close(CloseEvent(code: .abnormal, reason: "", wasClean: false)))
        state.catchUp(.error)
        var order: [WebSocket.Event] = []
        while let happening = state.happenings.popFirst() { order.append(happening.event) }
        #expect(order == [.error, .close])
    }

    /// An answer waits in the reactor's mailbox while the violation after the message is handled.
    @Test func sendsPendingAnswersBeforeFailing() throws {
        let reactor = try ReactorThread()
        let (peer, other) = SocketPeer.pair()
        try reactor.run { reactor, _ in
            let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
            let connection = WebSocketConnection(
                stream: stream, role: .server, subprotocol: "", options: WebSocketConnection.Options(WebSocketOptions())
            )
            stream.driver = connection
            let core = SocketCore(
                link: ReactorLink(remote: reactor.remote), limits: SocketCore.Limits(), isClient: false, subprotocol: ""
            )
            core.attach(to: connection)
            connection.begin(core)
            try? core.post(.text, Array("answer".utf8))
            core.isEnding { connection.close(.protocolError) }
        }
        let frames = WebSocketPeer(peer)
        #expect(try frames.readFrame() == WebSocketPeer.Frame(.text, Array("answer".utf8)))
        #expect(try frames.readFrame() == .close(.protocolError))
    }

    @Test func aClientsSocketClosesWithItsConnection() async throws {
        let log = EchoServer.Notes()
        let client = Mutex<WebSocket?>(nil)
        let server = try LoopbackServer.driving { stream in
            ClosingServer(stream) { log.add("answered \(client.withLock { $0?.readyState } ?? .closed)") }
        }
        let socket = try await ws.open("ws://127.0.0.1:\(server.port)/", options: .patient)
        client.withLock { $0 = socket }
        socket.onclose = { log.add("close \($0.code) \($0.reason) \($0.wasClean) \(socket.readyState)") }
        try await socket.send("close, please")
        await log.wait(for: 2)
        #expect(log.all == ["answered CLOSING", "close 4001 enough true CLOSED"])
        client.withLock { $0 = nil }
    }
}

/// Opens, answers the first message with a CLOSE, and ends TCP after it has reported the answer to that.
private final class ClosingServer: StreamDriver {
    private let stream: StreamConnection
    private let answered: () -> Void
    private var count = 0

    init(_ stream: StreamConnection, answered: @escaping () -> Void) {
        self.stream = stream
        self.answered = answered
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        count += 1
        switch count {
        case 1:
            guard let (head, _) = try? HTTPHeadParser.parse(UnsafeRawBufferPointer(bytes), maximumHeadSize: 16384),
                let key = head.fields.first("sec-websocket-key")
            else {
                stream.reset()
                return bytes.count
            }
            let accept = Handshake.acceptKey(for: key)
            stream.send(
                Array(
                    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        + "Sec-WebSocket-Accept: \(accept)\r\n\r\n").utf8))
        case 2: stream.send([0x88, 8, 0x0F, 0xA1] + Array("enough".utf8))
        default:
            // Masked, with a payload of 8 bytes: the answer to that CLOSE.
            if bytes.count == 14, bytes[0] == 0x88 { answered() }
            stream.finish()
        }
        return bytes.count
    }

    func receivedEnd() { stream.finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func drained() {}
    func overflowed() {}
    func closed() {}
}
