import Testing

@testable import Broker
@testable import WSTransport

@Suite("The cost of followers that are behind")
struct HoldingCostTests {
    private static let second: Int64 = 1_000_000_000

    /// Ends a turn at a time in seconds; returns the cost of a publication.
    private func end(_ cost: inout HoldingCost, _ behind: Int, at time: Int64) -> Int {
        let before = cost.commands
        let change = cost.endTurn(behind: behind, now: MonotonicTime(nanoseconds: time * Self.second))
        #expect(cost.commands == before + change)
        return cost.commands
    }

    @Test func isThatOfTheDearestMessage() {
        var cost = HoldingCost()
        #expect(!cost.isSet)
        for _ in 0..<3 { cost.add(HoldingCost.held, of: 1) }
        for _ in 0..<50 { cost.add(HoldingCost.held, of: 2) }
        cost.add(HoldingCost.held, of: 3)
        #expect(cost.isSet)
        #expect(end(&cost, 60, at: 1) == 50)
        cost.add(HoldingCost.held, of: 4)
        #expect(end(&cost, 60, at: 2) == 50, "for some time")
    }

    @Test func notingThatTheStoreDeliversIsCheap() {
        var cost = HoldingCost()
        for _ in 0..<50 { cost.add(HoldingCost.noted, of: 1) }
        #expect(end(&cost, 50, at: 1) == 6)
    }

    /// What the next messages cost is known when followers fall behind.
    @Test func risesWhenFollowersFallBehind() {
        var cost = HoldingCost()
        for _ in 0..<30 { cost.fellBehind() }
        #expect(end(&cost, 30, at: 1) == 30)
        for _ in 0..<30 { cost.fellBehind() }
        #expect(end(&cost, 40, at: 2) == 40, "the same followers may have fallen behind again")
    }

    @Test func isForgottenByHalves() {
        var cost = HoldingCost()
        for _ in 0..<40 { cost.fellBehind() }
        #expect(end(&cost, 40, at: 1) == 40)
        let later = [4, 5, 6, 9, 13, 17, 21, 25, 29].map { end(&cost, 0, at: $0) }
        #expect(later == [40, 20, 20, 10, 5, 2, 1, 0, 0] && !cost.isSet)
    }
}
