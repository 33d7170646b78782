import Glibc
import WSTransport

/// A server whose WebSockets echo each message.
///
///     echo-server [PORT] [CERTIFICATE KEY | --parts]
///
/// With port 0, the default, the system chooses one; with a certificate and its key it speaks TLS. With `--parts` no
/// message is ever whole in memory.
@main
struct EchoServer {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let port = arguments.first.flatMap { UInt16($0) } ?? 0
        var options = HTTPServer.Options()
        if arguments.count >= 3 {
            options.tls = try TLSContext.server(TLSIdentity(certificate: arguments[1], key: arguments[2]))
        }
        var upgrade = UpgradeOptions()
        var compression = CompressionOptions()
        compression.serverNoContextTakeover = false
        compression.clientNoContextTakeover = false
        upgrade.perMessageDeflate = compression
        let isInParts = arguments.dropFirst().first == "--parts"
        upgrade.receivesParts = isInParts
        let server = HTTPServer(
            port: port,
            handler: ws.upgrade(upgrade) { socket in
                if isInParts { return try await echoInParts(socket) }
                for try await message in socket.messages {
                    switch message.data {
                    case .text(let text): try await socket.send(text)
                    case .binary(let bytes): try await socket.send(bytes)
                    case nil: break
                    }
                }
            }, options: options)
        try server.start()
        print("listening on port \(server.port)")
        fflush(nil)
        // Serves until a signal ends the process.
        try await server.run()
    }

    /// Sends each part while the next one arrives.
    static func echoInParts(_ socket: WebSocket) async throws {
        while let message = try await socket.receiveInParts() {
            try await socket.sendInParts(message.type) { writer in
                for try await part in message { try await writer.write(part) }
            }
        }
    }
}
