import Foundation

@testable import WSTransport

/// A client of the test's own: sends and reads frames one by one.
final class WebSocketPeer {
    struct Frame: Equatable {
        let opcode: Opcode
        let payload: [UInt8]

        init(_ opcode: Opcode, _ payload: [UInt8]) {
            self.opcode = opcode
            self.payload = payload
        }

        static func close(_ code: CloseCode, _ reason: String = "") -> Frame {
            Frame(.close, [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)] + Array(reason.utf8))
        }
    }

    /// The server sent bytes that are not a server's frame.
    struct Malformed: Error { let bytes: [UInt8] }

    let socket: SocketPeer
    private var buffer: [UInt8] = []
    /// How much of the buffer is read.
    private var start = 0

    init(_ socket: SocketPeer) { self.socket = socket }

    /// Continues after the answer to the handshake.
    init(after peer: HTTPPeer) {
        socket = peer.socket
        buffer = peer.buffer
    }

    static func bytes(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        FrameEncoder.frame(opcode, payload, maskingKey: FrameKeys.any)
    }

    func send(_ opcode: Opcode, _ payload: [UInt8] = []) throws { try socket.send(Self.bytes(opcode, payload)) }

    func sendClose(_ code: CloseCode, _ reason: String = "") throws {
        try socket.send(FrameEncoder.closeFrame(code, reason: reason, maskingKey: FrameKeys.any))
    }

    /// The next frame; `nil` at the end of the stream.
    func readFrame() throws -> Frame? {
        while true {
            let reading = buffer.withUnsafeBytes {
                FrameHeader.read(UnsafeRawBufferPointer(rebasing: $0[start...]), isMasked: false)
            }
            if case .violation = reading { throw Malformed(bytes: Array(buffer[start...].prefix(20))) }
            if case .whole(let header, let count) = reading, buffer.count - start >= count + header.payloadLength {
                guard header.isFinal else { throw Malformed(bytes: Array(buffer[start...].prefix(20))) }
                let payload = start + count
                start = payload + header.payloadLength
                return Frame(header.opcode, Array(buffer[payload..<start]))
            }
            let bytes = try socket.readSome()
            guard !bytes.isEmpty else {
                guard buffer.count == start else { throw Malformed(bytes: Array(buffer[start...])) }
                return nil
            }
            buffer = buffer[start...] + bytes
            start = 0
        }
    }

    /// All frames until the end of the stream.
    func readToEnd() throws -> [Frame] {
        var frames: [Frame] = []
        while let frame = try readFrame() { frames.append(frame) }
        return frames
    }
}

/// Masking keys that tests send with.
enum FrameKeys {
    static let any = MaskingKey(0x12, 0x34, 0x56, 0x78)
}

/// WebSockets on their own reactor, over pairs of sockets.
struct WebSocketHarness {
    let reactor: ReactorThread
    let log: EventLog
    private let options: WebSocketOptions

    init(log: EventLog = EventLog(), _ configure: (inout WebSocketOptions) -> Void = { _ in }) throws {
        reactor = try ReactorThread()
        self.log = log
        var options = WebSocketOptions()
        options.pingInterval = nil
        // The machine may be busy with other tests.
        options.closeTimeout = 60_000_000_000
        configure(&options)
        self.options = options
    }

    static let request =
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

    /// A connection that has sent no request yet.
    func connect(
        sendBytes: Int32? = nil, _ configure: @escaping @Sendable (LoggingSession) -> Void = { _ in }
    ) throws -> HTTPPeer {
        let (peer, other) = SocketPeer.pair(sendBytes: sendBytes)
        let (options, log) = (options, log)
        try reactor.run { reactor, stage in
            var routing = Routing()
            // On the reactor's thread, as the handlers are.
            nonisolated(unsafe) let stage = stage
            routing.add(
                [], exactly: "/ws",
                WS.upgrade { exchange, request throws(HTTPRefusal) in
                    exchange.extraFields = ["X-Extra": "1"]
                    if request.origin == "https://elsewhere" { throw HTTPRefusal(status: 403, message: "Not you.") }
                    let known = request.subprotocols.first { $0 == "known" }
                    return Admission(subprotocol: known, options: WebSocketConnection.Options(options)) { socket in
                        let session = LoggingSession(socket, log)
                        configure(session)
                        stage.kept.append(session)
                        return session
                    }
                })
            var settings = HTTPSettings()
            settings.headTimeout = 120_000_000_000
            let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
            stream.driver = HTTPConnection(
                stream: stream, settings: settings, handler: routing, refusal: nil)
        }
        return HTTPPeer(peer)
    }

    /// A WebSocket that is open.
    func open(
        sendBytes: Int32? = nil, _ configure: @escaping @Sendable (LoggingSession) -> Void = { _ in }
    ) throws -> WebSocketPeer {
        let peer = try connect(sendBytes: sendBytes, configure)
        try peer.send(Self.request + "\r\n")
        guard try peer.readHead().status == 101 else { throw WebSocketPeer.Malformed(bytes: peer.buffer) }
        return WebSocketPeer(after: peer)
    }

    /// Calls `body` with the newest session's socket.
    @discardableResult
    func on<Value: Sendable>(_ body: @escaping @Sendable (WebSocketConnection) -> Value) throws -> Value {
        let value = try reactor.run { _, stage in (stage.kept.last as? LoggingSession).map { body($0.socket) } }
        guard let value else { throw ReactorThread.Stuck() }
        return value
    }
}

/// Echoes every message, or follows the test's orders, and logs the end.
final class LoggingSession: WebSocketSession {
    let socket: WebSocketConnection
    private let log: EventLog
    var onMessage: (LoggingSession, Opcode, [UInt8]) -> Void = { $0.socket.send($1, $2) }

    init(_ socket: WebSocketConnection, _ log: EventLog) {
        self.socket = socket
        self.log = log
    }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        onMessage(self, opcode, payload.withUnsafeBufferPointer { Array($0) })
    }

    func drained() { log.add("drained") }

    func closed(_ event: CloseEvent) {
        log.add("closed \(event.code.rawValue) \(event.reason) \(event.wasClean ? "clean" : "unclean")")
    }
}
