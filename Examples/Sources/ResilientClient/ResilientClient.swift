import Glibc
import WSTransport

/// A client that prints each message, and reconnects after the connection is lost.
///
///     resilient-client URL [COUNT]
///
/// It ends after COUNT messages, or when the server refuses it permanently.
@main
struct ResilientClient {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 2 || arguments.count == 3 else {
            print("usage: resilient-client URL [COUNT]")
            exit(64)
        }
        let limit = arguments.count == 3 ? Int(arguments[2]) ?? 0 : Int.max
        var count = 0
        do {
            try await ws.keepOpen(arguments[1], backoff: Backoff(first: .milliseconds(100), longest: .seconds(5))) {
                options, _ in
                // The number of received messages, after which a server can resume.
                options.headers.set("X-Seen", "\(count)")
            } _: { socket, attempt in
                say("connected by attempt \(attempt), round trip \(try await socket.ping())")
                for try await message in socket.messages {
                    say("message: \(message.data?.text ?? "")")
                    count += 1
                    if count == limit { return }
                }
            }
        } catch {
            say("gave up: \(error)")
            exit(1)
        }
    }

    /// Prints at once, even into a pipe.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
