import Testing

@testable import WSTransport

@Suite("The bytes that one turn encodes")
struct FrameArenaTests {
    private static func encode(
        _ arena: inout FrameArena, lane: Int = 0, _ bytes: [UInt8]
    ) -> Segment {
        arena.encode(lane: lane, count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    private static func content(_ arena: borrowing FrameArena, _ segment: Segment) -> [UInt8] {
        Array(arena.chunks[Int(segment.chunk)].bytes(from: Int(segment.offset), count: Int(segment.count)))
    }

    @Test func placesTheFramesOfALaneInSequence() {
        var arena = FrameArena()
        let (lane, next) = (arena.makeLane(), arena.makeLane())
        let first = Self.encode(&arena, lane: lane, [1, 2, 3])
        let other = Self.encode(&arena, lane: next, [9])
        let second = Self.encode(&arena, lane: lane, [4])
        #expect(second.chunk == first.chunk && second.offset == first.offset + first.count)
        #expect(other.chunk != first.chunk)
        #expect(Self.content(arena, first) == [1, 2, 3] && Self.content(arena, second) == [4])
        #expect(Self.content(arena, other) == [9])
    }

    @Test func givesALargeFrameItsOwnChunk() {
        var arena = FrameArena()
        let small = Self.encode(&arena, [1])
        let large = Self.encode(&arena, [UInt8](repeating: 7, count: 300_000))
        let fits = Self.encode(&arena, [UInt8](repeating: 8, count: 65_536))
        #expect(Set([small.chunk, large.chunk, fits.chunk]).count == 3)
        #expect(large.offset == 0 && arena.chunks[Int(large.chunk)].capacity == 300_000)
        #expect(Self.content(arena, large).allSatisfy { $0 == 7 } && Self.content(arena, small) == [1])
        #expect(Self.content(arena, fits).allSatisfy { $0 == 8 })
    }

    @Test func beginsAnotherChunkWhenTheFirstIsFull() {
        var arena = FrameArena()
        let segments = (0..<100).map { Self.encode(&arena, [UInt8](repeating: UInt8($0), count: 10_000)) }
        #expect(Set(segments.map(\.chunk)).count == 17, "six frames a chunk")
        for (index, segment) in segments.enumerated() {
            #expect(Self.content(arena, segment) == [UInt8](repeating: UInt8(index), count: 10_000))
        }
    }

    @Test func reusesChunksThatAreNotRetained() {
        var arena = FrameArena()
        _ = Self.encode(&arena, lane: 0, [1, 1, 1])
        _ = Self.encode(&arena, lane: arena.makeLane(), [2, 2, 2])
        let held = arena.chunks[0]
        weak let free = arena.chunks[1]
        arena.endTurn()
        #expect(arena.chunks.isEmpty)
        for _ in 0..<3 {
            let segment = Self.encode(&arena, [3, 3, 3])
            #expect(segment.offset == 0)
            #expect(arena.chunks[0] === free && arena.chunks[0] !== held)
            #expect(Array(held.bytes(from: 0, count: 3)) == [1, 1, 1])
            arena.endTurn()
        }
    }
}
