import Testing

@testable import Broker

@Suite("Messages that are being written to disk")
struct PendingMessagesTests {
    private func message(_ seq: UInt64, _ name: String = "t") throws -> Message {
        Message(topic: try topic(name), payload: [1], kind: .text, seq: seq, time: 1)
    }

    /// As a plain list would.
    @Test(arguments: 0..<8)
    func agreesWithAList(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var pending = PendingMessages()
        var list: [UInt64] = []
        var next: UInt64 = 1
        for _ in 0..<400 {
            for _ in 0..<Int.random(in: 0..<(seed % 2 == 0 ? 40 : 1500), using: &random) {
                next += UInt64.random(in: 1...3, using: &random)
                pending.append(try message(next))
                list.append(next)
            }
            let seq = UInt64.random(in: 0...next, using: &random)
            let most = Int.random(in: 1...2000, using: &random)
            let found = pending.messages(after: seq, atMost: most)
            let expected = list.filter { $0 > seq }
            #expect(found.messages.map(\.seq) == Array(expected.prefix(most)))
            #expect(found.isWhole == (expected.count <= most))
            if Int.random(in: 0..<3, using: &random) == 0 {
                let limit = UInt64.random(in: (list.first ?? 0)...next, using: &random)
                var taken: [UInt64] = []
                while case let some = pending.take(upTo: limit), !some.isEmpty {
                    #expect(some.count <= PendingMessages.block)
                    taken += some.map(\.seq)
                }
                #expect(taken == list.filter { $0 <= limit })
                list.removeAll { $0 <= limit }
            }
            #expect(pending.count == list.count && pending.first?.seq == list.first)
        }
    }

    @Test func keepsTheNewestMessageOfATopic() throws {
        var overlay = OverlayTable()
        let (old, new, other) = (try message(1, "a"), try message(2, "a"), try message(3, "b"))
        overlay.set(old)
        overlay.set(new)
        overlay.set(other)
        #expect(overlay.count == 2 && overlay[new.topic]?.seq == 2)
        overlay.remove(old)
        #expect(overlay[new.topic]?.seq == 2)
        overlay.remove(new)
        #expect(overlay[new.topic] == nil && overlay[other.topic]?.seq == 3 && overlay.count == 1)
    }
}
