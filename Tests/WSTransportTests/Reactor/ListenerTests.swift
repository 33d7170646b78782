import Foundation
import Testing

@testable import WSTransport

@Suite("Listening sockets")
struct ListenerTests {
    /// Echoes with a letter before each input, and keeps its listener.
    private static func serve(
        _ reactor: ReactorThread, on descriptor: consuming FileDescriptor, isShared: Bool = false
    ) throws {
        let raw = descriptor.release()
        try reactor.run { reactor, stage in
            let listener = try? reactor.listen(on: FileDescriptor(adopting: raw), isShared: isShared) { stream in
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

    /// Only a few newcomers begin in a turn, so that connected clients do not wait for all of them.
    @Test func servesConnectedClientsBetweenNewOnes() throws {
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

    /// Not even its descriptor is kept for a moment, and admitted clients notice nothing.
    @Test func refusedConnectionsCloseAtOnce() throws {
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let descriptor = try Socket.listening(on: any, sharesPort: true)
        let address = try #require(Socket.localAddress(descriptor.rawValue))
        let raw = descriptor.release()
        try reactor.run { reactor, stage in
            let listener = try? reactor.listen(on: FileDescriptor(adopting: raw)) {
                [counters = reactor.counters] _, _ in
                counters.connections.current > 2 ? nil : { TestDriver($0, EventLog()) }
            }
            if let listener { stage.kept.append(listener) }
        }
        let peers = try (0..<5).map { _ in try SocketPeer(to: address) }
        for peer in peers[2...] { #expect(throws: SocketPeer.Failed(code: ECONNRESET)) { try peer.readSome() } }
        #expect(reactor.counters.accepted.current == 5 && reactor.counters.connections.current == 2)
    }

    /// The limits of admission apply to any protocol: here to one that greets.
    @Test func admissionWorksForAnyDriver() throws {
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let descriptor = try Socket.listening(on: any, sharesPort: true)
        let address = try #require(Socket.localAddress(descriptor.rawValue))
        let raw = descriptor.release()
        let log = EventLog()
        try reactor.run { reactor, stage in
            let counters = reactor.counters
            let listener = try? reactor.listen(on: FileDescriptor(adopting: raw)) { descriptor, peer in
                var entrance = Entrance<String>()
                entrance.admit = { _ in counters.connections.current > 1 ? "full" : nil }
                entrance.ending = { peer in { log.add("gone " + (peer?.host ?? "")) } }
                return entrance.welcome(descriptor, from: peer, counters: counters) { stream, refusal in
                    stream.send(Array((refusal ?? "welcome").utf8))
                    stream.finish()
                    return TestDriver(stream, EventLog())
                }
            }
            if let listener { stage.kept.append(listener) }
        }
        let first = try SocketPeer(to: address)
        #expect(try first.readText(7) == "welcome")
        let second = try SocketPeer(to: address)
        #expect(try second.readText(4) == "full")
        second.close()
        first.close()
        try log.wait(for: "gone 127.0.0.1")
        #expect(log.all == ["gone 127.0.0.1"], "the refused one was never in")
    }

    /// As systemd passes it: bound and listening by another program, blocking, to be inherited.
    @Test func sharesAnAdoptedSocket() throws {
        let given = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listen(given, 16)
        let sockets = ListeningSockets(reactors: 2)
        let address = try sockets.adopt(FileDescriptor(adopting: given), as: 7)
        #expect(address.port != 0 && fcntl(given, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(given, F_GETFD) & FD_CLOEXEC != 0)
        var found: [Bool] = []
        for reactor in 0..<3 {
            try sockets.take(listener: 7, reactor: reactor) { descriptor, place, isShared in
                #expect(place == address && Socket.localAddress(descriptor.rawValue) == address)
                found.append(isShared)
            }
            try sockets.take(listener: 7, reactor: reactor) { _, _, _ in found.append(false) }
        }
        #expect(found == [true, true])
    }

    @Test func adoptsOnlyListeningSockets() throws {
        let sockets = ListeningSockets(reactors: 1)
        let idle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #expect(throws: Errno.invalidArgument) { try sockets.adopt(FileDescriptor(adopting: idle), as: 0) }
        let datagrams = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        #expect(throws: Errno.self) { try sockets.adopt(FileDescriptor(adopting: datagrams), as: 0) }
        let file = open("/dev/null", O_RDONLY)
        #expect(throws: Errno.notASocket) { try sockets.adopt(FileDescriptor(adopting: file), as: 0) }
    }

    /// The values of the variables, and the names of the sockets from descriptor 3 on.
    @Test(
        arguments: [
            ("7", "2", "web:local", ["web", "local"]), ("7", "2", nil, ["unknown", "unknown"]),
            ("7", "3", "a::b", ["a", "unknown", "b"]), ("7", "1", "a:b", ["a"]), ("8", "2", "a:b", []),
            ("7", "0", "", []), ("7", "-1", "a", []), ("7", "x", "a", []), ("7", "2000", "a", []), (nil, "1", "a", []),
            ("7", nil, "a", []),
        ] as [(String?, String?, String?, [String])])
    func readsSocketsPassedBySystemd(process: String?, count: String?, names: String?, expected: [String]) {
        let given = GivenSockets(process: process, count: count, names: names, own: 7)
        #expect(given.all.map(\.name) == expected)
        #expect(given.all.map(\.descriptor) == (0..<expected.count).map { 3 + Int32($0) })
    }

    @Test func acceptsOnAUnixSocket() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let address = try #require(SocketAddress(path: path))
        let reactor = try ReactorThread()
        try Self.serve(reactor, on: try Socket.listening(on: address, sharesPort: false, mode: 0o640))
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o640)
        let peer = try SocketPeer(to: address)
        try peer.send("!")
        #expect(try peer.readText(5) == "unix!")
        #expect(throws: Errno.addressInUse) { try SocketFile.makeRoom(at: address) }
    }

    @Test func closingRefusesNewConnectionsButKeepsOpenOnes() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
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
        #expect(try peer.readText(5) == "unixb", "connected clients stay")
        try SocketFile.makeRoom(at: address)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    /// Things at the path of a new socket that are not sockets: a file, a link to a socket, a folder.
    @Test(arguments: ["file", "link", "folder"])
    func doesNotReplaceAnythingButASocket(kind: String) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("taken").path
        let address = try #require(SocketAddress(path: path))
        let other = try #require(SocketAddress(path: folder.appendingPathComponent("socket").path))
        let listening = try Socket.listening(on: other, sharesPort: false)
        switch kind {
        case "file": try Data("precious".utf8).write(to: folder.appendingPathComponent("taken"))
        case "link": try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: other.path ?? "")
        default: try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
        #expect(SocketFile.isTaken(path))
        #expect(throws: Errno.notASocket) { try SocketFile.makeRoom(at: address) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["socket", "taken"])
        _ = consume listening
    }

    @Test func removesOnlyItsOwnSocketFile() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let address = try #require(SocketAddress(path: path))
        let first = try Socket.listening(on: address, sharesPort: false)
        let file = try SocketFile(at: path)
        try FileManager.default.removeItem(atPath: path)
        let second = try Socket.listening(on: address, sharesPort: false)
        file.remove()
        #expect(FileManager.default.fileExists(atPath: path), "another socket has the name by now")
        try SocketFile(at: path).remove()
        #expect(!FileManager.default.fileExists(atPath: path))
        _ = consume first
        _ = consume second
    }

    /// The kernel chooses fairly among the waiting ones: each gets its turn.
    @Test func reactorsShareAUnixSocket() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let address = try #require(SocketAddress(path: path))
        let reactors = try (0..<3).map { _ in try ReactorThread() }
        let descriptor = try Socket.listening(on: address, sharesPort: false)
        for reactor in reactors {
            try Self.serve(reactor, on: try Socket.duplicate(descriptor.rawValue), isShared: true)
        }
        var peers: [SocketPeer] = []
        // On a machine that is busy one of them may come to its turn late.
        try reactors[0].wait {
            guard let peer = try? SocketPeer(to: address), (try? peer.send("!")) != nil else { return false }
            peers.append(peer)
            return (try? peer.readText(5)) == "unix!" && reactors.allSatisfy { $0.counters.connections.current >= 5 }
        }
    }

    /// `::` stands for both families unless configured otherwise; a peer has the same name by either.
    @Test(arguments: [false, true])
    func listensOnIPv4AndIPv6(isIPv6Only: Bool) throws {
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "::", port: 0))
        let descriptor = try Socket.listening(on: any, sharesPort: true, isIPv6Only: isIPv6Only)
        let port = try #require(Socket.localAddress(descriptor.rawValue)).port
        try Self.serve(reactor, on: descriptor)
        let four = try #require(SocketAddress(host: "127.0.0.1", port: port))
        if isIPv6Only {
            #expect(throws: SocketPeer.Failed(code: ECONNREFUSED)) { try SocketPeer(to: four) }
        } else {
            let peer = try SocketPeer(to: four)
            try peer.send("!")
            #expect(try peer.readText(10) == "127.0.0.1!")
        }
        let peer = try SocketPeer(to: try #require(SocketAddress(host: "::1", port: port)))
        try peer.send("!")
        #expect(try peer.readText(4) == "::1!")
    }
}
