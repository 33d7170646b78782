import Testing

@testable import Broker
@testable import WSTransport

@Suite("Snapshots: read in pieces")
struct SnapshotTests {
    private func message(_ name: String, _ count: Int, seq: UInt64, expiry: Int64 = 0) throws -> Message {
        Message(
            topic: try topic(name), payload: Array(repeating: 120, count: count), kind: .text, isRetained: true,
            seq: seq, time: 1, expiry: expiry)
    }

    /// The topics of each piece.
    private func pieces(
        _ snapshot: Snapshot, _ store: any RetainedStore, visits: Int = 100, bytes: Int = 1 << 20, now: Int64 = 10
    ) throws -> [[String]] {
        var snapshot = snapshot
        var pieces: [[String]] = []
        var progress = Snapshot.Progress.more
        while progress == .more {
            try #require(pieces.count < 1000)
            var piece: [String] = []
            progress = try snapshot.read(store, visits: visits, bytes: bytes, now: now) { piece.append($0.topic.name) }
            pieces.append(piece)
        }
        return pieces
    }

    @Test func omitsValuesThatAreDeliveredLive() throws {
        let store = InMemoryStore()
        try store.apply([message("a", 1, seq: 5), message("b", 1, seq: 6), message("c", 1, seq: 7)], reserving: nil)
        let snapshot = Snapshot(filter: try filter("#"), seq: 6, overlay: [])
        #expect(try pieces(snapshot, store).flatMap { $0 } == ["a", "b"])
    }

    /// A poll, which gets no live messages, gets the message that replaced a value.
    @Test func aPollShowsNewerValues() throws {
        let store = InMemoryStore()
        try store.apply([message("a", 1, seq: 5), message("b", 1, seq: 7)], reserving: nil)
        let snapshot = Snapshot(filter: try filter("#"), seq: 6, overlay: [], isAll: true)
        #expect(try pieces(snapshot, store).flatMap { $0 } == ["a", "b"])
    }

