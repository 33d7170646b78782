import Testing

@testable import Broker

@Suite("Waiting catch-up starts: in order, replaced by number")
struct CatchUpStartsTests {
    private func start(_ number: UInt32) throws -> CatchUpStart {
        CatchUpStart(number: number, filter: try filter("f/\(number)"), seq: 1, snapshot: nil)
    }

    private func rest(_ queue: CatchUpStarts) -> [UInt32] {
        var queue = queue
        var numbers: [UInt32] = []
        while let first = queue.first {
            numbers.append(first.number)
            queue.removeFirst()
        }
        return numbers
    }

    @Test func keepsTheOrderOfRequests() throws {
        var queue = CatchUpStarts()
        for number: UInt32 in [3, 1, 2, 5, 4] { queue.append(try start(number)) }
        queue.remove(of: 2)
        queue.remove(of: 9)
        queue.append(try start(2))
        #expect(rest(queue) == [3, 1, 5, 4, 2] && queue.count == 5)
        queue.remove(of: 3)
        queue.remove(of: 5)
        #expect(rest(queue) == [1, 4, 2])
        for number: UInt32 in [1, 2, 4] { queue.remove(of: number) }
        #expect(queue.isEmpty && queue.first?.number == nil && queue.room == 0)
    }

    /// Subscribing again and again while the first one is not done leaves nothing.
    @Test func replacedStartsTakeNoMemory() throws {
        var queue = CatchUpStarts()
        for number: UInt32 in 0..<100 { queue.append(try start(number)) }
        for round: UInt32 in 0..<10_000 {
            queue.remove(of: 1 + round % 99)
            queue.append(try start(1 + round % 99))
        }
        #expect(queue.count == 100 && queue.room <= 201)
        #expect(rest(queue).prefix(3) == [0, 2, 3])
    }

    /// As a plain list would.
    @Test(arguments: 0..<20)
    func agreesWithAList(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var queue = CatchUpStarts()
        var list: [UInt32] = []
        for _ in 0..<2000 {
            let number = UInt32.random(in: 0..<200, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where !list.isEmpty:
                queue.removeFirst()
                list.removeFirst()
            case 1:
                queue.remove(of: number)
                list.removeAll { $0 == number }
            default:
                guard !list.contains(number) else { continue }
                queue.append(try start(number))
                list.append(number)
            }
            #expect(queue.first?.number == list.first && queue.count == list.count)
        }
        #expect(rest(queue) == list)
    }
}
