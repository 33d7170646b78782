import WSTransport

/// A server on its own thread for the client to talk to; it ends with this value.
final class LoopbackServer: Sendable {
    let port: UInt16
    private let isSecure: Bool
    private let remote: Remote
    private let thread: ThreadHandle

    struct NoAddress: Error {}

    /// The objects that the reactor keeps.
    private final class Served {
        let object: AnyObject
        init(object: AnyObject) { self.object = object }
    }

    /// Serves with `configure`, which runs before the thread starts and returns the objects to keep.
    private init(tls: TLSContext? = nil, _ configure: (Reactor, consuming FileDescriptor) throws -> AnyObject) throws {
        guard let address = SocketAddress(host: "127.0.0.1", port: 0) else { throw NoAddress() }
        let descriptor = try Socket.listening(on: address, sharesPort: false)
        isSecure = tls != nil
        port = Socket.localAddress(descriptor.rawValue)?.port ?? 0
        remote = try Remote()
        let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: remote)
        reactor.ringMinimum = 1
        reactor[Served.self] = Served(object: try configure(reactor, descriptor))
        // Nothing else refers to the reactor from here on.
        nonisolated(unsafe) let owned = reactor
        thread = try startThread(named: "loopback") { owned.run() }
    }

    deinit {
        remote.run { $0.stop() }
        thread.join()
    }

    var endpoint: Endpoint { .internet(host: "127.0.0.1", port: port, isSecure: isSecure) }

    /// A server of WebSockets that take orders (``OrderedSession``) at `/`, which refuses requests for `/closed`.
    static func webSockets(tls: TLSContext? = nil, compression: CompressionOptions? = nil) throws -> LoopbackServer {
        try LoopbackServer(tls: tls) { reactor, descriptor in
            var routing = Routing()
            // On the reactor's thread, as the handlers are.
            nonisolated(unsafe) let harness = Harness()
            routing.add(
                ["GET"], exactly: "/",
                WS.upgrade { exchange, request throws(HTTPRefusal) in
                    var values = WebSocketOptions()
                    values.maximumUnsent = 64 << 20
                    // A reader may wait for other tests, on a busy machine.
                    values.maximumUnsentAge = nil
                    values.closeTimeout = 60_000_000_000
                    values.compression = compression
                    return Admission(
                        subprotocol: request.subprotocols.contains("second") ? "second" : nil,
                        options: WebSocketConnection.Options(values)
                    ) { OrderedSession($0, origin: request.origin, harness: harness) }
                })
            routing.add(
                ["GET"], exactly: "/closed",
                WS.upgrade { _, _ throws(HTTPRefusal) in
                    throw HTTPRefusal(status: 403, code: "forbidden", message: "Not for you.")
                })
            return try HTTPListener(
                on: reactor, listening: descriptor, handler: routing,
                settings: {
                    var settings = HTTPSettings()
                    settings.headTimeout = 120_000_000_000
                    settings.entrance.tls = tls
                    return settings
                })
        }
    }

    /// A server that answers each request's head with the result of `answer`; it sends nothing for `nil`.
    ///
    /// - Parameter finishes: whether the answer is its last output, so that its time limit for the client begins.
    static func answering(
        tls: TLSContext? = nil, finishes: Bool = true, _ answer: @escaping (HTTPRequestHead) -> [UInt8]?
    ) throws -> LoopbackServer {
        try driving(tls: tls) { RawDriver(stream: $0, finishes: finishes, answer: answer) }
    }

    /// A server whose connections have drivers from `makeDriver`.
    static func driving(
        tls: TLSContext? = nil, _ makeDriver: @escaping (StreamConnection) -> any StreamDriver
    ) throws -> LoopbackServer {
        try LoopbackServer(tls: tls) { reactor, descriptor in
            try reactor.listen(on: descriptor) { stream in
                if let tls { _ = stream.secure(asServer: tls, plainAnswer: []) }
                return makeDriver(stream)
            }
        }
    }
}

/// The state that the sessions of a server share.
private final class Harness {
    /// The first socket.
    weak var first: WebSocketConnection?
    var openCount = 0
    /// The socket that is notified when it is the only one.
    weak var waitsToBeAlone: WebSocketConnection?

    func notifyIfAlone() {
        guard openCount == 1 else { return }
        waitsToBeAlone?.send(.text, Array("1".utf8))
        waitsToBeAlone = nil
    }
}

/// Obeys text messages; echoes all others.
private final class OrderedSession: WebSocketSession {
    private let socket: WebSocketConnection
    private let origin: String?
    private let harness: Harness

    init(_ socket: WebSocketConnection, origin: String?, harness: Harness) {
        self.socket = socket
        self.origin = origin
        self.harness = harness
        harness.openCount += 1
        if harness.first == nil { harness.first = socket }
    }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        let bytes = payload.indices.map { payload[$0] }
        let order = opcode == .text ? String(decoding: bytes, as: UTF8.self).split(separator: " ") : []
        switch order.first {
        case "close": socket.close(CloseCode(rawValue: UInt16(order[1]) ?? 0), reason: String(order[2]))
        case "terminate": socket.terminate()
        case "origin": socket.send(.text, Array((origin ?? "none").utf8))
        case "flood": flood(socket, Int(order[1]) ?? 0, Int(order[2]) ?? 0)
        case "flood-first": harness.first.map { flood($0, Int(order[1]) ?? 0, Int(order[2]) ?? 0) }
        case "count": answer(harness.openCount)
        case "when-alone":
            harness.waitsToBeAlone = socket
            harness.notifyIfAlone()
        case "unsent-to-first": answer(harness.first?.bufferedAmount ?? -1)
        case "deaf": socket.stream.pauseReading()
        case "wake-first": harness.first?.stream.resumeReading()
        default: socket.send(opcode, bytes)
        }
    }

    /// Sends messages repeatedly; message number n consists of n's last byte.
    private func flood(_ socket: WebSocketConnection, _ count: Int, _ size: Int) {
        for number in 0..<count {
            socket.send(.binary, [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size))
        }
    }

    private func answer(_ number: Int) { socket.send(.text, Array(String(number).utf8)) }

    func closed(_ event: CloseEvent) {
        harness.openCount -= 1
        harness.notifyIfAlone()
    }
}

/// Answers with raw bytes.
private final class RawDriver: StreamDriver {
    private let stream: StreamConnection
    private let finishes: Bool
    private let answer: (HTTPRequestHead) -> [UInt8]?
    private var hasAnswered = false

    init(stream: StreamConnection, finishes: Bool, answer: @escaping (HTTPRequestHead) -> [UInt8]?) {
        self.stream = stream
        self.finishes = finishes
        self.answer = answer
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard !hasAnswered else { return bytes.count }
        guard let (head, count) = try? HTTPHeadParser.parse(UnsafeRawBufferPointer(bytes), maximumHeadSize: 16384)
        else {
            return 0
        }
        if let answer = answer(head) {
            hasAnswered = true
            stream.send(answer)
            if finishes { finish() }
        }
        return count
    }

    /// Ends this direction; the client may wait for other tests, on a busy machine, before it reads and ends its own.
    private func finish() { stream.finish(patience: 600_000_000_000) }

    func receivedEnd() { finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func drained() {}
    func overflowed() {}
    func closed() {}
}
