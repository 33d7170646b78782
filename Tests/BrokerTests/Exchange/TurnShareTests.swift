import Testing

@testable import Broker
@testable import WSTransport

@Suite("A client's share of a turn")
struct TurnShareTests {
    /// How many commands `slot` gets through in the turn that begins at `time`.
    private func count(_ share: inout TurnShare, _ slot: UInt32, _ time: Int64) -> Int {
        var count = 1
        while share.take(1, by: slot, in: MonotonicTime(nanoseconds: time)) { count += 1 }
        return count
    }

    @Test func aLoneClientGetsAThousandCommandsATurn() {
        var share = TurnShare()
        for time in 1...3 { #expect(count(&share, 5, Int64(time)) == 1000) }
    }

    @Test func manyClientsShareABoundedTurn() {
        var share = TurnShare()
        let counts = (0..<300).map { count(&share, UInt32($0), 1) }
        #expect(counts.allSatisfy { (16...1000).contains($0) } && counts == counts.sorted(by: >))
        #expect(counts.reduce(0, +) <= 8000 + 300 * 16)
        #expect(count(&share, 7, 2) == 1000, "the next turn is another")
    }

    @Test func oneCommandMayExceedTheRest() {
        var share = TurnShare()
        let time = MonotonicTime(nanoseconds: 1)
        #expect(share.take(999, by: 1, in: time) == true && share.take(5000, by: 1, in: time) == false)
    }

    /// Long commands use the turn of all up, but do not end that of their client.
    @Test func longCommandsUseTheTurnUp() {
        var share = TurnShare()
        let time = MonotonicTime(nanoseconds: 1)
        for slot in 0..<8 as Range<UInt32> {
            #expect(!share.isUsedUp(in: time))
            let mayGoOn = share.take(1, bytes: 1 << 20, by: slot, in: time)
            #expect(mayGoOn)
        }
        #expect(share.isUsedUp(in: time) && !share.isUsedUp(in: MonotonicTime(nanoseconds: 2)))
    }

    @Test func limitsCatchUpReadsPerTurn() {
        var share = CatchUpShare()
        for turn in 1...2 {
            let now = MonotonicTime(nanoseconds: Int64(turn))
            var pieces = 0
            while share.isLeft(in: now) {
                share.take(64 << 10, nanoseconds: 0)
                pieces += 1
            }
            #expect(pieces == 4)
        }
        let now = MonotonicTime(nanoseconds: 3)
        var looks = 0
        while share.isLeft(in: now) {
            share.take(0, nanoseconds: 0)
            looks += 1
        }
        #expect(looks == 64)
    }

    /// A search may take milliseconds and find nothing.
    @Test func limitsTheTimeOfCatchUpReads() {
        var share = CatchUpShare()
        for turn in 1...2 {
            let now = MonotonicTime(nanoseconds: Int64(turn))
            var looks = 0
            while share.isLeft(in: now) {
                share.take(0, nanoseconds: CatchUpShare.longest / 3 + 1)
                looks += 1
            }
            #expect(looks == 3)
        }
    }
}
