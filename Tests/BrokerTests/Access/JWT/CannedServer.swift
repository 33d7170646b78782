import Foundation
import Synchronization
import WSTransport

/// An HTTP server that sends a prepared answer on each connection, without reading the request.
final class CannedServer: Sendable {
    struct Trouble: Error {}

    let port: UInt16
    /// The number of connections so far.
    let asked = Mutex(0)
    private let answer: Mutex<[UInt8]?>

    /// - Parameter answer: all bytes of it; `nil`: connections are left alone.
    init(_ answer: [UInt8]?) throws {
        self.answer = Mutex(answer)
        let (listener, address) = try Self.listen(backlog: 16)
        port = UInt16(bigEndian: address.sin_port)
        // It ends with the tests.
        _ = try startThread(named: "canned") { [self] in serve(listener) }
    }

    /// Listens on a port of loopback that the kernel chooses.
    fileprivate static func listen(backlog: Int32) throws -> (listener: Int32, address: sockaddr_in) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && Glibc.listen(listener, backlog) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard isListening else { throw Trouble() }
        return (listener, address)
    }

    private func serve(_ listener: Int32) {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            asked.withLock { $0 += 1 }
            guard let bytes = answer.withLock({ $0 }) else { continue }
            var request = [UInt8](repeating: 0, count: 4096)
            _ = read(connection, &request, request.count)
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { break }
                sent += count
            }
            shutdown(connection, Int32(SHUT_WR))
            // Until the client has read it, because an early close would discard it.
            while read(connection, &request, request.count) > 0 {}
            close(connection)
        }
    }

    /// Sends another answer from now on.
    func answer(_ bytes: [UInt8]) { answer.withLock { $0 = bytes } }

    func url() throws -> WebSocketURL { try WebSocketURL(parsing: "http://127.0.0.1:\(port)/keys?p=1") }

    static func ok(_ body: String) -> [UInt8] {
        Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }
}

/// A port that accepts no connection, and whose queue is full.
final class FullPort {
    let port: UInt16
    private var sockets: [Int32] = []

    init() throws {
        let (listener, bound) = try CannedServer.listen(backlog: 0)
        var address = bound
        port = UInt16(bigEndian: address.sin_port)
        sockets.append(listener)
        for _ in 0..<4 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            withUnsafePointer(to: &address) { address in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            sockets.append(client)
        }
    }

    deinit { for socket in sockets { close(socket) } }
}
