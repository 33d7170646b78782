// Made by tools/snippets.py of the snippets in the documentation: change those.

import Logging
import ServiceLifecycle
import Synchronization
import WSTransport
import WSTransportCoding
import WSTransportServices
import WSTransportTesting

func authentication1() async throws {
    do {
        let options = UpgradeOptions(origins: .list(["https://example.com"]))
    }
}

func authentication2(_ status: any Handler) async throws {
    do {
        let options = UpgradeOptions(authorize: { request in
            guard await isKnown(request.cookies["session"]) else {
                throw HTTPRefusal(status: 401, message: "Who are you?")
            }
        })
    }
}

func authentication3(_ socket: WebSocket) async throws {
    do {
        let token = "a secret"
        let options = ConnectOptions(headers: ["Authorization": "Bearer \(token)"])
        let socket = try await ws.open("wss://example.com/feed", options: options)
    }
}

func authentication4(_ socket: WebSocket) async throws {
    do {
        ws.upgrade { socket, request in
            try await socket.send("hello \(request.cookies["session"] ?? "")")
        }
    }
}

func authentication5(_ socket: WebSocket) async throws {
    do {
        try socket.close(4401, reason: "the token has expired")
    }
}

func authentication6(_ socket: WebSocket, _ chain: [UInt8], _ key: [UInt8], _ server: HTTPServer) async throws {
    do {
        let context = try TLSContext.server(
            TLSIdentity(certificate: "chain.pem", key: "key.pem"), clientAuthoritiesPEM: chain)
        ws.upgrade { socket in
            print(socket.peerCertificate?.commonNames ?? [])
        }
    }
}

func authentication7(_ socket: WebSocket, _ chain: [UInt8]) async throws {
    do {
        let options = ConnectOptions(tls: try TLSContext.client(.authorities(chain)))
        let socket = try await ws.open("wss://internal.example/feed", options: options)
    }
}

func backPressure1(_ socket: WebSocket) async throws {
    do {
        ws.upgrade { socket in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<300 { group.addTask { try await socket.send("report \(number)") } }
                try await group.waitForAll()
            }
        }
    }
}

func backPressure2(_ socket: WebSocket) async throws {
    do {
        func publish(_ price: String, to socket: WebSocket) throws {
            if try !socket.trySend(price) { print("skipped, \(socket.bufferedAmount) bytes are unsent") }
        }
    }
}

func backPressure3(_ socket: WebSocket, _ routing: inout Routing, _ server: HTTPServer) async throws {
    do {
        let options = UpgradeOptions(maxPayload: 64 << 10, maximumHeld: 64 << 10, maximumUnsent: 256 << 10)
        let server = HTTPServer(
            port: 8080, routing: ["/": ws.upgrade(options) { socket in socket.onmessage = { print($0.length) } }],
            options: HTTPServer.Options(maximumConnections: 10_000))
    }
}

func broadcasting1(_ socket: WebSocket) async throws {
    do {
        let room = Broadcast()
        ws.upgrade { socket in
            room.add(socket)
            for try await message in socket.messages { room.send(message.data?.text ?? "", except: socket) }
        }
    }
}

func broadcasting2(_ socket: WebSocket) async throws {
    do {
        actor Topics {
            private var rooms: [String: Broadcast] = [:]

            func room(_ name: String) -> Broadcast {
                if let room = rooms[name], room.count > 0 { return room }
                let room = Broadcast()
                rooms[name] = room
                return room
            }
        }
        let topics = Topics()
        ws.upgrade { socket in
            for try await message in socket.messages {
                let words = (message.data?.text ?? "").split(separator: " ", maxSplits: 2).map(String.init)
                switch words.first {
                case "join": if words.count > 1 { await topics.room(words[1]).add(socket) }
                case "leave": if words.count > 1 { await topics.room(words[1]).remove(socket) }
                case "say": if words.count > 2 { await topics.room(words[1]).send(words[2]) }
                default: try await socket.send("expected join, leave or say")
                }
            }
        }
    }
}

