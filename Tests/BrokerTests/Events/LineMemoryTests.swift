import Testing

@testable import Broker

@Suite("The last lines of a log, in memory")
struct LineMemoryTests {
    @Test func returnsLinesByNumberTimeAndTag() {
        let memory = LineMemory()
        for number in 1...5 {
            memory.add([UInt8(number)], at: Int64(number), about: number % 2 == 0 ? ["user bob"] : ["x", "y"])
        }
        func numbers(_ after: UInt64? = nil, _ since: Int64? = nil, _ tag: String? = nil) -> [UInt8] {
            memory.lines(after: after, since: since) { line in tag.map(line.has) ?? true }.lines.flatMap(\.bytes)
        }
        #expect(numbers() == [1, 2, 3, 4, 5] && numbers(3) == [4, 5] && numbers(5) == [])
        #expect(
            numbers(nil, 4) == [4, 5] && numbers(nil, nil, "user bob") == [2, 4] && numbers(nil, nil, "y").count == 3)
        #expect(memory.lines(after: 3, since: nil) { _ in true }.next == 5)
        // A number of another start.
        #expect(numbers(99) == [1, 2, 3, 4, 5])
    }

    @Test func countsTheLinesASlowReaderMissed() {
        let memory = LineMemory()
        memory.limit(to: 100_000)
        for number in 1...3000 { memory.add([UInt8](repeating: 7, count: 904), at: Int64(number), about: []) }
        #expect(memory.size == 100_000 && memory.newest == 3000)
        let part = memory.lines(after: 1000, since: nil) { _ in true }
        #expect(part.lines.count == 100 && part.missed == 1900 && part.next == 3000 && !part.hasMore)
        memory.limit(to: 0)
        #expect(memory.size == 0 && memory.lines(after: nil, since: nil) { _ in true }.lines.isEmpty)
        #expect(memory.lines(after: 2999, since: nil) { _ in true }.missed == 1)
    }

    @Test func returnsManyLinesInParts() {
        let memory = LineMemory()
        for number in 1...1500 { memory.add([1], at: Int64(number), about: []) }
        let first = memory.lines(after: nil, since: nil) { _ in true }
        #expect(first.lines.count == 1000 && first.hasMore && first.next == 1000)
        let rest = memory.lines(after: first.next, since: nil) { _ in true }
        #expect(rest.lines.count == 500 && !rest.hasMore)
    }
}
