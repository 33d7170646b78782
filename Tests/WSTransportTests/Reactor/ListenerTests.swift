import Foundation
import Testing

@testable import WSTransport

@Suite("Listening sockets")
struct ListenerTests {
    /// Echoes with a letter before each input, and keeps its listener.
    private static func serve(_ reactor: ReactorThread, on descriptor: consuming FileDescriptor) throws {
        let raw = descriptor.release()
        try reactor.run { reactor, stage in
            let listener = try? reactor.listen(on: FileDescriptor(adopting: raw)) { stream in
                let driver = TestDriver(stream, EventLog())
                driver.onReceived = { driver, bytes in
                    driver.stream.send(Array((driver.stream.peer?.host ?? "nobody").utf8) + bytes)
                    return bytes.count
                }
                return driver
            }
            if let listener { stage.kept.append(listener) }
        }
    }

    @Test func acceptsOverTheLoopback() throws {
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let descriptor = try Socket.listening(on: any, sharesPort: true)
        let address = try #require(Socket.localAddress(descriptor.rawValue))
        #expect(address.port != 0 && address.host == "127.0.0.1")
        try Self.serve(reactor, on: descriptor)
        let peers = try (0..<200).map { _ in try SocketPeer(to: address) }
        for (number, peer) in peers.enumerated() {
            try peer.send(" \(number)")
            let expected = "127.0.0.1 \(number)"
            #expect(try peer.readText(expected.utf8.count) == expected)
        }
        #expect(reactor.counters.accepted.current == 200 && reactor.counters.connections.current == 200)
    }

    /// Of a rush only a few begin in a turn, so that those who are served already do not wait for all of it.
    @Test func servesTheLiveBetweenNewcomers() throws {
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let descriptor = try Socket.listening(on: any, sharesPort: true)
        let address = try #require(Socket.localAddress(descriptor.rawValue))
        let raw = descriptor.release()
        let log = EventLog()
        try reactor.run { reactor, stage in
            let listener = try? reactor.listen(on: FileDescriptor(adopting: raw)) { stream in
                let driver = TestDriver(stream, EventLog())
                driver.onReceived = { _, bytes in
                    log.add(String(decoding: bytes, as: UTF8.self))
                    return bytes.count
                }
                return driver
            }
            if let listener { stage.kept.append(listener) }
        }
        let live = try SocketPeer(to: address)
        try live.send("here")
        let rush = try (0..<4 * Reactor.newcomersPerTurn).map { _ in try SocketPeer(to: address) }
        try reactor.wait { log.all == ["here"] && reactor.counters.connections.current == rush.count + 1 }
        // All speak while its thread is held, the live one last, so that the kernel reports it last.
        try reactor.run { _, _ in
            for peer in rush { try? peer.send("new") }
            try? live.send("live")
        }
        try reactor.wait { log.all.count == rush.count + 2 }
        #expect(log.all.firstIndex(of: "live") == 1 + Reactor.newcomersPerTurn)
        #expect(log.all.filter { $0 == "new" }.count == rush.count)
    }

    @Test func acceptsOnAPath() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { Socket.removeFile(path) }
        let address = try #require(SocketAddress(path: path))
        let reactor = try ReactorThread()
        try Self.serve(reactor, on: try Socket.listening(on: address, sharesPort: false, mode: 0o640))
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o640)
        let peer = try SocketPeer(to: address)
        try peer.send("!")
        #expect(try peer.readText(5) == "unix!")
        #expect(throws: Errno.addressInUse) { try Socket.removeStaleSocket(address) }
    }

    @Test func closesForGood() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { Socket.removeFile(path) }
        let address = try #require(SocketAddress(path: path))
        let reactor = try ReactorThread()
        try Self.serve(reactor, on: try Socket.listening(on: address, sharesPort: false))
        let peer = try SocketPeer(to: address)
        try peer.send("a")
        #expect(try peer.readText(5) == "unixa")
        try reactor.run { _, stage in
            (stage.kept.first as? Listener)?.close()
            (stage.kept.first as? Listener)?.close()
        }
        #expect(throws: SocketPeer.Failed(code: ECONNREFUSED)) { try SocketPeer(to: address) }
        try peer.send("b")
        #expect(try peer.readText(5) == "unixb", "who is connected stays")
        try Socket.removeStaleSocket(address)
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}
