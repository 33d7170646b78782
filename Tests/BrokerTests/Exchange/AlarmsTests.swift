import Testing

@testable import Broker

@Suite("Alarms of sessions")
struct AlarmsTests {
    @Test func reportsWhatIsDueOnce() {
        let alarms = Alarms()
        alarms.add(1, at: 900, for: .expiring)
        alarms.add(1, at: 1000, for: .expired)
        alarms.add(2, at: 5000, for: .late)
        #expect(alarms.due(now: 999).isEmpty, "no alarm is early")
        let due = alarms.due(now: 1000)
        #expect(due.map(\.session) == [1, 1] && due.map(\.reason) == [.expiring, .expired])
        #expect(alarms.due(now: 4999).isEmpty)
        #expect(alarms.due(now: 5000).map(\.reason) == [.late])
        #expect(alarms.isEmpty)
    }

    @Test func forgetsAClosedSession() {
        let alarms = Alarms()
        for session: UInt32 in 0..<1000 {
            alarms.add(session, at: 1_000_000 + Int64(session), for: .expiring)
            alarms.add(session, at: 2_000_000, for: .expired)
            alarms.forget(session)
        }
        #expect(alarms.isEmpty && alarms.due(now: .max / 2).isEmpty)
    }
}
