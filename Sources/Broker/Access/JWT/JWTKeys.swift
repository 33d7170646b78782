internal import CLinux
internal import Cryptography
internal import Glibc
internal import Synchronization
package import WSTransport

/// Where the keys of an issuer come from.
package enum JWTKeySource: Sendable, Equatable {
    /// A shared secret.
    case secret([UInt8])
    /// A key set or a PEM file, read again when the file changes.
    case file(path: String)
    /// A key set at a URL, fetched regularly; `ca` is a PEM file of authorities, or `nil` for those of the system.
    case url(WebSocketURL, ca: String?, refresh: Duration)
}

extension JWTKeySource {
    /// Whether keys may be fetched from a URL: https, or http on this machine, without credentials.
    package static func isAddress(_ text: String) -> Bool {
        guard text.hasPrefix("https://") || text.hasPrefix("http://"), let url = try? WebSocketURL(parsing: text),
            url.credentials == nil, case .internet(let host, _, let isSecure) = url.endpoint
        else { return false }
        return isSecure || ["127.0.0.1", "::1", "localhost"].contains(host)
    }

    /// A hash of the source, for comparison with other sources.
    var mark: Int {
        var hasher = Hasher()
        switch self {
        case .secret(let secret): hasher.combine(secret)
        case .file(let path): hasher.combine(path.exact)
        case .url(let url, let authorities, _):
            hasher.combine("\(url)")
            hasher.combine(authorities.exact)
        }
        return hasher.finalize()
    }

    /// Whether both are the same source, read in the same way; names of files are compared byte by byte.
    package static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.secret(let one), .secret(let other)): one == other
        case (.file(let one), .file(let other)): one.exact == other.exact
        case (.url(let one, let authorities, let refresh), .url(let other, let otherAuthorities, let otherRefresh)):
            one == other && authorities.exact == otherAuthorities.exact && refresh == otherRefresh
        default: false
        }
    }
}

/// A report on the keys of an issuer.
package struct JWTKeysNews: Sendable, Equatable {
    package let issuer: String
    /// How many keys there are now; `nil` if no new keys were found, so that the old ones stay.
    package let keys: Int?
    /// Keys that were left out, and errors: phrases.
    package let troubles: [String]
}

