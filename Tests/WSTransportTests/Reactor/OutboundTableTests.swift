import Testing

@testable import WSTransport

@Suite("The output of a turn for each connection")
struct OutboundTableTests {
    private static func segment(_ chunk: UInt32, _ offset: UInt32, _ count: UInt32) -> Segment {
        Segment(chunk: chunk, offset: offset, count: count)
    }

    private static func parts(_ segment: Segment?) -> [UInt32] {
        segment.map { [$0.chunk, $0.offset, $0.count] } ?? []
    }

    @Test func joinsAdjacentSegments() {
        var table = OutboundTable()
        table.open(7)
        let cursor = table.cursor
        #expect(!table.hasDirty && !table.hasNewest(of: 7))
        #expect(cursor.append(Self.segment(1, 10, 5), to: 7))
        #expect(cursor.append(Self.segment(1, 15, 2), to: 7))
        #expect(!cursor.append(Self.segment(1, 18, 2), to: 7), "a gap")
        #expect(!cursor.append(Self.segment(2, 17, 2), to: 7), "another chunk")
        #expect(Self.parts(table.replaceNewest(of: 7, with: Self.segment(2, 17, 2))) == [1, 10, 7])
        #expect(cursor.append(Self.segment(2, 19, 1), to: 7))
        #expect(table.hasDirty && table.takeDirty() == 1 && table.takenSlot(0) == 7)
        #expect(table.hasDirty == false)
        #expect(Self.parts(table.takeNewest(of: 7)) == [2, 17, 3])
        #expect(Self.parts(table.takeNewest(of: 7)) == [])
    }

    @Test func listsEachConnectionOnceInOrderOfFirstSegment() {
        var table = OutboundTable()
        for slot in [3, 1, 2] as [UInt32] { table.open(slot) }
        for round in 0..<3 as Range<UInt32> {
            for slot in [3, 1, 2] as [UInt32] { _ = table.cursor.append(Self.segment(0, round, 1), to: slot) }
        }
        #expect((0..<table.takeDirty()).map { table.takenSlot($0) } == [3, 1, 2])
        // Sending may make connections dirty again.
        _ = table.takeNewest(of: 1)
        _ = table.cursor.append(Self.segment(0, 9, 1), to: 1)
        #expect(table.takenSlot(0) == 3 && table.takeDirty() == 1 && table.takenSlot(0) == 1)
    }

    @Test func aMarkIsTakenOnce() {
        var table = OutboundTable()
        table.open(0)
        let cursor = table.cursor
        #expect(!cursor.isPlain(1), "never opened")
        #expect(cursor.isPlain(0) && cursor.takeMark(5, of: 0) && !cursor.takeMark(5, of: 0))
        #expect(cursor.takeMark(6, of: 0))
        table.setFlags(.held, of: 0)
        table.setFlags(.inert, of: 0)
        table.clearFlags(.held, of: 0)
        #expect(!cursor.isPlain(0))
        table.open(0)
        #expect(cursor.isPlain(0) && cursor.takeMark(6, of: 0), "a new connection in the slot")
    }

    @Test func offersAMessageOnceToSlotsWithoutFlags() {
        var table = OutboundTable()
        for slot in 0..<3 as Range<UInt32> { table.open(slot) }
        let cursor = table.cursor
        #expect(cursor.offer(Self.segment(0, 0, 5), to: 0) == .taken)
        #expect(cursor.offer(Self.segment(0, 0, 5), to: 0) == .known, "another filter of the same connection")
        #expect(cursor.hasNewest(Self.segment(0, 0, 5), of: 0) && !cursor.hasNewest(Self.segment(0, 0, 5), of: 1))
        #expect(cursor.offer(Self.segment(0, 5, 2), to: 0) == .taken)
        #expect(cursor.offer(Self.segment(1, 7, 2), to: 0) == .apart, "the same place of another chunk")
        #expect(Self.parts(table.replaceNewest(of: 0, with: Self.segment(1, 7, 2))) == [0, 0, 7])
        #expect(cursor.offer(Self.segment(1, 7, 2), to: 0) == .known)
        table.setFlags(.held, of: 1)
        #expect(cursor.offer(Self.segment(0, 0, 5), to: 1) == .refused)
        // Output for the held connection itself continues as before, and is sent when it is released.
        #expect(cursor.append(Self.segment(0, 0, 5), to: 1) && cursor.append(Self.segment(0, 5, 1), to: 1))
        table.clearFlags(.held, of: 1)
        #expect(cursor.offer(Self.segment(0, 6, 1), to: 1) == .taken)
        table.setFlags(.inert, of: 1)
        #expect(cursor.offer(Self.segment(0, 7, 1), to: 1) == .refused)
        #expect(Self.parts(table.takeNewest(of: 1)) == [0, 0, 7], "flags do not change existing segments")
    }

