internal import Cryptography
internal import Synchronization
internal import WSTransport

/// Why the broker cannot start, as one sentence.
package struct BrokerError: Error, CustomStringConvertible, Sendable {
    package let description: String
    /// The path of the setting that it is about, if ``description`` does not begin with it; `nil` if it is not known.
    package let key: String?

    init(_ description: String, at key: String? = nil) { (self.description, self.key) = (description, key) }
}

/// The source of a program's settings, so that they can be read again.
package struct SettingsSource: Sendable {
    /// The path of the settings file; `nil` if there is none.
    package let file: String?
    /// Reads the settings as a start and a reload do.
    ///
    /// - Parameter given: the content to use in place of the file; `nil` for the file as it is now.
    package let read: @Sendable (_ given: GivenConfiguration?) throws(ConfigurationErrors) -> Settings

    package init(
        file: String?, read: @escaping @Sendable (_ given: GivenConfiguration?) throws(ConfigurationErrors) -> Settings
    ) {
        self.file = file
        self.read = read
    }
}

/// The whole broker; this type puts all its parts together.
///
/// Uses one thread for each reactor, one for the store, and the caller's for signals, reload and shutdown.
package final class Broker {
    /// The addresses it listens on, with the ports that the kernel chose, such as `http://127.0.0.1:8080`.
    package let listen: [String]
    /// The path that a damaged store was moved to; `nil` if the store was intact.
    package let movedAside: String?
    /// How long the check of the store's pages took at this start, in milliseconds; `nil` if none was needed.
    package let checkMilliseconds: Int?

    /// The settings of the start, and the current ones.
    private let first: Settings
    var current: Settings
    private let store: LMDBStore
    /// The level from which its program writes lines to the log.
    package let logThreshold: LogThreshold
    /// The results of reloads; its program records there why a file was not read.
    package let reloads: Reloads
    private let figures: Figures
    private let storeThread: StoreThread
    private let order: any Order
    let sequencer: Sequencer
    /// `nil` if the broker is not in a cluster.
    let cluster: ClusterNode?
    private let reactors: ReactorGroup
    let shards: ShardGroup
    private let listeners: Listeners
    private let certificates: Certificates
    private let heartbeat: Heartbeat
    let journal = Journal()
    let audit: AuditLog
    let events: EventStream
    private let memory: MemoryWatch
    let access: AccessKeeper
    let accessFile: AccessFileDesk
    let checks: CredentialChecks
    private let storeWatch: StoreWatch
    /// How much of each matter has been logged already.
    private var told: [String: Int] = [:]
    private var release = MemoryRelease()
    /// When clients' certificates were last reviewed, and how long a review is valid, in nanoseconds.
    private var certificatesReviewed = MonotonicTime.now
    private static let certificateLife: Int64 = 3_600_000_000_000
    /// How long this start took, in milliseconds; the next start is assumed to take as long.
    private let startMilliseconds: Int
    /// How long clients have to answer the CLOSE of a shutdown, in nanoseconds.
    private static let drainPatience: Int64 = 5_000_000_000

    /// Opens the store, binds every address and starts to serve.
    ///
    /// - Parameter source: the source of the settings, for administrators; `nil` if they come from this program.
    package init(_ own: Settings, from source: SettingsSource? = nil) throws(BrokerError) {
        let begin = MonotonicTime.now
        // Before the first change on the disk. Where a cluster's rules decide who may connect, they are in the store.
        if own.cluster == nil, let refusal = own.refusalToListen() { throw BrokerError(refusal) }
        if let error = own.accessFileError { throw BrokerError(error) }
        if let obstacle = ReactorBackend(own.reactors.backend).obstacle {
            throw BrokerError("reactors.backend: io_uring is not available here: \(obstacle)")
        }
        certificates = try Certificates(own.listen)
        checks = CredentialChecks(
            try Self.wrap { () throws(CryptographyError) in
                try PasswordChecks(threads: own.access.passwordChecks)
            })
        try Self.wrap { () throws(StorageError) in try DataDirectory.make(own.dataDirectory) }
        let store = try Self.openStore(own)
        movedAside = store.movedAside
        checkMilliseconds = store.store.checkNanoseconds.map { Int($0 / 1_000_000) }
        self.store = store.store
        let rules = try own.cluster.map { (_) throws(BrokerError) in
            try Self.wrap { () throws(StorageError) in try ClusterRules(own, store.store) }
        }
        let settings = rules?.inForce(in: own) ?? own
        first = settings
        current = settings
        logThreshold = LogThreshold(settings.log.level)
        if let refusal = settings.refusalToListen() { throw BrokerError(refusal) }
        audit = AuditLog { [journal] reason in
            journal.tell(.error, "cannot write to the audit log", once: "audit \(reason)", [("error", reason)])
        }
        // Its file may be in the data directory.
        audit.adopt(try Self.open(settings.log.audit))
        audit.memory.limit(to: settings.log.auditMemory)
        let events = EventStream()
        self.events = events
        events.memory.limit(to: settings.log.eventMemory)
        access = try Self.wrap { [journal, audit] () throws(AccessFileErrors) in
            try AccessKeeper(settings) { Self.tell($0, journal, audit, events) }
        }
        storeWatch = StoreWatch(events)
        let (quotas, bans) = (Quotas(), Bans())
        let ordering = try Ordering(settings, store.store, storeWatch, bans, rules)
        let sequencer = ordering.sequencer
        (storeThread, self.sequencer, order, cluster) = (
            ordering.storeThread, sequencer, ordering.order, ordering.cluster
        )

        let count = settings.reactors.count ?? min(Machine.processors, ClientNumbers.maximumShards)
        listeners = try Listeners(settings, reactors: count, given: GivenSockets())
        listen = listeners.descriptions
        let reactors = try Self.wrap { () throws(Errno) in try ReactorGroup(count: count) }
        self.reactors = reactors
        let counters = reactors.remotes.map { _ in ShardCounters() }
        let changes = AccessFileDesk.makePool()
        figures = Figures(
            reactors: reactors.counters, shards: counters, sequencer: sequencer, store: store.store,
            storeThread: storeThread, audit: audit, events: events, passwords: checks.passwords,
            webTokens: access.figures, quotas: quotas, bans: bans, browserSessions: checks.sessions,
            accessChanges: changes, version: BrokerVersion.current)
        figures.operations.watchCertificates { [certificates] in certificates.secondsLeft }
        if let cluster { figures.operations.watchCluster { [weak cluster] in cluster?.reading } }
        let shards = ShardGroup(reactors.remotes)
        self.shards = shards
        if let cluster {
            access.share(cluster.shared) { [journal] in
                journal.tell(.warning, "cannot write the copy of the cluster's users", once: $0, [("reason", $0)])
            }
            _ = access.takeOverChange()
        }
        let accessFile = AccessFileDesk(
            changes, path: { [access] () throws(AccessFileErrors) in try access.presentPath() }, shared: cluster?.shared
        ) { [access, checks] in
            guard case .refused(let errors) = Self.takeOver(access, shards, checks.sessions) else { return nil }
            return errors
        }
        self.accessFile = accessFile
        let facts = BrokerFacts(
            figures: figures, listen: listen, dataDirectory: settings.dataDirectory,
            epoch: store.store.epoch, movedAside: movedAside, bans: bans, logThreshold: logThreshold,
            accessFile: accessFile,
            authenticator: checks, audit: audit,
            configuration: source.map { Self.desk($0, settings) },
            certificateSeconds: { [certificates] in certificates.secondsLeft },
            certificates: { [certificates] in certificates.all }, events: events, cluster: cluster?.desk,
            backup: { [store = self.store] (descriptor) throws(StorageError) in try store.copy(to: descriptor) },
            checkBackup: { (path) throws(StorageError) in try LMDBStore.checkBackup(path) })
        reloads = facts.reloads
        memory = MemoryWatch(settings.limits, figures: figures, remotes: reactors.remotes)
        let serving = Serving(
            group: reactors, order: order, sequencer: sequencer, cluster: cluster, store: store.store,
            settings: settings, facts: facts,
            connectionLimit: ConnectionLimit(
                figures: figures, memory: memory, quotas: quotas, bans: bans, events: events),
            memory: memory, listeners: listeners,
            certificates: certificates, journal: journal, audit: audit, events: events, quotas: quotas,
            access: access.current,
            checks: checks, counters: counters)
        do throws(Errno) {
            try reactors.start(named: "reactor", backend: ReactorBackend(settings.reactors.backend)) {
                (reactor) throws(Errno) in try serving.begin(on: reactor)
            }
        } catch {
            storeThread.stop()
            throw BrokerError("cannot start a reactor: \(error)")
        }
        heartbeat = Heartbeat(reactors.remotes)
        startMilliseconds = Int(MonotonicTime.now.nanoseconds(since: begin) / 1_000_000)
        if let cluster {
            sequencer.tellEpoch { [shards] epoch in shards.run { $0.endpoints.forms.adopt(epoch: epoch) } }
            share(cluster, reactors.remotes)
            try cluster.start(listen: listen) { [figures] in ClusterFigures(figures) }
        }
        showEvents(settings)
        audit.write(AuditEvent(.start, target: listen.joined(separator: " "), result: BrokerVersion.current))
        for name in listeners.unclaimed {
            journal.tell(
                .warning, "no listener uses a socket that was passed", once: "socket \(name)", [("name", name)])
        }
    }

    private static func desk(_ source: SettingsSource, _ first: Settings) -> ConfigurationDesk {
        ConfigurationDesk(file: source.file, first: first) { given in
            do throws(ConfigurationErrors) {
                let settings = try source.read(given)
                let refusals = [settings.refusalToListen()].compactMap(\.self)
                return (settings, refusals + certificateErrors(in: settings) + accessErrors(in: settings))
            } catch {
                return (nil, error.errors.map(\.description))
            }
        }
    }

    /// Reports an event about the keys of a login server to the log, the audit log and the event stream.
    private static func tell(_ news: JWTKeysNews, _ journal: Journal, _ audit: AuditLog, _ events: EventStream) {
        if let count = news.keys {
            events.tell(.keys) { event in
                event.add("issuer", news.issuer)
                event.add("keys", count)
            }
            audit.write(AuditEvent(.keysRefreshed, target: news.issuer, result: "\(count) keys"))
        }
        for trouble in news.troubles {
            events.tell(.keys) { event in
                event.add("issuer", news.issuer)
                event.add("refused", trouble)
            }
            let message = news.keys == nil ? "no new keys of an issuer" : "a key of an issuer was ignored"
            journal.tell(
                .warning, message, once: "\(news.issuer) \(trouble)", [("issuer", news.issuer), ("reason", trouble)])
        }
    }

    private static func open(_ audit: Settings.Log.Audit) throws(BrokerError) -> AuditLog.Opened {
        do throws(Errno) {
            return try AuditLog.Opened(AuditLog.Place(audit))
        } catch {
            guard case .file(let path) = audit else { throw BrokerError("log.audit: \(error)") }
            throw BrokerError("log.audit: cannot open \(path): \(error)")
        }
    }

    private static func openStore(_ settings: Settings) throws(BrokerError) -> (store: LMDBStore, movedAside: String?) {
        let limits = RetainedLimits(
            maximumMessages: settings.retained.maximumMessages, maximumBytes: settings.retained.maximumBytes)
        return try wrap { () throws(StorageError) in
            try LMDBStore.open(
                directory: settings.dataDirectory, maximumSize: settings.store.maximumSize, limits: limits,
                maximumViews: settings.store.views)
        }
    }

    static func wrap<Value, Failure: Error & CustomStringConvertible>(
        _ body: () throws(Failure) -> Value
    ) throws(BrokerError) -> Value {
        do throws(Failure) { return try body() } catch { throw BrokerError(error.description) }
    }

    private func reviewCertificates() {
        certificatesReviewed = .now
        guard !certificates.isEmpty else { return }
        shards.runAndWait { CertificateReview.begin(on: $0) }
    }

    /// Reads certificate files that have changed; must be called every few seconds.
    ///
    /// After a change, and every hour, disconnects the clients whose certificates are no longer accepted.
    package func takeOverCertificates() -> [CertificateNews] {
        let news = certificates.takeOverChanges()
        for one in news {
            switch one {
            case .takenOver(let certificate):
                audit.write(AuditEvent(.certificateLoaded, target: certificate))
                events.tell(.certificate) { $0.add("loaded", certificate) }
            case .refused(let reason):
                audit.write(AuditEvent(.certificateRefused, target: reason))
                events.tell(.certificate) { $0.add("refused", reason) }
            }
        }
        let isDue = MonotonicTime.now.nanoseconds(since: certificatesReviewed) > Self.certificateLife
        if isDue || !news.isEmpty { reviewCertificates() }
        return news
    }

    /// Puts changed key files and users into use; `nil` if the users have not changed.
    package func takeOverUsers() -> AccessNews? {
        // Ends the sessions of clients that authenticated with a removed key.
        let hasLostKeys = access.takeOverKeys()
        let news = takeCopyToCluster() ?? Self.takeOver(access, shards, checks.sessions)
        if hasLostKeys { access.inTurn { shards.runAndWait { [access = access.current] in $0.adopt(access) } } }
        if let news { Self.tell(news, audit, events) }
        return news
    }

    static func tell(_ news: AccessNews, _ audit: AuditLog, _ events: EventStream) {
        switch news {
        case .takenOver(let file, let users):
            audit.write(AuditEvent(.users("changed"), target: file, result: "\(users) entries"))
            events.tell(.users) { event in
                event.add("loaded", file)
                event.add("entries", users)
            }
        case .refused(let errors):
            audit.write(AuditEvent(.users("refused"), target: errors))
            events.tell(.users) { $0.add("refused", errors) }
        }
    }

    /// Puts the users file, or the cluster's users, into use if they have changed; otherwise `nil`.
    static func takeOver(
        _ access: AccessKeeper, _ shards: ShardGroup, _ sessions: BrowserSessions
    ) -> AccessNews? {
        access.inTurn {
            guard let news = access.takeOverChange() else { return nil }
            guard case .takenOver = news else { return news }
            // Wait, as a reload does.
            shards.runAndWait { [access = access.current] in $0.adopt(access) }
            sessions.review(access.current)
            return news
        }
    }

    /// Returns to the system the memory that many departed clients have freed; must be called every few seconds.
    ///
    /// - Returns: by how much resident memory has shrunk, in bytes; `nil` if it was not time for it.
    package func returnMemory() -> Int? {
        guard release.isDue(connections: figures.connections, now: .now) else { return nil }
        let before = Machine.residentBytes
        Machine.returnFreedMemory()
        return max(0, before - Machine.residentBytes)
    }

    /// Whether every reactor has had a turn since the last call; must be called every few seconds.
    package func isAlive() -> Bool { heartbeat.beats() }

    /// The number of descriptors that must be allowed to be open for `connections` clients.
    package static func descriptorsNeeded(for connections: Int) -> Int {
        connections + ConnectionLimit.reservedDescriptors
    }

    /// Takes the entries for the log since the last call; must be called every few seconds.
    package func takeNews() -> [Journal.Entry] {
        events.look()
        if storeWatch.isToBeTried {
            storeThread.probe { [storeWatch] in if case .success = $0 { storeWatch.tried() } }
        }
        var news = journal.take()
        if let cluster { news += cluster.takeNews() }
        // One line for all events since the last call, however many.
        func tell(_ message: String, _ matter: String, _ count: Int) {
            let new = count - (told.updateValue(count, forKey: matter) ?? 0)
            guard new > 0 else { return }
            let metadata = [(name: "limit", value: matter), (name: "count", value: String(new))]
            news.append(Journal.Entry(level: .warning, message: message, metadata: metadata))
        }
        for (reason, count) in figures.refusals { tell("connections were refused", reason, count) }
        tell("logins from browsers were refused", "access.sessions.maximum", figures.refusedLogins)
        tell("clients used too much memory: the largest were disconnected", "limits.memory", figures.shed)
        return news
    }

    /// Passes log lines about events to `log` from now on, on a separate thread.
    package func logEvents(to log: @escaping EventStream.Log) { events.log(to: log) }

    /// Publishes events below `$SYS/events` if the settings ask for it, and otherwise stops that.
    private func showEvents(_ settings: Settings) {
        guard settings.systemTopics.events else { return events.publish(to: nil) }
        events.publish { [sequencer] events in
            sequencer.show(
                events.map { (topic: Topic(unchecked: "$SYS/events/\($0.kind.rawValue)"), payload: $0.payload) },
                from: -1, isKept: false)
        }
    }

    /// Applies the settings that may change while the broker runs; each setting's declaration says whether it may.
    ///
    /// Throws if a certificate cannot be used or the audit log cannot be opened; nothing has changed then.
    ///
    /// - Returns: the paths of settings that differ from those of the start, and need a restart.
    package func reload(_ settings: Settings) throws(BrokerError) -> [String] {
        if let refusal = settings.refusalToListen(on: listeners.adopted) { throw BrokerError(refusal) }
        try shareRules(of: settings)
        // Opened again even if the path is the same, so that a renamed file is closed.
        let audit = try Self.open(settings.log.audit)
        let next = try Self.wrap { [access] () throws(AccessFileErrors) in try access.next(settings) }
        let fixed = first.changes(to: settings).filter { $0.reload == .restart }.map(\.path)
        if !fixed.contains(where: { $0.hasPrefix("listen") }) {
            do throws(BrokerError) {
                for name in try certificates.reload(settings.listen) {
                    self.audit.write(AuditEvent(.certificateLoaded, target: name))
                }
            } catch {
                self.audit.write(AuditEvent(.certificateRefused, target: error.description))
                access.discard(next)
                throw error
            }
        }
        self.audit.adopt(audit)
        self.audit.memory.limit(to: settings.log.auditMemory)
        events.memory.limit(to: settings.log.eventMemory)
        showEvents(settings)
        reviewCertificates()
        checks.passwords.adopt(threads: settings.access.passwordChecks)
        let changes = current.changes(to: settings)
        // With a cluster they come by its log.
        if cluster == nil {
            if settings.publish != current.publish { sequencer.adopt(KeyRules(settings)) }
            if settings.history != current.history { sequencer.adopt(HistoryRules(settings)) }
        }
        putIntoUse(settings, next)
        memory.adopt(settings.limits)
        let changed = changes.map(\.path).joined(separator: " ")
        let digest = SHA1.digest(of: SettingsWriter.json(settings)).map {
            String(0x100 + Int($0), radix: 16).dropFirst()
        }
        self.audit.write(AuditEvent(.configReloaded, target: changed, result: "sha1:" + digest.joined()))
        events.tell(.reload) { event in
            event.add("changed", changed)
            if !fixed.isEmpty { event.add("needs-restart", fixed.joined(separator: " ")) }
        }
        logThreshold.adopt(settings.log.level)
        reloads.succeeded(
            ReloadRequest.Answer(changed: changes.filter { $0.reload == .live }.map(\.path), needsRestart: fixed))
        return fixed
    }

    /// Whether a copy of another broker's store is complete: the program must then drain this broker, and restart with
    /// it.
    package var needsRestart: Bool { cluster?.needsRestart ?? false }

    /// Whether a service manager has passed sockets to this process.
    package static var hasGivenSockets: Bool { !GivenSockets().all.isEmpty }

    /// Shuts down gracefully: reports not ready, closes the listeners, acknowledges stored publications, tells every
    /// client, and ends.
    package func drain() {
        let wish = figures.operations.drain
        events.tell(.drain) { event in
            event.add("clients", figures.clients)
            event.add("by", wish?.actor ?? "a signal")
        }
        // So that subscribers of events get this one before they are disconnected.
        events.flush()
        let watched = FirstWord()
        shards.runAndWait { shard in
            shard.isLeaving = true
            if Readiness.isWatched(on: shard) { watched.set("readiness") }
        }
        // A load balancer keeps sending clients here until it has noticed.
        if watched.first != nil, !needsRestart, let notice = current.drain.notice {
            pause(milliseconds: UInt32(clamping: notice.nanoseconds / 1_000_000))
        }
        shards.runAndWait { shard in
            shard.reactor[ListeningPost.self]?.close()
            shard.isDraining = true
        }
        // Commits everything that is queued; the acknowledgements are in the mailboxes afterwards.
        cluster?.settle()
        let last = order.close()
        cluster?.stop()
        storeThread.stop(after: last)
        let (crowd, absence) = (figures.clients, max(Self.leastAbsence, startMilliseconds))
        shards.runAndWait { $0.sayGoodbye(crowd: crowd, absence: absence, spread: wish?.retrySpread) }
        let deadline = MonotonicTime.now.advanced(byNanoseconds: Self.drainPatience)
        while figures.connections > 0, MonotonicTime.now < deadline { pause(milliseconds: 5) }
        shards.runAndWait { $0.reactor[AuditTally.self]?.flush() }
        audit.write(AuditEvent(.stop))
        audit.flush()
        events.flush()
        access.stop()
        reactors.stop()
        store.close()
        listeners.sockets.removeFiles()
    }

    /// The minimum time between the end of this process and the start of the next, in milliseconds.
    private static let leastAbsence = 200

    /// Runs `body` on the thread of one reactor, with the reactor's shard.
    ///
    /// For measuring the cost of a turn.
    package func run(onReactor index: Int, _ body: @escaping @Sendable (Shard) -> Void) {
        reactors.remotes[index].run { reactor in
            if let shard = reactor[Shard.self] { body(shard) }
        }
    }
}

/// The first text that one of several threads sets.
private final class FirstWord: Sendable {
    private let text = Mutex<String?>(nil)
    func set(_ description: String) { text.withLock { $0 = $0 ?? description } }
    var first: String? { text.withLock { $0 } }
}
