import WSTransport

/// An HTTP proxy that knows CONNECT, and may demand credentials.
enum TestProxy {
    /// A proxy that leads every host to this machine; with `authorization`, only for clients that send exactly that.
    ///
    /// It sends `greeting` right after its own answer, which no proxy may do.
    static func server(
        authorization: String? = nil, log: RequestLog, greeting: String = ""
    ) throws -> LoopbackServer {
        try .driving { ProxyDriver($0, authorization: authorization, log: log, greeting: greeting) }
    }
}

/// The client's side of a tunnel.
private final class ProxyDriver: StreamDriver {
    private let stream: StreamConnection
    private let authorization: String?
    private let log: RequestLog
    private let greeting: String
    private var server: StreamConnection?

    init(_ stream: StreamConnection, authorization: String?, log: RequestLog, greeting: String) {
        self.stream = stream
        self.authorization = authorization
        self.log = log
        self.greeting = greeting
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        if let server {
            server.send(UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
        guard let head = Self.head(String(decoding: bytes, as: UTF8.self)) else { return 0 }
        let count = bytes.count
        log.append(head)
        guard authorization == nil || head.fields.first("Proxy-Authorization") == authorization else {
            stream.send(Array("HTTP/1.1 407 \r\nProxy-Authenticate: Basic\r\nContent-Length: 6\r\n\r\nWho?\r\n".utf8))
            stream.finish()
            return count
        }
        guard head.method == "CONNECT", let port = UInt16(head.target.split(separator: ":").last ?? ""),
            let address = SocketAddress(host: "127.0.0.1", port: port),
            let descriptor = try? Socket.connecting(to: address)
        else {
            stream.send(Array("HTTP/1.1 502 \r\n\r\n".utf8))
            stream.finish()
            return count
        }
        let server = stream.reactor.adopt(descriptor, peer: address, isConnecting: true)
        server.driver = TunnelEnd(of: server, client: stream, greeting: greeting)
        self.server = server
        return count
    }

    /// A server's parser knows no CONNECT, so the head is taken apart here.
    private static func head(_ text: String) -> HTTPRequestHead? {
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard lines.count > 2, lines.last == "", lines[lines.count - 2] == "" else { return nil }
        let parts = lines[0].split(separator: " ")
        var fields = HeaderFields()
        for line in lines.dropFirst().dropLast(2) {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields.append(String(parts[0]), parts[1].drop { $0 == " " }.description)
        }
        return HTTPRequestHead(method: String(parts[0]), target: String(parts[1]), fields: fields)
    }

    func receivedEnd() { stream.finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func drained() {}
    func overflowed() {}
    func closed() { server?.finish() }
}

/// The server's side of a tunnel.
private final class TunnelEnd: StreamDriver {
    private let server: StreamConnection
    private let client: StreamConnection
    private let greeting: String
    private var isConnected = false

    init(of server: StreamConnection, client: StreamConnection, greeting: String) {
        self.server = server
        self.client = client
        self.greeting = greeting
    }

    func drained() {
        if !isConnected {
            // A proxy may send more than it must.
            client.send(Array("HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n\(greeting)".utf8))
        }
        isConnected = true
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        client.send(UnsafeRawBufferPointer(bytes))
        return bytes.count
    }

    func receivedEnd() { server.finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func overflowed() {}

    func closed() {
        if !isConnected { client.send(Array("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nno\r\n".utf8)) }
        client.finish()
    }
}
