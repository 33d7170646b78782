// Made by tools/snippets.py of the snippets in the documentation: change those.

import Logging
import ServiceLifecycle
import Synchronization
import WSTransport
import WSTransportCoding
import WSTransportServices
import WSTransportTesting

func clients1(_ socket: WebSocket) async throws {
    do {
        let socket = WebSocket("wss://example.com/feed")
        socket.onopen = { try? await socket.send("hello") }
        socket.onmessage = { message in print(message.data?.text ?? "\(message.length) bytes") }
        socket.onerror = { info in print("went wrong:", info.code, info.reason) }
        socket.onclose = { info in print("over:", info.code, info.reason, info.wasClean) }
        try await ws.waitForAll()  // with socket.ref(): for programs that only listen
    }
}

func clients2(_ socket: WebSocket) async throws {
    do {
        let answer = try await ws.withSocket("wss://example.com/api") { socket in
            try await socket.send("question")
            return try await socket.receive()?.data?.text
        }
    }
}

func clients3(_ socket: WebSocket) async throws {
    do {
        let seen = Mutex("0")
        try await ws.keepOpen("wss://example.com/feed") { options, attempt in
            options.headers["X-Since"] = seen.withLock { $0 }
        } _: { socket, attempt in
            for try await message in socket.messages {
                print(message.data?.text ?? "")
                seen.withLock { $0 = message.value }
            }
        }
    }
}

func ends1(_ socket: WebSocket) async throws {
    do {
        do {
            for try await message in socket.messages { print(message.length) }
        } catch WS.Error.closed(let code, _) where code == 4401 {
            print("the token has expired")
        } catch {
            print(error, socket.endReason.map { "\($0)" } ?? "")
        }
    }
}

