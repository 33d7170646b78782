import Glibc
import WSTransport

/// Connects to a WebSocket server and sends back what comes, until the server closes.
///
///     echo-client URL [--ca-file FILE] [--no-compression]
///     echo-client URL --suite [--ca-file FILE]
///
/// With `--suite` it plays the client that the Autobahn test suite tests: one connection for each of the suite's cases.
@main
struct EchoClient {
    static func main() async {
        var arguments = CommandLine.arguments.dropFirst()
        var url: String?
        var isSuite = false
        var options = ConnectOptions()
        // Each side may refer to what it has sent before: that is smaller, and costs a window of memory.
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

    /// One connection, up to its end.
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
            // How it ended says more than the error of the call that was waiting.
        }
        return try await socket.closed()
    }

    /// The suite says how many cases there are, plays each on a connection of its own, then writes its reports.
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