/// The present keys of one issuer, and the thread that fetches them from a URL.
///
/// Any thread.
package final class JWTKeys: Sendable {
    /// How long keys stay valid while their URL fails, in nanoseconds.
    static let staleAfter: Int64 = 86_400_000_000_000
    /// The shortest time between two fetches that unknown keys cause, in nanoseconds.
    static let pause: Int64 = 30_000_000_000
    /// The time limit of a fetch, and of a client that waits for one, in nanoseconds.
    static let patience: Int64 = 10_000_000_000
    static let clientPatience: Int64 = 5_000_000_000
    /// How many tokens may wait for a fetch.
    static let maximumWaiting = 1024

    private struct State {
        var set: JWTKeySet?
        /// Changes with the keys.
        var generation: UInt64 = 0
        var stamp: FileStamp?
        var fetched: MonotonicTime?
        /// When an unknown key last caused a fetch.
        var asked: MonotonicTime?
        var isFetching = false
        /// Whether the last fetch failed.
        var hasFailed = false
        var isWanted = false
        var isStopped = false
        /// The tokens that wait for a fetch, each with its deadline.
        var waiting: [(done: @Sendable () -> Void, until: MonotonicTime)] = []
        /// How often a key was removed.
        var losses = 0
    }

    private let state = Mutex(State())
    /// The name of the issuer.
    package let issuer: String
    /// Where the keys come from.
    package let source: JWTKeySource
    private let report: @Sendable (JWTKeysNews) -> Void
    /// An eventfd that wakes the thread.
    private let alarm: Int32

    /// Reads a secret or a file, or starts the thread that fetches a URL.
    ///
    /// - Parameters:
    ///   - old: the previous keys of the same source, valid until new ones are fetched; `nil` if there are none.
    ///   - report: called after each fetch and each change of the file, on any thread.
    package init(
        _ issuer: String, _ source: JWTKeySource, after old: JWTKeys? = nil,
        report: @escaping @Sendable (JWTKeysNews) -> Void
    ) throws(JWTKeySet.Mistake) {
        self.issuer = issuer
        self.source = source
        self.report = report
        alarm = eventfd(0, Int32(EFD_CLOEXEC))
        switch source {
        case .secret(let secret):
            let set: JWTKeySet
            do throws(KeyError) { set = try JWTKeySet(secret: secret) } catch {
                throw JWTKeySet.Mistake(error.description)
            }
            state.withLock { $0.set = set }
        case .file(let path):
            let (stamp, set) = (FileStamp(path), try Self.read(path))
            state.withLock { ($0.stamp, $0.set) = (stamp, set) }
        case .url:
            let known = old.map { old in old.state.withLock { ($0.set, $0.fetched) } }
            state.withLock { state in
                if let known { (state.set, state.fetched) = known }
                state.isFetching = true
            }
            do throws(Errno) { try startThread(named: "keys") { [self] in serve() }.detach() } catch {
                throw JWTKeySet.Mistake("cannot start a thread: \(error)")
            }
        }
    }

    deinit { Socket.close(alarm) }

    /// The keys, and a number that changes with them; `nil` if none were fetched yet, or not for a day.
    package var current: (set: JWTKeySet?, generation: UInt64) { current(at: .now) }

    /// The keys at another time.
    func current(at now: MonotonicTime) -> (set: JWTKeySet?, generation: UInt64) {
        state.withLock { state in
            if let fetched = state.fetched, now.nanoseconds(since: fetched) > Self.staleAfter {
                return (nil, state.generation)
            }
            return (state.set, state.generation)
        }
    }

    /// How often a key was removed, so that tokens signed with it are no longer accepted.
    package var losses: Int { state.withLock { $0.losses } }

    /// Whether the set has a key, by its mark; `true` while there are no keys, because the key may still be valid.
    func has(_ mark: Int) -> Bool { state.withLock { $0.set.map { $0.marks.contains(mark) } ?? true } }

    /// When the keys were last fetched; `nil` if they have no URL, or were never fetched.
    var fetched: MonotonicTime? { state.withLock { $0.fetched } }

    /// Seconds since the last fetch; `nil` if there was none.
    package var age: Int64? { fetched.map { MonotonicTime.now.nanoseconds(since: $0) / 1_000_000_000 } }

    // MARK: Files

    private static func read(_ path: String) throws(JWTKeySet.Mistake) -> JWTKeySet {
        let bytes: [UInt8]
        do throws(PrivateFile.Trouble) {
            guard let found = try PrivateFile.read(path, atMost: JWTKeySet.maximumSize, isSecret: false) else {
                throw PrivateFile.Trouble("there is no such file")
            }
            bytes = found
        } catch {
            throw JWTKeySet.Mistake("\(path): \(error.message)")
        }
        do throws(JWTKeySet.Mistake) { return try JWTKeySet(file: bytes) } catch {
            throw JWTKeySet.Mistake("\(path): \(error)")
        }
    }

    /// Reads a file that has changed; the old keys stay if the new file has errors.
    package func takeOverChange() {
        guard case .file(let path) = source else { return }
        let stamp = FileStamp(path)
        let isNew = state.withLock { state in
            defer { state.stamp = stamp }
            return state.stamp != stamp
        }
        guard isNew else { return }
        do throws(JWTKeySet.Mistake) { report(adopt(try Self.read(path))) } catch {
            report(JWTKeysNews(issuer: issuer, keys: nil, troubles: [error.description]))
        }
    }

    private func adopt(_ set: JWTKeySet) -> JWTKeysNews {
        state.withLock { state in
            // Equal keys keep their generation, so that remembered tokens stay valid.
            if state.set?.terms != set.terms { state.generation += 1 }
            if let old = state.set?.marks, !old.isSubset(of: set.marks) { state.losses += 1 }
            state.set = set
        }
        return JWTKeysNews(issuer: issuer, keys: set.count, troubles: set.ignored)
    }

    // MARK: Addresses

    /// Whether the present keys are unknown: a fetch is under way, or the last one failed.
    var isInDoubt: Bool { state.withLock { $0.isFetching || $0.isWanted || $0.hasFailed } }

    /// What happens to a request for new keys.
    enum Asking {
        /// `done` will be called after the fetch.
        case waits
        /// The keys have no URL, or were fetched lately.
        case isNot
        /// Too many tokens are waiting.
        case isFull
    }

    /// Requests a fetch if it may find new keys, and calls `done` after it, on any thread.
    func ask(_ done: @escaping @Sendable () -> Void) -> Asking {
        guard case .url = source else { return .isNot }
        return state.withLock { state in
            guard !state.isStopped else { return .isNot }
            guard state.waiting.count < Self.maximumWaiting else { return .isFull }
            if !state.isFetching, !state.isWanted {
                if let asked = state.asked, MonotonicTime.now.nanoseconds(since: asked) < Self.pause { return .isNot }
                state.asked = .now
                state.isWanted = true
                _ = eventfd_write(alarm, 1)
            }
            let until = MonotonicTime.now.advanced(byNanoseconds: Self.clientPatience)
            state.waiting.append((done, until))
            return .waits
        }
    }

    /// Ends the thread.
    package func stop() {
        release(.max) { $0.isStopped = true }
        _ = eventfd_write(alarm, 1)
    }

    private func serve() {
        guard case .url(let url, let authorities, let refresh) = source else { return }
        while true {
            let wanted = state.withLock { state -> Bool? in
                if state.isStopped { return nil }
                defer { (state.isWanted, state.isFetching) = (false, true) }
                return state.isWanted
            }
            guard let wanted else { break }
            let news = fetch(url, authorities, wanted ? Self.clientPatience : Self.patience)
            let hasFailed = news.keys == nil
            release(.max) { ($0.isFetching, $0.hasFailed) = (false, hasFailed) }
            // A request made from here on waits for the next fetch.
            report(news)
            rest(Self.delay(refresh, afterFailure: hasFailed, Int64.random(in: 90...110)))
        }
        release(.max)
    }

    /// Calls the waiting tokens whose deadline is not later than `time`, in nanoseconds.
    private func release(_ time: Int64, _ change: (inout State) -> Void = { _ in }) {
        let over = state.withLock { state in
            change(&state)
            let over = state.waiting.filter { $0.until.nanoseconds <= time }
            state.waiting.removeAll { $0.until.nanoseconds <= time }
            return over
        }
        for one in over { one.done() }
    }

    private func fetch(_ url: WebSocketURL, _ authorities: String?, _ patience: Int64) -> JWTKeysNews {
        func failed(_ reason: String) -> JWTKeysNews { JWTKeysNews(issuer: issuer, keys: nil, troubles: [reason]) }
        do throws(PlainFetch.Failure) {
            var tls: TLSContext?
            if let authorities {
                do throws(TLSFileError) { tls = try TLSContext.client(.file(authorities)) } catch {
                    return failed(error.description)
                }
            }
            let bytes = try PlainFetch.get(url, tls: tls, timeout: patience, maximumBody: JWTKeySet.maximumSize) {
                self.release(MonotonicTime.now.nanoseconds)
            }
            do throws(JWTKeySet.Mistake) {
                let set = try JWTKeySet(json: bytes)
                state.withLock { $0.fetched = .now }
                return adopt(set)
            } catch {
                return failed(error.description)
            }
        } catch {
            return failed(error.description)
        }
    }

    /// The time until the next fetch, in milliseconds.
    ///
    /// Keys must not become too old because one attempt has failed.
    ///
    /// - Parameter percent: the part of the configured time, varied so that many brokers do not fetch at the same time.
    static func delay(_ refresh: Duration, afterFailure hasFailed: Bool, _ percent: Int64) -> Int64 {
        let span = max(1, Int64(refresh / .milliseconds(1)))
        let most = hasFailed ? pause : staleAfter - 20 * pause
        return min(span * percent / 100, most / 1_000_000)
    }

    /// Waits for some milliseconds, or until a fetch is requested.
    private func rest(_ milliseconds: Int64) {
        var entry = pollfd(fd: alarm, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&entry, 1, Int32(clamping: milliseconds))
        var value: eventfd_t = 0
        if entry.revents != 0 { _ = unsafe eventfd_read(alarm, &value) }
    }
}
