import Glibc
import WSTransport

/// Connects to a WebSocket server and echoes each message until the server closes.
///
///     echo-client URL [--ca-file FILE] [--no-compression]
///     echo-client URL --suite [--ca-file FILE]
///
/// With `--suite` it acts as the client that the Autobahn test suite tests: one connection for each of the suite's
/// cases.
@main
struct EchoClient {
    static func main() async {
        var arguments = CommandLine.arguments.dropFirst()
        var url: String?
        var isSuite = false
        var options = ConnectOptions()
        // Each side may refer to earlier messages: output is smaller, and a window of memory is needed.
        var compression = CompressionOptions()
        compression.serverNoContextTakeover = false
        compression.clientNoContextTakeover = false
        options.perMessageDeflate = compression
        while let argument = arguments.popFirst() {
            switch argument {
            case "--suite": isSuite = true
            case "--no-compression": options.perMessageDeflate = nil
            case "--ca-file":
                guard let file = arguments.popFirst() else { return usage() }
                do throws(TLSFileError) {
                    options.tls = try TLSContext.client(.file(file))
                } catch {
                    return fail("\(error)")
                }
            default:
                guard url == nil, !argument.hasPrefix("-") else { return usage() }
                url = argument
            }
        }
        guard let url else { return usage() }
        do {
            if isSuite {
                try await playSuite(url, options)
            } else {
                let end = try await echo(url, options)
                print("closed with \(end.code.rawValue) \(end.reason)")
            }
        } catch {
            fail("\(error)")
        }
    }

    /// Runs one connection until its end.
    @discardableResult
    static func echo(_ url: String, _ options: ConnectOptions) async throws -> WebSocket.EventInfo {
        let socket = try await WS.open(url, options: options)
        do {
            for try await message in socket.messages {
                switch message.data {
                case .text(let text): try await socket.send(text)
                case .binary(let bytes): try await socket.send(bytes)
                case nil: break
                }
            }
        } catch {
            // The reason of the end is more specific than the error of the waiting call.
        }
        return try await socket.closed()
    }

    /// The suite reports how many cases there are, runs each on a separate connection, and then writes its reports.
    static func playSuite(_ url: String, _ options: ConnectOptions) async throws {
        let asking = try await WS.open("\(url)/getCaseCount", options: options)
        let answer = try await asking.receive()
        guard case .text(let text) = answer?.data, let count = Int(text) else {
            return fail("the suite does not say how many cases it has")
        }
        _ = try await asking.closed()
        for number in 1...max(count, 1) {
            try await echo("\(url)/runCase?case=\(number)&agent=broker", options)
        }
        try await echo("\(url)/updateReports?agent=broker", options)
    }

    static func usage() {
        fail("usage: echo-client URL [--suite] [--ca-file FILE] [--no-compression]")
    }

    static func fail(_ words: String) {
        print(words)
        exit(1)
    }
}
