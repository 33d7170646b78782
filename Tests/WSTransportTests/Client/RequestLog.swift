import Synchronization
import WSTransport

/// The heads of the requests that a test's servers received.
final class RequestLog: Sendable {
    private let heads = Mutex<[HTTPRequestHead]>([])
    private let notes = EchoServer.Notes()

    func append(_ head: HTTPRequestHead) {
        heads.withLock { $0.append(head) }
        notes.add("")
    }

    var all: [HTTPRequestHead] { heads.withLock { $0 } }

    /// Waits until this many requests have arrived.
    func wait(for count: Int) async { await notes.wait(for: count) }

    /// The value of a field in each request.
    func values(of name: String) -> [String?] { all.map { $0.fields.first(name) } }
}

/// The answers of the tests' servers.
enum TestAnswer {
    /// The opening of a WebSocket, with further field lines.
    static func opening(_ head: HTTPRequestHead, _ lines: String...) -> [UInt8] {
        let key = Handshake.acceptKey(for: head.fields.first("Sec-WebSocket-Key") ?? "")
        let own = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: \(key)"]
        return Array("HTTP/1.1 101 \r\n\((own + lines).map { $0 + "\r\n" }.joined())\r\n".utf8)
            + FrameEncoder.frame(.text, Array("open".utf8))
    }

    /// A redirect, with further field lines.
    static func redirect(_ status: Int, to location: String, _ lines: String...) -> [UInt8] {
        Array("HTTP/1.1 \(status) \r\nLocation: \(location)\r\n\(lines.map { $0 + "\r\n" }.joined())\r\n".utf8)
    }
}