    @Test func sendsDirectlyUpToASlotWithoutDescriptor() throws {
        var arena = FrameArena()
        let segment = arena.encode(lane: 0, count: 5) { $0.copyBytes(from: Array("hello".utf8)) }
        var table = OutboundTable()
        let pairs = (0..<3).map { _ in SocketPeer.pair() }
        for slot in 0..<3 as Range<UInt32> {
            table.open(slot)
            if slot != 1 { table.setDescriptor(pairs[Int(slot)].other, of: slot) }
            #expect(table.cursor.append(segment, to: slot))
        }
        let count = table.takeDirty()
        var index = 0
        let first = table.sendDirectly(from: &index, to: count, chunks: arena.chunks)
        let rest = try #require(first)
        #expect(rest.slot == 1 && rest.sent == 0 && Self.parts(rest.segment) == Self.parts(segment) && index == 2)
        let last = table.sendDirectly(from: &index, to: count, chunks: arena.chunks)
        #expect(last == nil && index == 3)
        #expect(!table.hasNewest(of: 0) && !table.hasNewest(of: 1) && !table.hasNewest(of: 2))
        for number in [0, 2] { #expect(try pairs[number].peer.readSome() == Array("hello".utf8)) }
        for pair in pairs { Socket.close(pair.other) }
    }

    @Test func growingKeepsItsContents() {
        var table = OutboundTable()
        for slot in 0..<64 as Range<UInt32> {
            table.open(slot)
            _ = table.cursor.append(Self.segment(slot, slot, 3), to: slot)
            _ = table.cursor.takeMark(UInt64(slot) + 100, of: slot)
        }
        table.setFlags(.held, of: 5)
        table.grow(toHold: 1000)
        table.open(999)
        #expect(!table.cursor.isPlain(998) && table.cursor.isPlain(999) && !table.cursor.isPlain(5))
        _ = table.cursor.append(Self.segment(0, 0, 1), to: 999)
        #expect(!table.cursor.takeMark(163, of: 63))
        let count = table.takeDirty()
        #expect((0..<count).map { table.takenSlot($0) } == Array(0..<64) + [999])
        #expect((0..<64).allSatisfy { Self.parts(table.takeNewest(of: $0)) == [$0, $0, 3] })
    }

    /// A connection that opens while the turn is being sent must not disturb the list being sent.
    @Test func growingKeepsTheListBeingSent() {
        var table = OutboundTable()
        for slot in 0..<64 as Range<UInt32> {
            table.open(slot)
            _ = table.cursor.append(Self.segment(0, slot, 1), to: slot)
        }
        let count = table.takeDirty()
        table.grow(toHold: 65)
        #expect((0..<count).map { table.takenSlot($0) } == Array(0..<64))
    }

    /// The list of the dirty has room for each slot once: one whose segment was dropped is in it already.
    @Test func aDroppedSegmentListsNoSlotTwice() {
        var table = OutboundTable()
        for slot in 0..<64 as Range<UInt32> {
            table.open(slot)
            _ = table.cursor.append(Self.segment(0, slot, 1), to: slot)
        }
        _ = table.takeNewest(of: 9)
        _ = table.cursor.append(Self.segment(0, 64, 1), to: 9)
        #expect(table.takeDirty() == 64, "more entries than the list has room for")
    }
}
