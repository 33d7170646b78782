import Glibc

/// What loads an echo server: `echo-load PORT CONNECTIONS DEPTH SECONDS MESSAGES`.
///
/// Each connection sends DEPTH messages of 64 bytes at once, and the next ones when all have come back. Prints how many came
/// back, all of them checked, after SECONDS or MESSAGES, whichever is first; then holds the connections until its input ends.
@main struct EchoLoad {
    static func main() {
        let numbers = CommandLine.arguments.dropFirst().compactMap { Double($0) }
        guard numbers.count == 5 else { fail("usage: echo-load PORT CONNECTIONS DEPTH SECONDS MESSAGES") }
        var load = Load(port: UInt16(numbers[0]), connections: Int(numbers[1]), depth: Int(numbers[2]))
        load.open()
        print("ready")
        fflush(nil)
        guard readLine() != nil else { return }
        let (messages, seconds) = load.run(seconds: numbers[3], messages: Int(numbers[4]))
        print("messages \(messages) seconds \(seconds)")
        fflush(nil)
        _ = readLine()
    }

    static func fail(_ what: String) -> Never {
        print("echo-load: \(what), errno \(errno)")
        exit(1)
    }
}

/// Some connections, and what each has still to get.
struct Load {
    private let port: UInt16
    private let depth: Int
    private let count: Int
    private var sockets: [Int32] = []
    private let request: [UInt8]
    private let answer: [UInt8]

    private static let payload = [UInt8](repeating: UInt8(ascii: "e"), count: 64)

    init(port: UInt16, connections: Int, depth: Int) {
        self.port = port
        self.depth = depth
        count = connections
        let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        let masked = Self.payload.indices.map { Self.payload[$0] ^ key[$0 % 4] }
        request = Array(repeatElement([0x81, 0x80 | 64] + key + masked, count: depth).joined())
        answer = Array(repeatElement([0x81, 64] + Self.payload, count: depth).joined())
    }

    mutating func open() {
        for _ in 0..<count {
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard status == 0 else { EchoLoad.fail("connect") }
            var one: Int32 = 1
            setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
            let head =
                "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            send(socket, Array(head.utf8))
            var text = ""
            while !text.hasSuffix("\r\n\r\n") {
                var byte: UInt8 = 0
                guard recv(socket, &byte, 1, 0) == 1 else { EchoLoad.fail("the server ended the handshake: \(text)") }
                text.append(Character(UnicodeScalar(byte)))
            }
            guard text.hasPrefix("HTTP/1.1 101") else { EchoLoad.fail(text) }
            sockets.append(socket)
            // One message each, so that whatever is made for the first one is there.
            send(socket, Array(request.prefix(70)))
            var back = [UInt8](repeating: 0, count: 66)
            guard recv(socket, &back, 66, Int32(MSG_WAITALL)) == 66 else { EchoLoad.fail("no echo") }
        }
    }

    private func send(_ socket: Int32, _ bytes: [UInt8]) {
        guard Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            EchoLoad.fail("send")
        }
    }

    /// How many messages came back, and in how many seconds.
    func run(seconds: Double, messages: Int) -> (Int, Double) {
        var got = [Int](repeating: 0, count: count)
        for socket in sockets { send(socket, request) }
        var (total, inFlight) = (0, count)
        var waiting = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let begin = Self.now
        while inFlight > 0 {
            guard poll(&waiting, nfds_t(count), 10_000) > 0 else { EchoLoad.fail("nothing came for 10 s") }
            for index in waiting.indices where waiting[index].revents != 0 {
                let read = recv(sockets[index], &buffer, answer.count - got[index], 0)
                guard read > 0, buffer[..<read].elementsEqual(answer[got[index]..<got[index] + read]) else {
                    EchoLoad.fail("connection \(index): \(read) bytes, not what was sent")
                }
                got[index] += read
                guard got[index] == answer.count else { continue }
                got[index] = 0
                total += depth
                if total < messages, Self.now - begin < seconds {
                    send(sockets[index], request)
                } else {
                    inFlight -= 1
                    waiting[index].fd = -1
                }
            }
        }
        return (total, Self.now - begin)
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
