import Glibc
import WSTransport

/// A server that lets in only those who know the token, and tells the others so.
///
///     door PORT TOKEN
///
/// `/` is a page for everybody; `/room` a WebSocket for those whose `X-Token` is TOKEN, in which everybody hears
/// everybody.
@main
struct Door {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let port = UInt16(arguments[1]) else {
            print("usage: door PORT TOKEN")
            exit(64)
        }
        let room = Room()
        let server = HTTPServer(
            port: port,
            routing: [
                "/": FunctionHandler { (request: ServerRequest) in request.response.write("The room is at /room.\n") },
                "/room": [
                    doorman(token: arguments[2]),
                    ws.upgrade { socket in
                        await room.enter(socket)
                        for try await message in socket.messages { await room.say(message.data?.text ?? "") }
                        await room.leave(socket)
                    },
                ] as Chain,
            ])
        try server.start()
        print("listening on port \(server.port)")
        fflush(nil)
        // Serves until a signal ends the process.
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
    }

    /// The chain goes on behind it, unless the answer is ended.
    static func doorman(token: String) -> FunctionHandler {
        FunctionHandler { (request: ServerRequest) in
            guard request.firstHeader("X-Token") != token else { return }
            request.response.statusCode = 403
            request.response.write("You need the token.\n")
            request.response.end()
        }
    }
}

/// The visitors who are present.
actor Room {
    private var sockets: [ObjectIdentifier: WebSocket] = [:]

    func enter(_ socket: WebSocket) { sockets[ObjectIdentifier(socket)] = socket }

    func leave(_ socket: WebSocket) { sockets[ObjectIdentifier(socket)] = nil }

    /// Says it to everybody; who does not keep up is closed by the server.
    func say(_ text: String) {
        for socket in sockets.values {
            do throws(WS.Error) { try socket.send(text) } catch { leave(socket) }
        }
    }
}
