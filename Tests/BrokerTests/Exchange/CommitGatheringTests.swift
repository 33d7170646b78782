import Testing
import WSTransport

@testable import Broker

@Suite("Publishers that publish again together share a commit")
struct CommitGatheringTests {
    private func time(_ milliseconds: Double) -> MonotonicTime { MonotonicTime(nanoseconds: Int64(milliseconds * 1e6)) }

    private func publishers(_ origins: some Sequence<UInt64>) throws -> CommitGathering.Publishers {
        let topic = try Topic("a")
        return CommitGathering.Publishers(
            of: origins.map {
                StoreEntry(Message(topic: topic, payload: [1], kind: .text, seq: 1, time: 1, origin: $0))
            })
    }

    @Test func doesNotWaitAtFirst() {
        #expect(CommitGathering().size == 1)
        #expect(CommitGathering().deadline(now: time(0)) == nil)
    }

    @Test func doesNotWaitForALonePublisher() throws {
        var gathering = CommitGathering()
        for round in 1...10 {
            try gathering.answered(publishers([7]), after: 4_000_000, at: time(Double(round) * 10), isLast: true)
            #expect(gathering.deadline(now: time(Double(round) * 10)) == nil)
        }
    }

    @Test func doesNotWaitForAPublisherThatFilledTwoCommits() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers([7, 7]), after: 4_000_000, at: time(4), isLast: false)
        try gathering.answered(publishers([7]), after: 4_000_000, at: time(8), isLast: true)
        #expect(gathering.deadline(now: time(8)) == nil)
    }

    @Test func waitsHalfACommitForAnsweredPublishers() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers(1...100), after: 4_000_000, at: time(10), isLast: true)
        #expect(gathering.size == 100)
        #expect(gathering.deadline(now: time(11)) == time(13))
    }

    @Test func waitsFiveMillisecondsAtMost() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers(1...100), after: 60_000_000, at: time(100), isLast: true)
        #expect(gathering.deadline(now: time(110)) == time(115))
    }

    @Test func countsThePublishersOfConsecutiveCommits() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers(1...3), after: 4_000_000, at: time(4), isLast: false)
        try gathering.answered(publishers(4...100), after: 4_000_000, at: time(8), isLast: true)
        #expect(gathering.size == 100)
        try gathering.answered(publishers(1...40), after: 4_000_000, at: time(20), isLast: true)
        #expect(gathering.size == 40)
    }

    @Test func doesNotWaitWhileMessagesAreQueued() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers(1...100), after: 4_000_000, at: time(4), isLast: false)
        #expect(gathering.deadline(now: time(4)) == nil)
    }

    @Test func forgetsPublishersThatDoNotReturn() throws {
        var gathering = CommitGathering()
        try gathering.answered(publishers(1...100), after: 4_000_000, at: time(10), isLast: true)
        #expect(gathering.deadline(now: time(13.9)) != nil)
        #expect(gathering.deadline(now: time(14)) == nil)
    }

    @Test(arguments: [
        ([], 0), ([5], 1), ([5, 5, 5], 1), ([5, 6, 5, 7], 3), ([0, 0, 0], 3), ([0, 5, 0, 5], 3),
    ])
    func countsAPublisherOfManyMessagesOnce(origins: [UInt64], count: Int) throws {
        #expect(try publishers(origins).count == count)
    }
}