func cancellation1(_ socket: WebSocket) async throws {
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

func cancellation2(_ socket: WebSocket) async throws {
    do {
        ws.upgrade { socket in
            while true {
                try await socket.send("tick")
                try await Task.sleep(for: .seconds(1))  // throws CancellationError when the client has gone
            }
        }
    }
}

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

func reconnecting1(_ socket: WebSocket) async throws {
    do {
        try await ws.keepOpen("wss://example.com/feed", backoff: Backoff(first: .seconds(1), longest: .seconds(60))) {
            socket, attempt in
            print("connected by attempt \(attempt)")
            for try await message in socket.messages { print(message.data?.text ?? "") }
        }
    }
}

func reconnecting2(_ socket: WebSocket) async throws {
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

func reconnecting3() async throws {
    do {
        let options = ConnectOptions(keepAlive: KeepAlive(interval: .seconds(5), timeout: .seconds(5)))
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

func servers5(_ socket: WebSocket, _ status: any Handler) async throws {
    do {
        struct Log: ServerObserver {
            func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
                print(socket.remoteAddress, socket.path, end.code, end.cause)
            }
            func evicted(_ socket: ObservedSocket, _ reason: String) { print(socket.remoteAddress, reason) }
            func refused(_ request: RefusedRequest) { print(request.remoteAddress, request.status, request.reason) }
        }
    }
}

func servers6(_ routing: inout Routing, _ logger: Logger) async throws {
    do {
        let options = HTTPServer.Options(observer: ServerObservers(LoggingObserver(logger), MetricsObserver()))
        let service = HTTPService(HTTPServer(port: 8080, routing: routing, options: options), logger: logger)
        let group = ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }
}

func servers7(_ routing: inout Routing, _ chain: [UInt8], _ key: [UInt8], _ server: HTTPServer) async throws {
    do {
        let server = try HTTPSServer(
            address: "0.0.0.0", port: 443, identity: TLSIdentity(certificate: "chain.pem", key: "key.pem"),
            handler: routing)
    }
}

func servers8(_ routing: inout Routing, _ chain: [UInt8], _ key: [UInt8], _ server: HTTPServer) async throws {
    do {
        let context = try TLSContext.server(
            TLSIdentity(certificatePEM: chain, keyPEM: key), minimumVersion: .tls13)
        let server = HTTPServer(port: 443, routing: routing, options: HTTPServer.Options(tls: context))
    }
}

func shutdown1(_ server: HTTPServer) async throws {
    do {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run(patience: .seconds(10)) }
            group.addTask { try await ws.waitForAll() }
            try await group.next()
            group.cancelAll()
        }
    }
}

func shutdown2(_ logger: Logger, _ server: HTTPServer) async throws {
    do {
        let group = ServiceGroup(
            services: [HTTPService(server, logger: logger)], gracefulShutdownSignals: [.sigterm], logger: logger)
        try await group.run()
    }
}

func shutdown3(_ socket: WebSocket) async throws {
    do {
        let room = Broadcast()
        ws.upgrade { socket in
            room.add(socket)
            defer { room.send("somebody has left", except: socket) }
            for try await message in socket.messages { room.send(message.data?.text ?? "") }
        }
    }
}

func testing1(_ server: HTTPServer) async throws {
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

func testing2(_ socket: WebSocket) async throws {
    do {
        let (socket, peer) = try await ws.socketAndPeer()
        try await peer.write([0x81, 0x01, 0x61])  // not masked
        let end = try await socket.closed()
        assert(end.endReason == .violation)
    }
}

func testing3(_ server: HTTPServer) async throws {
    do {
        let client = try ProtocolMachine(client: "ws://example.com/chat", options: ConnectOptions(protocols: ["v1"]))
        let server = try ProtocolMachine(server: UpgradeOptions(protocols: ["v1"]))
        for byte in client.takeOutput() { print(server.receive([byte])) }  // [] until the last one, then [.opened]
        print(client.receive(server.takeOutput()), client.subprotocol)  // [.opened] v1

        let ping = ProtocolMachine.Frame(.ping, [1, 2, 3], maskingKey: 0x37FA_213D)
        print(server.receive(ping.bytes))  // [.ping([1, 2, 3])]
        print(ProtocolMachine.Frame.frames(in: server.takeOutput()))  // the PONG
    }
}

func testing4(_ socket: WebSocket, _ routing: inout Routing, _ server: HTTPServer) async throws {
    do {
        let server = HTTPServer(port: 0, routing: routing)
        try server.start()
        try await ws.withSocket("ws://127.0.0.1:\(server.port)/echo") { socket in
            try await socket.send("hello")
            print(try await socket.receive()?.data?.text ?? "")
        }
        await server.stop()
    }
}

func threads1(_ socket: WebSocket) async throws {
    do {
        ws.upgrade(UpgradeOptions(executor: .reactor)) { socket in
            for try await message in socket.messages { try await socket.send(message) }
        }
    }
}

func threads2(_ socket: WebSocket) async throws {
    do {
        enum Checksum {
            @concurrent
            static func of(_ bytes: [UInt8]) async -> UInt64 { bytes.reduce(0) { $0 &* 31 &+ UInt64($1) } }
        }

        ws.upgrade(UpgradeOptions(executor: .reactor)) { socket in
            for try await message in socket.messages { try await socket.send("\(await Checksum.of(message.body))") }
        }
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

func overviewTesting3(_ server: HTTPServer) async throws {
    do {
        let client = try ProtocolMachine(client: "ws://example.com/chat")
        let server = try ProtocolMachine(server: UpgradeOptions())
        print(server.receive(client.takeOutput()), client.receive(server.takeOutput()))  // [.opened] [.opened]
        try client.send("hello")
        for byte in client.takeOutput() { print(server.receive([byte])) }  // [] … [.text("hello")]
        try server.close(4000, reason: "enough")
        print(client.receive(server.takeOutput()), client.readyState)  // [.closed(4000, reason: "enough")] CLOSED
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

func protocolMachineFrame1(_ server: HTTPServer) async throws {
    do {
        let server = ProtocolMachine(.server)
        let parts = [
            ProtocolMachine.Frame(.text, Array("hel".utf8), isFinal: false, maskingKey: 0x37FA_213D),
            ProtocolMachine.Frame(.continuation, Array("lo".utf8), maskingKey: 0x37FA_213D),
        ]
        let events = server.receive(parts.flatMap(\.bytes))  // [.text("hello")]
    }
}

func protocolMachine1(_ server: HTTPServer) async throws {
    do {
        let client = try ProtocolMachine(client: "ws://example.com/chat")
        let server = try ProtocolMachine(server: UpgradeOptions())
        _ = server.receive(client.takeOutput())  // [.opened]
        _ = client.receive(server.takeOutput())  // [.opened]
        try client.send("hello")
        let frame = client.takeOutput()
        let nothing = server.receive(frame.prefix(3))  // []
        let message = server.receive(frame.dropFirst(3))  // [.text("hello")]
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
