package import Synchronization
package import WSTransport

/// The bans of a broker: in memory, so that they end with its process at the latest.
///
/// What changes them hands ``list`` on to every reactor. Any thread.
package final class Bans: Sendable {
    private struct State {
        var list = BanList()
        var lastNumber = 0
    }

    private let state = Mutex(State())
    /// Those that found no room.
    package let refused = Atomic<Int>(0)
    /// Connections that were reset when they came.
    package let connections = Atomic<Int>(0)

    /// None yet.
    package init() {}

    /// All that hold now.
    package var list: BanList { state.withLock { $0.list } }

    /// What ``add(_:seconds:note:atMost:now:)`` has done.
    package struct Added: Sendable {
        /// In the order of their subjects.
        package var bans: [Ban] = []
        /// Others that have ended meanwhile.
        package var ended: [Ban] = []
        /// How many found no room.
        package var left = 0
        /// What holds now.
        package var list: BanList
    }

    /// Shuts out; a ban of the same subject is replaced.
    ///
    /// - Parameters:
    ///   - seconds: for how long; `nil`: until it is removed.
    ///   - most: how many bans there may be.
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

    /// Lets in again; `nil`: there is no such ban.
    package func remove(id: String) -> (ban: Ban, list: BanList)? {
        state.withLock { state in
            state.list.remove { $0.id == id }.first.map { ($0, state.list) }
        }
    }

    /// Takes out those that have ended.
    package func removeEnded(now: MonotonicTime) -> (ended: [Ban], list: BanList) {
        state.withLock { state in
            let ended = state.list.removeEnded(now)
            return (ended, state.list)
        }
    }

    /// A hundred years, in seconds.
    private static let longest: Int64 = 100 * 366 * 86_400
}