func ends2(_ socket: WebSocket) async throws {
    do {
        func ask(_ socket: WebSocket, within limit: Duration) async throws -> WebSocketMessage? {
            try await withThrowingTaskGroup(of: WebSocketMessage?.self) { group in
                group.addTask { try await socket.receive() }
                group.addTask {
                    try await Task.sleep(for: limit)
                    throw CancellationError()
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
        }
    }
}

func largeMessages1(_ socket: WebSocket, _ chunks: AsyncStream<[UInt8]>) async throws {
    do {
        try await socket.sendInParts(ws.BINARY) { writer in
            for try await chunk in chunks { try await writer.write(chunk) }
        }
    }
}

func largeMessages2(_ socket: WebSocket, _ routing: inout Routing) async throws {
    do {
        let options = UpgradeOptions(maxPayload: 1 << 40, receivesParts: true)
        routing.append(
            "/upload",
            ws.upgrade(options) { socket in
                while let message = try await socket.receiveInParts() {
                    var count = 0
                    for try await part in message { count += part.count }
                    try await socket.send("\(count) bytes")
                }
            })
    }
}

func rawFrames1(_ stream: any ByteStream) async throws {
    do {
        let stream = try await ws.connect("ws://127.0.0.1:8080/echo")
        let message = ws.Message("hello")  // masked, as a client's must be
        try await message.sendTo(stream)
        let answer = ws.Message()
        try await answer.readFrom(stream)  // fragments joined, checked, inflated
        print(answer.type, answer.data?.text ?? "")
        await stream.close()
    }
}

func rawFrames2(_ stream: any ByteStream) async throws {
    do {
        let order = ws.Message(type: ws.TEXT)
        try order.json(Order(item: "tea", count: 2))
        try await order.sendTo(stream)
        let reply = ws.Message()
        try await reply.readFrom(stream)
        let receipt = try reply.pack(as: Receipt.self)  // nil without a body
    }
}

func servers1(
    _ socket: WebSocket, _ routing: inout Routing, _ status: any Handler, _ files: any Handler, _ others: any Handler
) async throws {
    do {
        var routing: Routing = ["/ws": ws.upgrade { socket in socket.onmessage = { print($0.length) } }]
        routing.get(
            "/users/:id",
            FunctionHandler { (request: ServerRequest) in
                request.response.write("user \(request.params[0])")
            })
        routing.append("/api", ["/status": status, "/files/*": files] as Routing)  // a prefix
        routing.host("*.example.com", others)
    }
}

func servers2(_ socket: WebSocket, _ routing: inout Routing) async throws {
    do {
        let door = FunctionHandler { (request: ServerRequest) in
            guard request.firstHeader("x-token") == "secret" else {
                request.response.statusCode = 403
                return request.response.end()
            }
        }
        routing.append("/private", [door, ws.upgrade { socket in socket.onmessage = { print($0.length) } }] as Chain)
    }
}

func servers3(_ socket: WebSocket) async throws {
    do {
        ws.upgrade { socket in
            for try await message in socket.messages { try await socket.send(message.body) }
        }
    }
}

func servers4(_ socket: WebSocket, _ routing: inout Routing, _ server: HTTPServer) async throws {
    do {
        let upgrade = UpgradeOptions(
            perMessageDeflate: CompressionOptions(level: 6), maxPayload: 1 << 20, protocols: ["chat.v2", "chat.v1"])
        let server = HTTPServer(
            port: 8080, routing: ["/chat": ws.upgrade(upgrade) { socket in socket.onmessage = { print($0.length) } }],
            options: HTTPServer.Options(maximumConnections: 10_000))
    }
}

func servers5(_ socket: WebSocket) async throws {
    do {
        let room = Broadcast()
        ws.upgrade { socket in
            room.add(socket)
            for try await message in socket.messages { room.send(message.data?.text ?? "", except: socket) }
        }
    }
}

func servers6(_ socket: WebSocket, _ status: any Handler) async throws {
    do {
        struct Log: ServerObserver {
            func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
                print(socket.remoteAddress, socket.path, end.code, end.cause)
            }
            func refused(_ request: RefusedRequest) { print(request.remoteAddress, request.status, request.reason) }
        }
    }
}

func servers7(_ routing: inout Routing, _ logger: Logger) async throws {
    do {
        let options = HTTPServer.Options(observer: ServerObservers(LoggingObserver(logger), MetricsObserver()))
        let service = HTTPService(HTTPServer(port: 8080, routing: routing, options: options), logger: logger)
        let group = ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }
}

func servers8(_ status: any Handler) async throws {
    do {
        var options = UpgradeOptions()
        options.origins = .list(["https://example.com"])
        options.authorize = { request in
            guard await isKnown(request.cookies["session"]) else {
                throw HTTPRefusal(status: 401, message: "Who are you?")
            }
        }
    }
}

func servers9(_ routing: inout Routing, _ chain: [UInt8], _ key: [UInt8], _ server: HTTPServer) async throws {
    do {
        let server = try HTTPSServer(
            address: "0.0.0.0", port: 443, identity: TLSIdentity(certificate: "chain.pem", key: "key.pem"),
            handler: routing)
    }
}

func servers10(_ routing: inout Routing, _ chain: [UInt8], _ key: [UInt8], _ server: HTTPServer) async throws {
    do {
        let context = try TLSContext.server(
            TLSIdentity(certificatePEM: chain, keyPEM: key), minimumVersion: .tls13)
        let server = HTTPServer(port: 443, routing: routing, options: HTTPServer.Options(tls: context))
    }
}

func overview1(_ socket: WebSocket, _ routing: inout Routing, _ server: HTTPServer) async throws {
    do {

        let server = HTTPServer(
            port: 8080,
            routing: [
                "/echo": ws.upgrade { socket in
                    socket.onmessage = { message in try? await socket.send(message.data?.text ?? "") }
                },
                "/": FunctionHandler { (request: ServerRequest) in request.response.write("hello\n") },
            ])
        try server.start()
    }
}

func overview2(_ socket: WebSocket) async throws {
    do {
        let socket = try await ws.open("ws://127.0.0.1:8080/echo")
        try await socket.send("hello")
        for try await message in socket.messages { print(message.data?.text ?? "") }
    }
}

func overviewCoding1(_ socket: WebSocket) async throws {
    do {
        struct Order: Codable, Sendable { var item: String; var count: Int }
        let socket = try await ws.open("ws://127.0.0.1:8080/orders")
        try await socket.send(json: Order(item: "tea", count: 2))
        try await socket.send(pack: Order(item: "tea", count: 2))
        if let order = try await socket.receive()?.json(as: Order.self) { print(order.item) }
    }
}

func overviewServices1(_ routing: inout Routing, _ logger: Logger) async throws {
    do {
        let options = HTTPServer.Options(observer: ServerObservers(LoggingObserver(logger), MetricsObserver()))
        let service = HTTPService(HTTPServer(port: 8080, routing: routing, options: options), logger: logger)
        let group = ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }
}

func overviewTesting1(_ server: HTTPServer) async throws {
    do {
        let pair = try await ws.pair(server: UpgradeOptions(maxPayload: 1000))
        let serving = Task { try await echo(pair.server) }
        try await pair.client.send("hello")
        let answer = try await pair.client.receive()
        assert(answer?.data == .text("hello"))
        try pair.client.close()
        try await serving.value
    }
}

func overviewTesting2(_ socket: WebSocket) async throws {
    do {
        let (socket, peer) = try await ws.socketAndPeer()
        try await peer.write([0x81, 0x01, 0x61])  // not masked, as a client's frame has to be
        let end = try await socket.closed()
        assert(end.endReason == .violation)
    }
}

func hTTPService1(_ logger: Logger, _ server: HTTPServer) async throws {
    do {
        let group = ServiceGroup(
            services: [HTTPService(server, logger: logger)], gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        try await group.run()
    }
}

func wSPair1(_ server: HTTPServer) async throws {
    do {
        let pair = try await ws.pair()
        let serving = Task { try await echo(pair.server) }
        try await pair.client.send("hello")
        let answer = try await pair.client.receive()
        assert(answer?.data == .text("hello"))
        try pair.client.close()
        try await serving.value
    }
}