    /// A view that ends in the middle omits replaced values, which are delivered live.
    @Test func continuesAfterItsViewEnds() throws {
        let gate = GateStore()
        try gate.inner.apply((0..<6).map { try message("v/\($0)", 1, seq: UInt64($0 + 1)) }, reserving: nil)
        var snapshot = Snapshot(filter: try filter("#"), seq: 6, overlay: [], view: try gate.view())
        var shown: [String] = []
        #expect(try snapshot.read(gate, visits: 2, bytes: 1 << 20, now: 10) { shown.append($0.topic.name) } == .more)
        try gate.inner.apply([message("v/1", 1, seq: 7), message("v/3", 1, seq: 8)], reserving: nil)
        #expect(try snapshot.read(gate, visits: 1, bytes: 1 << 20, now: 10) { shown.append($0.topic.name) } == .more)
        gate.takeViewsBack()
        #expect(
            try snapshot.read(gate, visits: 9, bytes: 1 << 20, now: 10) { shown.append($0.topic.name) } == .finished)
        #expect(shown == ["v/0", "v/1", "v/2", "v/4", "v/5"])
    }

    /// Thousands of uncommitted values are not searched for each subscriber: it waits until they are on disk.
    @Test func waitsForTheDiskWhenManyValuesAreUncommitted() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate)
        defer { gate.open() }
        gate.shut()
        func publish(_ numbers: Range<Int>) throws {
            let drafts = try numbers.map { number in
                var draft = try draft("v/\(number)", "\(number)", retained: true)
                draft.acknowledgement = .routed
                return draft
            }
            #expect(try harness.publish(drafts).allSatisfy { $0.error == nil })
        }
        let count = Sequencer.maximumOverlay
        try publish(0..<count)
        let early = try harness.connectJSON()
        try early.send(##"{"op":"subscribe","id":1,"filter":"#"}"##)
        for number in 0..<count { #expect(try early.next { $0.retained == true }?.data == "\(number)") }
        try publish(count..<count + 1)
        let late = try harness.connectJSON()
        #expect(try late.ask(##"{"op":"subscribe","id":1,"filter":"#"}"##, id: 1).last?.seq == UInt64(count + 1))
        #expect(try late.ask(#"{"op":"ping","id":2}"#, id: 2).count == 1)
        gate.open()
        var shown: Set<String> = []
        while let notice = try late.next({ $0.op == "live" || $0.retained == true }), notice.op != "live" {
            shown.insert(notice.data ?? "")
        }
        #expect(shown.count == count + 1)
    }

    @Test func uncommittedValuesHideStoredOnes() throws {
        let store = InMemoryStore()
        try store.apply([message("a", 1, seq: 1), message("b", 1, seq: 2), message("c", 1, seq: 3)], reserving: nil)
        let overlay = try [
            message("a", 2, seq: 4), message("b", 0, seq: 5), message("d", 1, seq: 6),
            message("e", 1, seq: 7, expiry: 9),
        ]
        let snapshot = Snapshot(filter: try filter("#"), seq: 7, overlay: overlay)
        #expect(try pieces(snapshot, store).flatMap { $0 } == ["a", "d", "c"])
    }

    @Test(arguments: [1, 2, 7, 1000])
    func limitsTheKeysReadPerPiece(visits: Int) throws {
        let store = InMemoryStore()
        let names = (100..<150).map { "v/\($0)" }
        try store.apply(names.enumerated().map { try message($1, 10, seq: UInt64($0 + 1)) }, reserving: nil)
        let snapshot = Snapshot(filter: try filter("v/+"), seq: 100, overlay: [])
        let pieces = try pieces(snapshot, store, visits: visits)
        #expect(pieces.flatMap { $0 } == names)
        #expect(pieces.allSatisfy { $0.count <= visits })
    }

    @Test func limitsTheSizeOfAPieceFromTheStore() throws {
        let store = InMemoryStore()
        try store.apply((1...50).map { try message("v/\($0)", 1000, seq: UInt64($0)) }, reserving: nil)
        let pieces = try pieces(Snapshot(filter: try filter("#"), seq: 50, overlay: []), store, bytes: 4096)
        #expect(pieces.allSatisfy { $0.count <= 4 } && pieces.joined().count == 50)
    }

    /// Otherwise a slow disk would cause readers to be closed as slow.
    @Test func limitsTheSizeOfAPieceOfUncommittedValues() throws {
        let overlay = try (1...50).map { try message("v/\($0)", 1000, seq: UInt64($0)) }
        let snapshot = Snapshot(filter: try filter("#"), seq: 50, overlay: overlay)
        let pieces = try pieces(snapshot, InMemoryStore(), bytes: 4096)
        #expect(pieces.allSatisfy { $0.count <= 4 } && pieces.joined().count == 50)
    }

    /// Values that are not on disk yet are no reason to close a client that reads them in time.
    @Test func readingManyUncommittedValuesIsNotSlow() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate)
        defer { gate.open() }
        let filler = String(repeating: "x", count: 50_000)
        gate.shut()
        let drafts = try (0..<80).map { number in
            var draft = try draft("v/\(number)", filler, retained: true)
            draft.acknowledgement = .routed
            return draft
        }
        #expect(try harness.publish(drafts).allSatisfy { $0.error == nil })
        let stub = try harness.connectJSON()
        try stub.send(##"{"op":"subscribe","id":1,"filter":"#"}"##)
        var shown = 0
        while true {
            let frame = try #require(try stub.frame())
            guard frame.opcode == 1 else {
                Issue.record("closed after \(shown) values: \(frame.payload)")
                break
            }
            guard !frame.text.hasPrefix(#"{"op":"live""#) else { break }
            if frame.text.contains(#""retained":true"#) { shown += 1 }
        }
        #expect(shown == 80)
    }
}
