import Broker
import Glibc
import WSTransport

/// A client's end of a connection to the ``Harness``.
///
/// Not an object: that would be counted with the memory of the server's end.
struct StubClient {
    private let descriptor: Int32

    init(to address: SocketAddress) throws {
        let connecting = try Socket.connecting(to: address)
        descriptor = connecting.release()
    }

    /// Sends all of `bytes`.
    func send(_ bytes: [UInt8]) throws {
        let count = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        guard count == bytes.count else { throw Harness.Failure(what: "send: \(count) of \(bytes.count), \(errno)") }
    }

    /// Reads the bytes that have arrived, and returns their number.
    @discardableResult
    func drain(into buffer: inout [UInt8]) -> Int {
        var total = 0
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return total }
            total += count
        }
    }

    /// Reads the bytes that have arrived, as text.
    func text() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { throw Harness.Failure(what: "nothing came") }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    func close() { Socket.close(descriptor) }
}

/// Frames as a client sends them.
enum ClientFrame {
    static let key = MaskingKey(0x37, 0xFA, 0x21, 0x3D)

    static func text(_ text: String) -> [UInt8] { FrameEncoder.frame(.text, Array(text.utf8), maskingKey: key) }

    static func repeated(_ frame: [UInt8], _ count: Int) -> [UInt8] { Array((0..<count).map { _ in frame }.joined()) }
}
