internal import WSTransport

/// Times that sessions wait for, such as the end of a token: looked at once a second while there are any.
///
/// Runs on its reactor's thread.
package final class Alarms {
    package enum Reason: Sendable {
        /// The credentials are about to end.
        case expiring
        /// They have ended.
        case expired
        /// The client has had time enough to authenticate.
        case late
    }

    private struct Alarm {
        weak var session: (any Session)?
        let reason: Reason
        /// Whose time it is: one that has credentials of another time by then does not wait for it any more.
        let principal: Principal
    }

    /// By the time, in Unix milliseconds, in steps of ``step``.
    private var alarms: [Int64: [Alarm]] = [:]
    /// In milliseconds.
    private static let step: Int64 = 250

    var isEmpty: Bool { alarms.isEmpty }

    /// - Parameter time: Unix milliseconds.
    func add(_ session: any Session, at time: Int64, for reason: Reason) {
        let slot = (time + Self.step - 1) / Self.step
        alarms[slot, default: []].append(Alarm(session: session, reason: reason, principal: session.client.principal))
    }

    /// Those whose time has come.
    func due(now: Int64) -> [(session: any Session, reason: Reason)] {
        let slots = alarms.keys.filter { $0 * Self.step <= now }.sorted()
        var due: [(session: any Session, reason: Reason)] = []
        for slot in slots {
            for alarm in alarms.removeValue(forKey: slot) ?? [] {
                guard let session = alarm.session, session.client.principal.expires == alarm.principal.expires,
                    session.client.principal.kind == alarm.principal.kind
                else { continue }
                due.append((session, alarm.reason))
            }
        }
        return due
    }
}

extension Shard {
    /// How long before their end credentials are said to be expiring, in milliseconds: a tenth of what they have, at most.
    private static let notice: Int64 = 30_000

    /// Tells a session when a time has come, if it has the same credentials then.
    ///
    /// - Parameter time: Unix milliseconds.
    package func wake(_ session: any Session, at time: Int64, for reason: Alarms.Reason) {
        let isFirst = alarms.isEmpty
        alarms.add(session, at: time, for: reason)
        if isFirst { lookAtAlarms() }
    }

    /// Tells a session of the end of its credentials, and shortly before; none where they do not end.
    package func watchExpiry(of session: any Session) {
        guard let expires = session.client.principal.expires else { return }
        let (end, now) = (expires.multipliedReportingOverflow(by: 1000).partialValue, WallClock.unixMilliseconds)
        wake(session, at: end - min(Self.notice, max(0, end - now) / 10), for: .expiring)
        wake(session, at: end, for: .expired)
    }

    private func lookAtAlarms() {
        reactor.run(afterNanoseconds: 250_000_000) { [weak self] in
            guard let self else { return }
            for (session, reason) in alarms.due(now: WallClock.unixMilliseconds) where isKnown(session) {
                session.timeHasCome(for: reason)
            }
            if !alarms.isEmpty { lookAtAlarms() }
        }
    }
}
