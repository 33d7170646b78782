import Foundation
import Synchronization

@testable import WSTransport

/// The test's end of a connection: blocking calls with a time limit.
final class SocketPeer: Sendable {
    /// Nothing came, or could be sent, in time; or the connection broke.
    struct Failed: Error, Equatable { let code: Int32 }

    private let descriptor: Mutex<Int32>

    init(adopting raw: Int32) {
        var limit = timeval(tv_sec: Int(ReactorThread.patience), tv_usec: 0)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        descriptor = Mutex(raw)
    }

    /// Connects to a listener.
    convenience init(to address: SocketAddress) throws {
        let raw = socket(address.domain, Int32(SOCK_STREAM.rawValue), 0)
        let code = try address.withSockaddr { (pointer, length) throws(Errno) in connect(raw, pointer, length) }
        guard code == 0 else { throw Failed(code: errno) }
        self.init(adopting: raw)
    }

    /// A pair: the test's end, and the other one, which does not block and, if requested, has small buffers.
    static func pair(sendBytes: Int32? = nil) -> (peer: SocketPeer, other: Int32) {
        var ends: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        if var sendBytes {
            setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &sendBytes, socklen_t(MemoryLayout<Int32>.size))
        }
        return (SocketPeer(adopting: ends[0]), ends[1])
    }

    deinit { close() }

    var raw: Int32 { descriptor.withLock { $0 } }

    func close() {
        descriptor.withLock { raw in
            if raw >= 0 { Glibc.close(raw) }
            raw = -1
        }
    }

    func shutDownSending() { shutdown(raw, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failed(code: errno) }
            sent += count
        }
    }

    /// The bytes of one read; empty at the end of the stream.
    func readSome(atMost limit: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = recv(raw, &bytes, limit, 0)
        guard count >= 0 else { throw Failed(code: errno) }
        return Array(bytes[..<count])
    }

    func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try readSome(atMost: count - bytes.count)
            guard !more.isEmpty else { throw Failed(code: 0) }
            bytes += more
        }
        return bytes
    }

    func readToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let more = try readSome()
            guard !more.isEmpty else { return bytes }
            bytes += more
        }
    }

    func readText(_ count: Int) throws -> String { String(decoding: try read(count), as: UTF8.self) }
}
