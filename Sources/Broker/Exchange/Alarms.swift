internal import WSTransport

/// The times at which sessions must be told something, such as the expiry of a token.
///
/// Checked every 250 ms while there are any. Runs on its reactor's thread.
package final class Alarms {
    package enum Reason: Sendable {
        /// The credentials expire soon.
        case expiring
        /// The credentials have expired.
        case expired
        /// The client has not authenticated in time.
        case late
    }

    /// The alarms, by the time in Unix milliseconds, rounded to ``step``, and by the session's number.
    private var alarms: [Int64: [UInt32: [Reason]]] = [:]
    /// The times for which each session has alarms, as slots of ``step``, by the session's number.
    private var times: [UInt32: [Int64]] = [:]
    /// In milliseconds.
    private static let step: Int64 = 250

    var isEmpty: Bool { alarms.isEmpty }

    /// Adds an alarm for a session; alarms that are due together are reported in order.
    ///
    /// - Parameter time: Unix milliseconds.
    func add(_ session: UInt32, at time: Int64, for reason: Reason) {
        let slot = (time + Self.step - 1) / Self.step
        alarms[slot, default: [:]][session, default: []].append(reason)
        times[session, default: []].append(slot)
    }

    /// Whether a session has an alarm for a reason.
    func has(_ session: UInt32, for reason: Reason) -> Bool {
        times[session]?.contains { alarms[$0]?[session]?.contains(reason) ?? false } ?? false
    }

    /// Removes all alarms of a session.
    func forget(_ session: UInt32) {
        for slot in times.removeValue(forKey: session) ?? [] {
            alarms[slot]?[session] = nil
            if alarms[slot]?.isEmpty == true { alarms[slot] = nil }
        }
    }

    /// Removes the alarms that are due, and returns them with the numbers of their sessions.
    func due(now: Int64) -> [(session: UInt32, reason: Reason)] {
        var due: [(session: UInt32, reason: Reason)] = []
        for slot in alarms.keys.filter({ $0 * Self.step <= now }).sorted() {
            for (session, reasons) in alarms.removeValue(forKey: slot) ?? [:] {
                times[session]?.removeAll { $0 == slot }
                if times[session]?.isEmpty == true { times[session] = nil }
                for reason in reasons { due.append((session, reason)) }
            }
        }
        return due
    }
}

extension Shard {
    /// How long before their expiry credentials are reported as expiring, in milliseconds; at most a tenth of the time
    /// left.
    private static let notice: Int64 = 30_000

    /// Tells a session when a time has come, unless the session leaves or gets other credentials first.
    ///
    /// - Parameter time: Unix milliseconds.
    package func wake(_ session: any Session, at time: Int64, for reason: Alarms.Reason) {
        let isFirst = alarms.isEmpty
        alarms.add(session.subscriptions.owner, at: time, for: reason)
        if isFirst { lookAtAlarms() }
    }

    /// Whether a session waits to be told that a time has come.
    package func isWaking(_ session: any Session, for reason: Alarms.Reason) -> Bool {
        alarms.has(session.subscriptions.owner, for: reason)
    }

    /// Tells a session when its credentials expire, and shortly before; does nothing if they do not expire.
    ///
    /// Removes its earlier alarms.
    package func watchExpiry(of session: any Session) {
        alarms.forget(session.subscriptions.owner)
        guard let expires = session.client.principal.expires else { return }
        let (end, now) = (expires.multipliedReportingOverflow(by: 1000).partialValue, WallClock.unixMilliseconds)
        wake(session, at: end - min(Self.notice, max(0, end - now) / 10), for: .expiring)
        wake(session, at: end, for: .expired)
    }

    private func lookAtAlarms() {
        reactor.run(afterNanoseconds: 250_000_000) { [weak self] in
            guard let self else { return }
            for (number, reason) in alarms.due(now: WallClock.unixMilliseconds) {
                directory.session(number)?.timeHasCome(for: reason)
            }
            if !alarms.isEmpty { lookAtAlarms() }
        }
    }
}
