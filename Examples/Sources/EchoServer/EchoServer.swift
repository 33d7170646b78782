import Glibc
import WSTransport

/// A server whose WebSockets send back what comes.
///
///     echo-server [PORT] [CERTIFICATE KEY]
///
/// Port 0, the default, is one that the system chooses; with a certificate and its key it speaks TLS.
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
        let server = HTTPServer(
            port: port,
            handler: ws.upgrade(upgrade) { socket in
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
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
    }
}
