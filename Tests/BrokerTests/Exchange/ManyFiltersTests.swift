import Testing

@testable import Broker
@testable import WSTransport

/// A session that is behind looks many filters up in an index, and a few one by one; the result is the same.
@Suite("Many filters of a session that is behind")
struct ManyFiltersTests {
    private static let names = [
        "a/+", "a/#", "+/1", "a/1", "#", "b/+/c", "b/#", "+/+", "a/2", "b/1/c", "+/1/+", "+/+/#",
    ]
    private static let topics = ["a/1", "a/2", "a/3", "b", "b/1", "b/1/c", "c/1", "$SYS/a"]

    private func subscription(_ place: Int, _ slow: SlowPolicy) throws -> Subscription {
        Subscription(
            number: UInt32(place), filter: try TopicFilter(Self.names[place]), position: 0, skipsOwn: place % 3 == 0,
            slow: slow, usesHistory: false)
    }

    private func message(_ topic: String, _ seq: UInt64, origin: UInt64) throws -> Message {
        Message(topic: try Topic(topic), payload: [1], kind: .text, seq: seq, time: 0, origin: origin)
    }

    /// Often enough that there is an index, and with others added and removed, so that it is made again.
    @Test func theIndexAgreesWithTheLinearSearch() throws {
        let set = SubscriptionSet()
        _ = set.setBehind(at: 0)
        var subscriptions: [Subscription] = []
        var seq: UInt64 = 0
        for place in Self.names.indices {
            let one = try subscription(place, place % 2 == 0 ? .latest : .dropOldest)
            set.add(one)
            subscriptions.append(one)
            if place == 7 {
                _ = set.remove(subscriptions[1].filter)
                subscriptions.remove(at: 1)
            }
            for (number, topic) in Self.topics.enumerated() {
                seq += 1
                let message = try message(topic, seq, origin: number % 2 == 0 ? 7 : 8)
                let due = subscriptions.filter { $0.isDue(message, client: 7) }
                #expect(set.isDue(message, client: 7) == !due.isEmpty, "\(topic) of \(place)")
                #expect(set.isDueInFull(message, client: 7) == due.contains { $0.slow != .latest })
                #expect(set.drop(message, floor: seq - 1, client: 7))
                let gaps = set.takeGaps(upTo: seq)
                #expect(Set(gaps.map(\.subscription.filter.name)) == Set(due.map(\.filter.name)))
                #expect(gaps.allSatisfy { $0.gap == Gap(since: seq - 1, seq: seq, missed: 1) })
            }
        }
    }

    /// Consecutive dropped messages are one gap, however many there are.
    @Test func joinsConsecutiveDropsIntoOneGap() throws {
        let set = SubscriptionSet()
        _ = set.setBehind(at: 0)
        for place in Self.names.indices { set.add(try subscription(place, .dropOldest)) }
        for number in 0..<100 as Range<UInt64> {
            // Before every tenth there is one that is not dropped; those of other topics are between all of them.
            let floor = number / 10 * 20 + 1
            #expect(set.drop(try message("a/1", number * 2 + 2, origin: 8), floor: floor, client: 7))
        }
        let gaps = set.takeGaps(upTo: 200)
        let topic = try Topic("a/1")
        for subscription in set.all {
            let own = gaps.filter { $0.subscription.number == subscription.number }.map(\.gap)
            let expected = (0..<10 as Range<UInt64>).map { Gap(since: $0 * 20 + 1, seq: $0 * 20 + 20, missed: 10) }
            #expect(own == (subscription.filter.matches(topic) ? expected : []), "\(subscription.filter)")
        }
    }

    /// A subscription that needs every message prevents a drop, wherever it is found.
    @Test func aClosePolicyForbidsDrops() throws {
        let set = SubscriptionSet()
        _ = set.setBehind(at: 0)
        for place in Self.names.indices { set.add(try subscription(place, place == 3 ? .close : .latest)) }
        for seq in 1...20 as ClosedRange<UInt64> {
            #expect(!set.drop(try message("a/1", seq, origin: 8), floor: 0, client: 7))
            #expect(set.drop(try message("a/2", seq, origin: 8), floor: 0, client: 7))
        }
    }
}
