import Testing

@testable import Broker

/// A message and its payload are one piece of memory, as a batch and its messages are.
@Suite("Messages and batches in one piece of memory")
struct MessageTests {
    private func message(_ bytes: [UInt8], _ properties: MessageProperties? = nil, seq: UInt64 = 1) throws -> Message {
        Message(
            topic: try topic("a/topic/with/a/long/name"), payload: bytes, kind: .binary,
            contentType: "a/long content type", properties: properties, isRetained: true, seq: seq, number: seq + 4,
            time: 2, expiry: 3, origin: 4, nature: .farewell)
    }

    @Test("A message has the properties and the bytes that it was made of", arguments: [0, 1, 7, 8, 64, 100_000])
    func holdsTheBytesItWasMadeOf(count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let properties = try MessageProperties(correlation: [9])
        let found = try message(bytes, properties)
        #expect(found.topic.name == "a/topic/with/a/long/name" && found.contentType == "a/long content type")
        #expect(found.properties === properties && found.kind == .binary && found.isRetained)
        #expect((found.seq, found.time, found.expiry, found.origin) == (1, 2, 3, 4) && found.nature == .farewell)
        #expect(found.number == 5)
        #expect(found.payload.array == bytes && Array(found.payload) == bytes && found.payloadCount == count)
        #expect(found.payload.elementsEqual(bytes) && found.payload.span.count == count)
        #expect(found.payload.isEmpty == (count == 0) && found.payload.last == bytes.last)
        #expect(found.payload == (try message(bytes)).payload)
        #expect(found.payload != (try message(bytes + [0])).payload)
    }

    /// A draft is a value: what is changed in one is not changed in its copies.
    @Test func leavesTheCopiesOfAChangedDraft() throws {
        let first = Draft(topic: try topic("a"), payload: [1, 2], kind: .text)
        var second = first
        second.kind = .binary
        second.isRetained = true
        second.contentType = "b/c"
        second.origin = 5
        second.timeToLive = 6
        second.condition = .present
        var third = second
        third.condition = .absent
        #expect(first.kind == .text && !first.isRetained && first.contentType == nil && first.origin == 0)
        #expect(first.timeToLive == nil && first.condition == .none && first.isPlain)
        #expect(second.kind == .binary && second.isRetained && second.contentType == "b/c" && second.origin == 5)
        #expect(second.timeToLive == 6 && second.condition == .present && third.condition == .absent)
        #expect(third.timeToLive == 6 && first.payload == third.payload)
    }

    /// The message of a draft is the draft's own, but a second one is another: the first may be on its way.
    @Test func makesTwoMessagesOfADraftUsedTwice() throws {
        let draft = Draft(topic: try topic("a"), payload: [1, 2], kind: .text, timeToLive: 10)
        let drafts = [draft, draft]
        let made = (0..<2).map {
            Applying.message(
                of: drafts.span, at: $0, seq: 5 + UInt64($0), number: 8 + UInt64($0), time: 100 * Int64($0),
                now: { 1000 })
        }
        #expect(made.map(\.seq) == [5, 6] && made.map(\.number) == [8, 9])
        #expect(made.map(\.time) == [0, 100] && made.map(\.expiry) == [1010, 1010])
        #expect(made.allSatisfy { $0.payload.array == [1, 2] })
    }

    /// A value that is shown again is changed in memory of its own.
    @Test func leavesTheMessageOfAValueThatIsShownAgain() throws {
        let first = try message([1, 2])
        var second = first
        second.set(seq: 8, number: 9)
        second.set(expiry: 0)
        #expect((first.seq, first.number, first.expiry) == (1, 5, 3))
        #expect((second.seq, second.number, second.expiry) == (8, 9, 0) && second.payload == first.payload)
        #expect(Message(topic: first.topic, payload: [], kind: .text, seq: 7, time: 0).number == 7)
    }

    /// What no counter of references would tell: the memory behind the head is given back.
    @Test func releasesItsMessagesAndTheirProperties() throws {
        weak var properties: MessageProperties?
        var kept: Message?
        do {
            let made = try MessageProperties(correlation: [1])
            properties = made
            var batch = Batch(room: 3, shard: 0)
            for seq in 1...2 as ClosedRange<UInt64> {
                batch.append(Applied(try message([1], made, seq: seq), originSlot: 7, isKept: false))
            }
            batch.refuse([(place: 2, rejection: .refused(Refusal(.conflict, "no")))])
            let copy = batch
            #expect(copy.items.map(\.message.seq) == [1, 2] && copy.items.last?.originSlot == 7)
            #expect(copy.count == 3 && copy.accepted == 2 && copy.refusals?.list.count == 1)
            #expect(copy.weight == 2 * copy.items[0].message.weight)
            kept = copy.items[1].message
        }
        #expect(properties != nil && kept?.properties === properties)
        kept = nil
        #expect(properties == nil)
    }
}
