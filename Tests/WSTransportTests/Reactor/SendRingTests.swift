import Foundation
import Synchronization
import Testing

@testable import WSTransport

/// The rules for a ring, if the kernel has one; otherwise, that its absence is reported.
@Suite("Sends by io_uring")
struct SendRingTests {
    /// The back ends of this machine.
    static let backends: [ReactorBackend] = {
        if case .success = SendRing.availability { [.epoll, .ioUring] } else { [.epoll] }
    }()

    private static func rings(of backend: ReactorBackend) throws -> Int {
        let reactor = try ReactorThread(backend: backend)
        try reactor.turns(1)
        return reactor.counters.rings.current
    }

    @Test func reportsWhyItIsUnavailable() throws {
        switch SendRing.availability {
        case .success(let isModern):
            #expect(ReactorBackend.ioUring.obstacle == nil && ReactorBackend.ioUring.wantsRing)
            #expect(ReactorBackend.auto.wantsRing == isModern)
            #expect(try Self.rings(of: .ioUring) == 1 && Self.rings(of: .auto) == (isModern ? 1 : 0))
        case .failure(let failure):
            #expect(failure.description.hasPrefix("the kernel "))
            #expect(ReactorBackend.ioUring.obstacle == failure.description)
            #expect(!ReactorBackend.ioUring.wantsRing && !ReactorBackend.auto.wantsRing)
            #expect(try Self.rings(of: .ioUring) == 0 && Self.rings(of: .auto) == 0)
        }
        #expect(try !ReactorBackend.epoll.wantsRing && Self.rings(of: .epoll) == 0)
        #expect(ReactorBackend.auto.obstacle == nil && ReactorBackend.epoll.obstacle == nil)
    }

    @Test(arguments: [
        (EPERM, "the kernel forbids it"), (ENOSYS, "the kernel has none"), (ENOMEM, "the kernel gives no memory"),
        (EINVAL, "the kernel refuses it"),
    ])
    func describesTheErrorOfTheKernel(code: Int32, words: String) {
        let description = SendRing.Unavailable(Errno(rawValue: code)).description
        #expect(description.hasPrefix(words) && description.hasSuffix(Errno(rawValue: code).description))
    }

    @Test(arguments: backends)
    func reportsPartialSends(backend: ReactorBackend) throws {
        // On a thread that ends with the ring.
        let failure = Mutex<(any Error)?>(nil)
        let thread = try startThread(named: "ring") {
            do { try Self.checkPartialSends(backend) } catch { failure.withLock { $0 = error } }
        }
        thread.join()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private static func checkPartialSends(_ backend: ReactorBackend) throws {
        var arena = FrameArena()
        let lanes = [0, arena.makeLane(), arena.makeLane()]
        var table = OutboundTable()
        let count: UInt32 = 700
        table.grow(toHold: Int(count))
        var pairs: [(peer: SocketPeer, other: Int32)] = []
        var segments: [Segment] = []
        // The last bytes of a chunk, and the first of the next one, go to neighbours.
        for number in 0..<count {
            let text = Self.text(number)
            segments.append(arena.encode(lane: lanes[Int(number % 3)], count: text.count) { $0.copyBytes(from: text) })
            pairs.append(SocketPeer.pair(sendBytes: number % 7 == 3 ? 4096 : nil))
        }
        for number in 0..<count {
            let slot = count - 1 - number
            table.open(slot)
            table.setDescriptor(pairs[Int(slot)].other, of: slot)
            if slot % 11 == 5 { table.setDescriptor(-1, of: slot) }
            if slot % 13 == 2 { pairs[Int(slot)].peer.close() }
            let isFirst = table.cursor.append(segments[Int(slot)], to: slot)
            #expect(isFirst)
        }
        let rest = Self.sendAll(&table, backend.wantsRing ? try SendRing() : nil, arena.chunks)
        #expect(rest.count == Set(rest.map(\.slot)).count)
        let isDone = !table.hasDirty
        #expect(isDone)
        for part in rest {
            #expect(
                [part.segment.chunk, part.segment.offset, part.segment.count] == Self.parts(segments[Int(part.slot)]))
        }
        let left = Dictionary(uniqueKeysWithValues: rest.map { ($0.slot, $0.sent) })
        for slot in 0..<count {
            let (text, peer) = (Self.text(slot), pairs[Int(slot)].peer)
            if slot % 11 == 5 || slot % 13 == 2 {
                #expect(left[slot] == 0, "\(slot): is to be asked")
            } else if slot % 7 == 3 {
                let sent = try #require(left[slot], "\(slot) cannot have taken everything")
                let taken = try peer.read(sent)
                #expect(sent < text.count && taken.elementsEqual(text[..<sent]))
            } else {
                let taken = try peer.read(text.count)
                #expect(left[slot] == nil && taken == text)
            }
            let hasNewest = table.hasNewest(of: slot)
            #expect(!hasNewest)
            Socket.close(pairs[Int(slot)].other)
        }
        #expect(left[3] != nil && left.count > 150)
    }

