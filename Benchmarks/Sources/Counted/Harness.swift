import Broker
import Counting
import Glibc
import Synchronization
import WSTransport

/// A whole broker of one reactor, with its store in a folder of its own, whose turns the figures take one by one.
///
/// Its clients are plain sockets of the same thread: what they send is there when a turn begins, since a socket
/// in the file system hands over at once. Runs on the reactor's thread.
final class Harness {
    let shard: Shard
    private let path: String
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)

    /// What went wrong with the set-up, not with the figure.
    struct Failure: Error { let what: String }

    private init(shard: Shard, path: String) {
        self.shard = shard
        self.path = path
    }

    /// Starts a broker, runs `body` on its reactor's thread and ends it.
    ///
    /// - Parameter configure: changes the settings that figures need other than by default.
    static func run(
        configure: (inout Settings) -> Void = { _ in }, _ body: @escaping @Sendable (Harness) throws -> Void
    ) throws {
        // The caller removes the folder.
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(folder)/broker-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(what: "mkdtemp") }
        let directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        var settings = Settings()
        settings.listen = [Settings.Listener(address: .unix(path: directory + "/listen.sock"))]
        settings.dataDirectory = directory + "/data"
        settings.reactors.count = 1
        // Valgrind does not support this io_uring, and the cost of a `send` outside the kernel is the larger figure.
        settings.reactors.backend = .epoll
        settings.store.maximumSize = 256 << 20
        // Valgrind makes seconds of milliseconds: no PING in the middle of a figure.
        settings.keepalive.interval = .seconds(3600)
        settings.keepalive.timeout = .seconds(60)
        configure(&settings)
        let broker = try Broker(settings)
        let outcome = Outcome()
        broker.run(onReactor: 0) { shard in
            do {
                try body(Harness(shard: shard, path: directory + "/listen.sock"))
                outcome.end(nil)
            } catch {
                outcome.end(error)
            }
        }
        defer { broker.drain() }
        if let error = outcome.wait() { throw error }
    }

    /// Passes `count` turns without waiting in any of them.
    func turns(_ count: Int) {
        for _ in 0..<count {
            shard.reactor.runSoon {}
            shard.reactor.turn()
        }
    }

    /// One turn, which begins with the bytes that have arrived; waits if there are none.
    func turn() { shard.reactor.turn() }

    /// Connects a client and sends its request; the broker does not know of it before the next turn.
    func call(_ request: String) throws -> StubClient {
        guard let address = SocketAddress(path: path) else { throw Failure(what: path) }
        let stub = try StubClient(to: address)
        try stub.send(Array(request.utf8))
        return stub
    }

    /// Opens a WebSocket at `target`, past its handshake.
    func open(_ target: String) throws -> StubClient {
        let stub = try call(Self.upgrade(target))
        turns(4)
        let answer = try stub.text()
        guard answer.hasPrefix("HTTP/1.1 101 ") else { throw Failure(what: "\(target): \(answer)") }
        return stub
    }

    /// Closes clients and lets the broker notice.
    func close(_ stubs: [StubClient]) {
        for stub in stubs { stub.close() }
        turns(4)
    }

    /// The request of a browser's `new WebSocket`.
    static func upgrade(_ target: String) -> String {
        """
        GET \(target) HTTP/1.1\r\nHost: broker.example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
        Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/120.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://broker.example.com\r\n\
        Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n
        """
    }
}

extension Harness {
    /// How a body on another thread ended.
    final class Outcome: Sendable {
        private let error = Mutex<(any Error)?>(nil)
        private let isOver = Atomic<Bool>(false)

        func end(_ error: (any Error)?) {
            self.error.withLock { $0 = error }
            isOver.store(true, ordering: .releasing)
        }

        func wait() -> (any Error)? {
            while !isOver.load(ordering: .acquiring) { usleep(20_000) }
            return error.withLock { $0 }
        }
    }
}
