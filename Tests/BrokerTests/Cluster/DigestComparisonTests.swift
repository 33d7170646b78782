import Testing

@testable import Broker
@testable import WSTransport

@Suite("DigestComparison: brokers that read one log have the same state")
struct DigestComparisonTests {
    private func place(_ seq: UInt64, term: UInt64 = 1) -> LogPosition { LogPosition(term: term, seq: seq) }

    /// Nothing can be concluded from a forgotten position, or one in another term.
    @Test func comparesOnlyAtKnownPositions() {
        var comparison = DigestComparison()
        for seq: UInt64 in 1...5 { comparison.settle(place(seq * 10), seq) }
        comparison.compare(2, at: place(30), 3)
        comparison.compare(3, at: place(30), 4)
        for unknown in [place(35), place(60), place(5), place(30, term: 2)] { comparison.compare(4, at: unknown, 9) }
        #expect(
            comparison.findings == [
                2: .init(place: place(30), isEqual: true), 3: .init(place: place(30), isEqual: false),
            ])
        comparison.compare(3, at: place(40), 5)
        #expect(comparison.divergences == 1, "it has begun to differ once")
        comparison.compare(2, at: place(50), 6)
        #expect(comparison.divergences == 2 && comparison.findings[2]?.isEqual == false)
        comparison.forget(2)
        #expect(comparison.findings.keys.sorted() == [3])
    }

    /// A record has the digest of its sender's state at a position up to which everything was applied.
    @Test func reportsABrokerWithADifferentState() throws {
        let peer = try LogPeer(node: 1, engine: MemoryEngine())
        try peer.engine.begin(for: peer.order)
        for number in 0..<20 { peer.submit([try draft("a", "\(number)")]) }
        try eventually("all of them") {
            peer.look()
            return peer.results.count == 20
        }
        func hear(_ number: UInt64, digest: UInt64) throws {
            let here = peer.order.position
            let head = LogRecord.Head(node: 2, incarnation: 1, number: number, folded: here, digest: digest)
            let next = LogPosition(term: here.term, seq: here.seq + 1)
            try peer.order.receive([.record(LogRecord.bytes(head, [Draft]().span), at: next, time: 1)])
        }
        try hear(1, digest: peer.order.digest.value)
        #expect(peer.order.comparison.findings.map(\.isEqual) == [true])
        try hear(2, digest: peer.order.digest.value ^ 1)
        #expect(peer.order.comparison.findings.map(\.isEqual) == [false])
        #expect(peer.order.comparison.divergences == 1)
    }
}
