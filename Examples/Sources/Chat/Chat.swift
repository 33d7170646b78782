import Dispatch
import Glibc
import WSTransport

/// A room in which each client receives all messages, and which closes in order.
///
///     chat PORT
///
/// `/chat?name=NAME` is a WebSocket. SIGTERM and SIGINT end the server; its clients get the close code 1001.
@main
struct Chat {
    static func main() async throws {
        guard CommandLine.arguments.count == 2, let port = UInt16(CommandLine.arguments[1]) else {
            print("usage: chat PORT")
            exit(64)
        }
        let signals = Signals([SIGTERM, SIGINT])
        let room = Broadcast()
        var options = HTTPServer.Options()
        options.observer = Log()
        let server = HTTPServer(
            port: port,
            routing: [
                "/chat": ws.upgrade { socket, request in
                    let name = request.parameter("name") ?? "somebody"
                    room.add(socket)
                    room.send("\(name) is here")
                    // Whatever ends the connection, this closure learns of it, and is cancelled if it waits for
                    // something else.
                    defer { room.send("\(name) has left") }
                    for try await message in socket.messages { room.send("\(name): \(message.data?.text ?? "")") }
                }
            ], options: options)
        try server.start()
        print("listening on port \(server.port)")
        fflush(nil)
        await signals.first()
        // Waits until all clients have gone, for 5 s at most.
        await server.stop(patience: .seconds(5))
        print("stopped, \(room.count) left")
    }
}

/// Writes events to standard error.
struct Log: ServerObserver {
    func opened(_ socket: ObservedSocket) { write("\(socket.number) opened by \(socket.remoteAddress)") }

    func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
        write("\(socket.number) ended: \(end.code), \(end.cause)")
    }

    func refused(_ request: RefusedRequest) { write("refused \(request.path): \(request.status) \(request.reason)") }

    func failed(_ error: any Error, _ request: ServerRequest) { write("\(request.path) failed: \(error)") }

    private func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// Signals that end the program.
struct Signals {
    private let stream: AsyncStream<Void>
    private let sources: [any DispatchSourceSignal]

    init(_ numbers: [Int32]) {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        self.stream = stream
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { continuation.yield() }
            source.resume()
            return source
        }
    }

    /// Waits for the first signal.
    func first() async { for await _ in stream { return } }
}