    /// Sockets with little room get more than a socket of 4,096 bytes accepts.
    private static func text(_ slot: UInt32) -> [UInt8] {
        Array(repeating: UInt8(truncatingIfNeeded: slot), count: slot % 7 == 3 ? 50_000 : 100 + Int(slot % 50))
    }

    private static func parts(_ segment: Segment) -> [UInt32] { [segment.chunk, segment.offset, segment.count] }

    /// The work of a reactor for dirty connections, without the reports to them.
    private static func sendAll(
        _ table: inout OutboundTable, _ ring: consuming SendRing?, _ chunks: ContiguousArray<FrameChunk>
    ) -> [OutboundTable.Remainder] {
        var rest: [OutboundTable.Remainder] = []
        var left = table.takeDirty()
        if var ring = ring.take() {
            left = table.send(left, by: &ring, chunks: chunks, rest: &rest)
            let isWhole = !ring.isBroken
            #expect(isWhole)
        }
        var index = 0
        while let part = table.sendDirectly(from: &index, to: left, chunks: chunks) { rest.append(part) }
        return rest
    }

    @Test(arguments: backends)
    func broadcastsDespiteSlowAndDisconnectingPeers(backend: ReactorBackend) throws {
        let reactor = try ReactorThread(backend: backend)
        var random = SplitMix(schedule: 11)
        let count = 400
        let logs = (0..<count).map { _ in EventLog() }
        let peers = try logs.enumerated().map { number, log in
            try reactor.adopt(log: log, sendBytes: number % 5 == 1 ? 4096 : nil)
        }
        var (later, expected): ([SocketPeer], [UInt8]) = ([], [])
        try reactor.run { reactor, _ in for _ in 1..<4 { _ = reactor.makeLane() } }
        for turn in 0..<60 {
            let bytes = random.bytes(Int.random(in: 1...2000, using: &random))
            expected += bytes
            try reactor.run { reactor, stage in
                let segment = bytes.withUnsafeBytes { reactor.encode(lane: turn % 4, $0) }
                for driver in stage.drivers where driver.stream.isOpen { reactor.send(segment, to: driver.stream.slot) }
                // Closed in the very turn that sends to them, and their numbers are reused in the next.
                if turn % 6 == 5 { stage.drivers[turn].stream.reset() }
            }
            if turn % 6 == 5 { later.append(try reactor.adopt()) }
        }
        let gone = Set((0..<60).filter { $0 % 6 == 5 })
        for (number, peer) in peers.enumerated() {
            if gone.contains(number) {
                #expect(expected.starts(with: try peer.readToEnd()), "\(number)")
            } else {
                #expect(try peer.read(expected.count) == expected, "\(number)")
            }
        }
        try logs[1].wait(for: "drained")
        #expect(logs[0].all.isEmpty && reactor.counters.connections.current == count)
        #expect(reactor.counters.rings.current == (backend == .epoll ? 0 : 1))
    }

    /// Only the thread that used it first may use it: another one continues without it, and nothing is lost.
    @Test(arguments: backends.filter { $0 == .ioUring })
    func continuesWithoutARing(backend: ReactorBackend) throws {
        let counters = ReactorCounters()
        let remote = try Remote()
        let reactor = try Reactor(index: 0, counters: counters, remote: remote, backend: backend)
        reactor.ringMinimum = 1
        let (peer, other) = SocketPeer.pair()
        let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
        stream.driver = TestDriver(stream, EventLog())
        nonisolated(unsafe) let owned = (reactor, stream)
        for texts in [["a", "b"], ["c", "d"]] {
            let thread = try startThread(named: "turns") {
                for text in texts {
                    owned.1.send(Array(text.utf8))
                    owned.0.turn()
                }
            }
            #expect(try peer.readText(2) == texts.joined())
            #expect(counters.rings.current == 1 || texts == ["c", "d"])
            thread.join()
        }
        let isModern = try SendRing.availability.get()
        #expect(counters.rings.current == (isModern ? 0 : 1))
    }
}
