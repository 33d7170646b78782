import Testing

@testable import Load

@Suite("The alarm that ends a turn's wait")
struct AlarmTests {
    /// A waiter for a second, and then for less, is woken in time for the first message of an open loop.
    @Test func isSetOnlyIfNoneIsDueSooner() {
        var alarm = Alarm()
        let first = alarm.set(1000)
        let later = alarm.set(2000)
        let same = alarm.set(1000)
        let sooner = alarm.set(10)
        #expect(first && !later && !same && sooner)
        // The replaced alarm goes off nevertheless, without effect.
        alarm.rang(1000)
        let stillSooner = alarm.set(20)
        #expect(!stillSooner)
        alarm.rang(10)
        let again = alarm.set(20)
        #expect(again)
    }
}
