internal import CLinux
internal import Cryptography
internal import Glibc
internal import Synchronization
package import WSTransport

/// Where the keys of an issuer are.
package enum JWTKeySource: Sendable, Equatable {
    /// A secret, read already.
    case secret([UInt8])
    /// A key set or a PEM file, read again when it changes.
    case file(path: String)
    /// A key set, fetched now and then; `ca` is a PEM file of authorities, or the system's are trusted.
    case url(WebSocketURL, ca: String?, refresh: Duration)
}

extension JWTKeySource {
    /// Whether keys may be fetched from an address: by https, or by http on this machine; it names no user.
    package static func isAddress(_ text: String) -> Bool {
        guard text.hasPrefix("https://") || text.hasPrefix("http://"), let url = try? WebSocketURL(parsing: text),
            url.credentials == nil, case .internet(let host, _, let isSecure) = url.endpoint
        else { return false }
        return isSecure || ["127.0.0.1", "::1", "localhost"].contains(host)
    }

    /// A number that another source hardly has.
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

    /// Whether both are the same place, read in the same way; names of files are compared by their bytes.
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

/// What happened to the keys of an issuer.
package struct JWTKeysNews: Sendable, Equatable {
    package let issuer: String
    /// How many keys there are now; `nil`: nothing new was found, and what was there stays.
    package let keys: Int?
    /// What was left out or went wrong: phrases.
    package let troubles: [String]
}

/// The keys of one issuer as they are now, and the thread that fetches them where they have an address.
package final class JWTKeys: Sendable {
    /// How long keys stay when their address fails, in nanoseconds.
    static let staleAfter: Int64 = 86_400_000_000_000
    /// How often unknown keys may make it ask at most, in nanoseconds.
    static let pause: Int64 = 30_000_000_000
    /// How long a fetch may take, and how long a client waits for one, in nanoseconds.
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
        /// When a client last made it ask.
        var asked: MonotonicTime?
        var isFetching = false
        /// Whether the last fetch brought nothing.
        var hasFailed = false
        var isWanted = false
        var isStopped = false
        /// Those that wait for a fetch, and how long.
        var waiting: [(done: @Sendable () -> Void, until: MonotonicTime)] = []
        /// How often keys were taken out.
        var losses = 0
    }

    private let state = Mutex(State())
    /// The name of the issuer.
    package let issuer: String
    /// Where they are.
    package let source: JWTKeySource
    private let report: @Sendable (JWTKeysNews) -> Void
    /// Wakes the thread.
    private let alarm: Int32

    /// Reads what is here, and begins to fetch what is elsewhere.
    ///
    /// - Parameters:
    ///   - old: those of the same place until now, which count until they have been fetched again; `nil`: there are none.
    ///   - report: is told what happened to the keys, on any thread.
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

    /// The keys, and a number that changes with them; `nil`: there have been none yet, or not for a day.
    package var current: (set: JWTKeySet?, generation: UInt64) { current(at: .now) }

    /// The same at another time.
    func current(at now: MonotonicTime) -> (set: JWTKeySet?, generation: UInt64) {
        state.withLock { state in
            if let fetched = state.fetched, now.nanoseconds(since: fetched) > Self.staleAfter {
                return (nil, state.generation)
            }
            return (state.set, state.generation)
        }
    }

    /// How often keys were taken out, so that what they have signed does not count any more.
    package var losses: Int { state.withLock { $0.losses } }

    /// Whether a key is among them, by its mark; where there are none for now, nothing is known of it.
    func has(_ mark: Int) -> Bool { state.withLock { $0.set.map { $0.marks.contains(mark) } ?? true } }

    /// When they were fetched; `nil`: they have no address, or were never there.
    var fetched: MonotonicTime? { state.withLock { $0.fetched } }

    /// Seconds since then.
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

    /// Reads a file that has changed; what it said before stays where it has errors.
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
            // What is as it was keeps the tokens that are remembered.
            if state.set?.terms != set.terms { state.generation += 1 }
            if let old = state.set?.marks, !old.isSubset(of: set.marks) { state.losses += 1 }
            state.set = set
        }
        return JWTKeysNews(issuer: issuer, keys: set.count, troubles: set.ignored)
    }

    // MARK: Addresses

    /// Whether it is not known which keys there are now: they are being fetched, or could not be.
    var isInDoubt: Bool { state.withLock { $0.isFetching || $0.isWanted || $0.hasFailed } }

    /// What becomes of asking again.
    enum Asking {
        /// It is done, and the caller is told.
        case waits
        /// There is nowhere to ask, or it was done lately.
        case isNot
        /// Too many wait.
        case isFull
    }

    /// Asks again for keys, where that may find any, and calls `done` when it is known.
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
            // When one that asks from here on is waited for by another fetch.
            report(news)
            rest(Self.delay(refresh, afterFailure: hasFailed, Int64.random(in: 90...110)))
        }
        release(.max)
    }

    /// Tells those that have waited until a time, in nanoseconds.
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

    /// How long it waits until it looks again, in milliseconds.
    ///
    /// Keys that were good must not become too old because one attempt has failed.
    ///
    /// - Parameter percent: of the time that is configured, so that many brokers do not ask at the same time.
    static func delay(_ refresh: Duration, afterFailure hasFailed: Bool, _ percent: Int64) -> Int64 {
        let span = max(1, Int64(refresh / .milliseconds(1)))
        let most = hasFailed ? pause : staleAfter - 20 * pause
        return min(span * percent / 100, most / 1_000_000)
    }

    /// Waits for some milliseconds, or until somebody asks.
    private func rest(_ milliseconds: Int64) {
        var entry = pollfd(fd: alarm, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&entry, 1, Int32(clamping: milliseconds))
        var value: eventfd_t = 0
        if entry.revents != 0 { _ = unsafe eventfd_read(alarm, &value) }
    }
}
