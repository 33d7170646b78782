package import Synchronization
package import WSTransport

/// The bans of a broker: kept in memory, so they end with the process at the latest.
///
/// Callers that change the bans send the new ``list`` to every reactor. Any thread.
package final class Bans: Sendable {
    private struct State {
        var list = BanList()
        var lastNumber = 0
    }

    private let state = Mutex(State())
    /// Bans that were refused because the list was full.
    package let refused = Atomic<Int>(0)
    /// Connections that were reset on arrival because of a ban.
    package let connections = Atomic<Int>(0)

    /// Creates an empty list of bans.
    package init() {}

    /// The bans in force, and those that have ended since the last change.
    package var list: BanList { state.withLock { $0.list } }

    /// The result of ``add(_:seconds:note:atMost:now:)``.
    package struct Added: Sendable {
        /// The new bans, in the order of their subjects.
        package var bans: [Ban] = []
        /// Earlier bans that have ended and were removed.
        package var ended: [Ban] = []
        /// How many were refused because the list was full.
        package var left = 0
        /// The list after the change.
        package var list: BanList
    }

    /// Adds bans; each replaces an existing ban of its subject.
    ///
    /// - Parameters:
    ///   - seconds: the duration; `nil` if the bans last until they are removed.
    ///   - most: the maximum number of bans in the list.
    package func add(
        _ subjects: [Ban.Subject], seconds: Int64?, note: String, atMost most: Int, now: MonotonicTime
    ) -> Added {
        let wallNow = WallClock.unixMilliseconds
        let duration = seconds.map { min(max($0, 0), Self.longest) }
        return state.withLock { state in
            var added = Added(list: state.list)
            added.ended = state.list.removeEnded(now)
            for subject in subjects {
                guard state.list.count < most || state.list.contains(subject) else {
                    added.left += 1
                    continue
                }
                state.lastNumber += 1
                let ban = Ban(
                    id: "b\(state.lastNumber)", subject: subject,
                    end: duration.map { now.advanced(byNanoseconds: $0 * 1_000_000_000) },
                    expires: duration.map { wallNow + $0 * 1000 }, added: wallNow, note: note)
                state.list.add(ban)
                added.bans.append(ban)
            }
            if added.left > 0 { refused.add(added.left, ordering: .relaxed) }
            added.list = state.list
            return added
        }
    }

    /// Removes a ban, and returns it with the new list; `nil` if there is no such ban.
    package func remove(id: String) -> (ban: Ban, list: BanList)? {
        state.withLock { state in
            state.list.remove { $0.id == id }.first.map { ($0, state.list) }
        }
    }

    /// Removes the bans that have ended, and returns them with the new list.
    package func removeEnded(now: MonotonicTime) -> (ended: [Ban], list: BanList) {
        state.withLock { state in
            let ended = state.list.removeEnded(now)
            return (ended, state.list)
        }
    }

    /// Replaces all bans by these.
    func replace(with bans: [Ban]) {
        state.withLock { state in
            _ = state.list.remove { _ in true }
            for ban in bans { state.list.add(ban) }
        }
    }

    /// A hundred years, in seconds.
    static let longest: Int64 = 100 * 366 * 86_400
}
