import Testing

@testable import Broker

@Suite("Contract of NumberStore")
struct NumberStoreContractTests {
    @Test(arguments: Conformer.allCases)
    func reservesUpwardsOnly(conformer: Conformer) throws {
        let made = try conformer.make()
        let store = made.store
        #expect(store.reservedSeq == 0)
        #expect((1..<1 << 53).contains(store.epoch))
        try store.reserve(seqsUpTo: 1000)
        try store.reserve(seqsUpTo: 10)
        #expect(store.reservedSeq == 1000)
        try store.apply([retained("a", "x")], reserving: 2000)
        #expect(store.reservedSeq == 2000)
        try store.probe()
        #expect(store.reservedSeq == 2000)
    }

    /// The next start continues after the last number, or after all reserved ones if that is not known.
    @Test(arguments: Conformer.allCases)
    func sealingContinuesAfterTheLastNumber(conformer: Conformer) throws {
        let made = try conformer.make()
        try made.store.reserve(seqsUpTo: 1000)
        try made.store.seal(upTo: nil)
        #expect(made.store.reservedSeq == 1000)
        try made.store.seal(upTo: 17)
        #expect(made.store.reservedSeq == 17)
        try made.store.seal(upTo: 500)
        #expect(made.store.reservedSeq == 17, "numbers that were given back are not taken again")
    }

    @Test(arguments: Conformer.allCases)
    func everyStoreHasItsOwnEpoch(conformer: Conformer) throws {
        let epochs = try (0..<20).map { _ in try conformer.make().store.epoch }
        #expect(Set(epochs).count == 20)
    }
}
