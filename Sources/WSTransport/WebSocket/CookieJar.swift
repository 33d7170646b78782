internal import Synchronization

/// The cookies that servers have set, shared by all connections that use the jar (RFC 6265 §5.3).
///
/// The cookies are kept in memory only. Any thread.
public final class CookieJar: Sendable {
    /// The maximum number of cookies of one domain.
    package static let maximumOfDomain = 50
    /// The maximum number of all cookies.
    package static let maximum = 3000

    private struct Entry {
        var cookie: Cookie
        /// When it was first set, as an increasing number.
        let created: UInt64
        /// When the cookie was last sent or set, as an increasing number.
        var used: UInt64
    }

    private struct State {
        var entries: [Entry] = []
        var step: UInt64 = 0

        mutating func next() -> UInt64 {
            step += 1
            return step
        }

        /// Makes room by removing the cookies that have been unused for the longest time.
        mutating func removeOldest(where isCandidate: (Entry) -> Bool) {
            let candidates = entries.indices.filter { isCandidate(entries[$0]) }
            guard let oldest = candidates.min(by: { entries[$0].used < entries[$1].used }) else { return }
            entries.remove(at: oldest)
        }
    }

    private let state = Mutex(State())

    /// Creates an empty jar.
    public init() {}

    /// The cookies of the jar at `now`, in Unix seconds.
    package func cookies(at now: Int64) -> [Cookie] {
        state.withLock { $0.entries.map(\.cookie) }.filter { !$0.isExpired(at: now) }
    }

    /// Removes all cookies.
    public func removeAll() { state.withLock { $0.entries = [] } }

    /// Stores the cookies in the `Set-Cookie` fields of a response.
    package func store(_ fields: HeaderFields, from scope: Cookie.Scope, now: Int64) {
        for text in fields.all("Set-Cookie") {
            if let cookie = Cookie(parsing: text, from: scope, now: now) { store(cookie, now: now) }
        }
    }

    private func store(_ cookie: Cookie, now: Int64) {
        state.withLock { state in
            let step = state.next()
            let older = state.entries.first { cookie.replaces($0.cookie) }
            state.entries.removeAll { cookie.replaces($0.cookie) || $0.cookie.isExpired(at: now) }
            guard !cookie.isExpired(at: now) else { return }
            state.entries.append(Entry(cookie: cookie, created: older?.created ?? step, used: step))
            let isOfDomain = { (entry: Entry) in entry.cookie.domain == cookie.domain }
            if state.entries.count(where: isOfDomain) > Self.maximumOfDomain { state.removeOldest(where: isOfDomain) }
            if state.entries.count > Self.maximum { state.removeOldest { _ in true } }
        }
    }

    /// The value of `Cookie` for a request to `scope`; `nil` to send none (RFC 6265 §5.4).
    package func fieldValue(for scope: Cookie.Scope, now: Int64) -> String? {
        let sent = state.withLock { state -> [Entry] in
            let step = state.next()
            var sent: [Entry] = []
            for index in state.entries.indices {
                let cookie = state.entries[index].cookie
                guard cookie.matches(scope), !cookie.isExpired(at: now) else { continue }
                state.entries[index].used = step
                sent.append(state.entries[index])
            }
            return sent
        }
        guard !sent.isEmpty else { return nil }
        return sent.sorted { left, right in
            let lengths = (left.cookie.path.utf8.count, right.cookie.path.utf8.count)
            return lengths.0 == lengths.1 ? left.created < right.created : lengths.0 > lengths.1
        }.map { "\($0.cookie.name)=\($0.cookie.value)" }.joined(separator: "; ")
    }
}
