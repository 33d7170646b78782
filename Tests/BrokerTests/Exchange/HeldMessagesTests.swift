import Testing

@testable import Broker
@testable import WSTransport

@Suite("The messages held for a session that is behind")
struct HeldMessagesTests {
    /// The same in the simplest way: a list in order.
    private struct Model {
        struct Item: Equatable {
            let seq: UInt64
            let topic: String
            let isReplaced: Bool
        }

        var items: [Item] = []
        /// The message of each topic that the next one replaces.
        var newest: [String: UInt64] = [:]

        mutating func replace(_ seq: UInt64, _ topic: String) -> [UInt64]? {
            let old = newest.updateValue(seq, forKey: topic)
            let place = items.firstIndex { $0.seq == old && $0.isReplaced }
            items.append(Item(seq: seq, topic: topic, isReplaced: true))
            guard let place else { return nil }
            defer { items.remove(at: place) }
            return [items[place].seq, place > 0 ? items[place - 1].seq : 0]
        }
    }

    private func message(_ seq: UInt64, _ topic: String) throws -> Message {
        Message(topic: try Topic(topic), payload: Array(topic.utf8), kind: .text, seq: seq, time: 0)
    }

    @Test(arguments: 1...40)
    func holdsWhatAListHolds(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let now = MonotonicTime(nanoseconds: 1)
        var (held, model, seq) = (HeldMessages(), Model(), UInt64(0))
        for _ in 0..<300 {
            let topic = "t/\(random.next() % 6)"
            switch random.next() % 12 {
            case 0...2:
                seq += 2
                held.append(try message(seq, topic), now: now)
                model.items.append(Model.Item(seq: seq, topic: topic, isReplaced: false))
            case 3...7:
                seq += 2
                let replaced = held.replace(try message(seq, topic), now: now)
                #expect(replaced.map { [$0.older.seq, $0.floor] } == model.replace(seq, topic))
            case 8:
                #expect(held.removeOldest()?.seq == model.items.first?.seq)
                if !model.items.isEmpty { model.items.removeFirst() }
            case 9:
                let end = seq - min(seq, random.next() % 30)
                #expect(held.take(upTo: end).map(\.seq) == model.items.filter { $0.seq <= end }.map(\.seq))
                model.items.removeAll { $0.seq <= end }
            case 10:
                held.keep { $0.topic.name != topic }
                model.items.removeAll { $0.topic == topic }
            default:
                let between = (seq - min(seq, random.next() % 20)) | 1
                held.insert([try message(between, topic)], now: now)
                if !model.items.contains(where: { $0.seq == between }) {
                    model.items.append(Model.Item(seq: between, topic: topic, isReplaced: false))
                    model.items.sort { $0.seq < $1.seq }
                }
            }
            seq = max(seq, model.items.last?.seq ?? 0)
            #expect(held.seqs == Set(model.items.map(\.seq)) && held.isEmpty == model.items.isEmpty)
            #expect(held.oldest?.message.seq == model.items.first?.seq)
            let weight = try model.items.reduce(0) { $0 + (try message($1.seq, $1.topic).weight) }
            #expect(held.bytes == weight)
        }
    }
}
