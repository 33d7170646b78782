import Glibc
import WSTransport

/// A server that admits only clients with the token, and refuses others with a reason.
///
///     door PORT TOKEN
///
/// `/` is a page for everyone; `/room` is a WebSocket for clients whose `X-Token` is TOKEN, in which each client
/// receives all messages.
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
                        do {
                            for try await message in socket.messages { await room.say(message.data?.text ?? "") }
                        } catch {
                            // The connection was lost: the visitor leaves as well.
                        }
                        await room.leave(socket)
                    },
                ] as Chain,
            ])
        try server.start()
        print("listening on port \(server.port)")
        fflush(nil)
        // Serves until a signal ends the process.
        try await server.run()
    }

    /// The chain continues after it, unless the answer has ended.
    static func doorman(token: String) -> FunctionHandler {
        FunctionHandler { (request: ServerRequest) in
            guard request.firstHeader("X-Token") != token else { return }
            request.response.statusCode = 403
            request.response.write("You need the token.\n")
            request.response.end()
        }
    }
}

/// The present visitors.
actor Room {
    private var sockets: [ObjectIdentifier: WebSocket] = [:]

    func enter(_ socket: WebSocket) { sockets[ObjectIdentifier(socket)] = socket }

    func leave(_ socket: WebSocket) { sockets[ObjectIdentifier(socket)] = nil }

    /// Sends a message to all visitors; the server closes a client that does not keep up.
    func say(_ text: String) {
        for socket in sockets.values {
            do throws(WS.Error) { try socket.send(text) } catch { leave(socket) }
        }
    }
}
