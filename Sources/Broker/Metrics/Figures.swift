internal import Synchronization
package import WSTransport

/// The broker's figures, over all reactors.
///
/// Any thread.
package final class Figures: Sendable {
    package let reactors: [ReactorCounters]
    package let shards: [ShardCounters]
    package let startedAt = WallClock.unixMilliseconds
    private let sequencer: Sequencer
    private let store: any MessageStore
    private let storeThread: StoreThread
    private let audit: AuditLog?
    private let events: EventStream?
    private let passwords: PasswordChecks?
    private let webTokens: JWTFigures?
    private let quotas: Quotas?
    private let bans: Bans?
    private let browserSessions: BrowserSessions?
    private let accessChanges: WorkerPool?
    /// Refused connections, by limit.
    let refusedConnections = Atomic<Int>(0)
    let refusedAddresses = Atomic<Int>(0)
    let refusedMemory = Atomic<Int>(0)
    /// `limits.memory` in bytes; `.max`: unlimited.
    let memoryLimit = Atomic<Int>(.max)

    package init(
        reactors: [ReactorCounters], shards: [ShardCounters], sequencer: Sequencer, store: any MessageStore,
        storeThread: StoreThread, audit: AuditLog? = nil, events: EventStream? = nil, passwords: PasswordChecks? = nil,
        webTokens: JWTFigures? = nil, quotas: Quotas? = nil, bans: Bans? = nil,
        browserSessions: BrowserSessions? = nil, accessChanges: WorkerPool? = nil
    ) {
        self.reactors = reactors
        self.shards = shards
        self.sequencer = sequencer
        self.store = store
        self.storeThread = storeThread
        self.audit = audit
        self.events = events
        self.passwords = passwords
        self.webTokens = webTokens
        self.quotas = quotas
        self.bans = bans
        self.browserSessions = browserSessions
        self.accessChanges = accessChanges
    }

    func sum(_ counter: (ReactorCounters) -> Int) -> Int { reactors.reduce(0) { $0 + counter($1) } }

    func sum(_ counter: (ShardCounters) -> Int) -> Int { shards.reduce(0) { $0 + counter($1) } }

    /// How the reactors send: `io_uring`, or `epoll` if one of them makes a `send` for each connection.
    package var backend: String {
        sum { (counters: ReactorCounters) in counters.rings.current } == reactors.count ? "io_uring" : "epoll"
    }

    /// Sockets open now.
    package var connections: Int { sum { (counters: ReactorCounters) in counters.connections.current } }

    /// Clients that hold a session now.
    package var clients: Int { sum { (counters: ShardCounters) in counters.clients.current } }

    /// The same, without those that are refused and only wait for their answer.
    package var admitted: Int {
        connections - sum { (counters: ReactorCounters) in counters.refusedOpen.current }
    }

    /// The memory of clients: waiting input, and output that they have not taken, in bytes.
    package var heldBytes: Int { sum { (counters: ReactorCounters) in counters.heldBytes.current } }

    /// Connections refused since the start, by reason.
    package var refusals: [(reason: String, count: Int)] {
        [
            ("address", refusedAddresses.load(ordering: .relaxed)),
            ("ban", bans?.connections.load(ordering: .relaxed) ?? 0),
            ("connections", refusedConnections.load(ordering: .relaxed)),
            ("descriptors", sum { (counters: ReactorCounters) in counters.refusedForDescriptors.current }),
            ("memory", refusedMemory.load(ordering: .relaxed)),
        ]
    }

    /// Connections closed since the start because all of them together held too much memory.
    package var shed: Int { sum { (counters: ReactorCounters) in counters.shed.current } }

    /// Logins at browsers since the start that found no room.
    package var refusedLogins: Int { browserSessions?.refused.load(ordering: .relaxed) ?? 0 }

    /// What clients may hold in memory, in bytes; `nil`: unlimited.
    package var heldLimit: Int? {
        let limit = memoryLimit.load(ordering: .relaxed)
        return limit == .max ? nil : limit
    }

    /// How long the last commit took with its sync, in milliseconds.
    package var lastCommit: Double { Double(storeThread.statistics.lastCommitMicroseconds) / 1000 }

    /// How long 99 of 100 commits took at most since the start, in milliseconds; `nil`: there were none, or some took longer
    /// than is told apart.
    package var slowCommit: Double? {
        let reading = storeThread.commitTimes.reading
        guard let all = reading.counts.last, all > 0 else { return nil }
        let index = reading.counts.firstIndex { $0 * 100 >= all * 99 } ?? 0
        guard index < storeThread.commitTimes.bounds.count else { return nil }
        return Double(storeThread.commitTimes.bounds[index]) / 1000
    }

    /// The figures in Prometheus's format.
    package func prometheus() -> [UInt8] {
        var text = PrometheusText()
        connections(&text)
        messages(&text)
        storage(&text)
        text.add(
            "process_cpu_seconds_total", .counter, "CPU time used, in seconds.",
            fraction: Double(processCPUNanoseconds()) / 1e9)
        text.add("process_resident_memory_bytes", .gauge, "Resident memory, in bytes.", Machine.residentBytes)
        text.add(
            "process_start_time_seconds", .gauge, "When the broker started, in Unix seconds.",
            fraction: Double(startedAt) / 1000)
        return text.bytes
    }

    private func connections(_ text: inout PrometheusText) {
        func sum(_ counter: (ReactorCounters) -> Int) -> Int { self.sum(counter) }
        let rings = sum { $0.rings.current }
        text.add(
            "broker_reactors", .gauge, "Event loops, by how they send.",
            [("{backend=\"epoll\"}", reactors.count - rings), ("{backend=\"io_uring\"}", rings)])
        text.add("broker_connections", .gauge, "Sockets open now.", connections)
        text.add("broker_websockets", .gauge, "WebSockets open now.", sum { $0.webSockets.current })
        text.add("broker_connections_accepted_total", .counter, "Sockets accepted.", sum { $0.accepted.current })
        text.add(
            "broker_connections_refused_total", .counter, "Connections refused because a limit was reached.",
            refusals.map { ("{reason=\"\($0.reason)\"}", $0.count) })
        text.add(
            "broker_proxy_headers_refused_total", .counter,
            "Connections reset because a PROXY header was expected, by what was wrong.",
            [
                ("{reason=\"stranger\"}", sum { $0.refusedNonProxies.current }),
                ("{reason=\"malformed\"}", sum { $0.badProxyHeaders.current }),
            ])
        text.add(
            "broker_accept_pauses_total", .counter, "Times accepting paused for want of descriptors or memory.",
            sum { $0.acceptPauses.current })
        text.add(
            "broker_tls_handshakes_total", .counter, "TLS handshakes, by outcome.",
            [
                ("{outcome=\"done\"}", sum { $0.tlsHandshakes.current }),
                ("{outcome=\"failed\"}", sum { $0.tlsFailures.current }),
                ("{outcome=\"refused\"}", sum { $0.tlsRefused.current }),
            ])
        text.add(
            "broker_tls_handshakes_waiting", .gauge, "TLS handshakes that are with a thread now, or wait for one.",
            sum { $0.tlsWaiting.current })
        text.add(
            "broker_http_requests_total", .counter, "HTTP requests, upgrades included.", sum { $0.requests.current })
        text.add(
            "broker_http_refusals_total", .counter, "Requests that were no proper HTTP, or did not come in time.",
            [
                ("{reason=\"malformed\"}", sum { $0.badRequests.current }),
                ("{reason=\"timeout\"}", sum { $0.requestTimeouts.current }),
            ])
        text.add(
            "broker_upgrades_total", .counter, "WebSocket handshakes, by outcome.",
            [
                ("{outcome=\"accepted\"}", sum { $0.upgrades.current }),
                ("{outcome=\"refused\"}", sum { $0.refusedUpgrades.current }),
            ])
        text.add(
            "broker_disconnects_total", .counter, "Connections the broker gave up, by reason.",
            [
                ("{reason=\"dead\"}", sum { $0.evicted.current }),
                ("{reason=\"slow\"}", sum { $0.slowReaders.current }),
                ("{reason=\"protocol\"}", sum { $0.protocolErrors.current }),
                ("{reason=\"memory\"}", shed),
                ("{reason=\"unfinished\"}", sum { $0.messageTimeouts.current }),
            ])
        text.add(
            "broker_held_bytes", .gauge, "What clients hold in memory: input that waits, output not taken, in bytes.",
            heldBytes)
        let limit = memoryLimit.load(ordering: .relaxed)
        text.add(
            "broker_held_limit_bytes", .gauge, "What they may hold (limits.memory), in bytes; 0: unlimited.",
            limit == .max ? 0 : limit)
        text.add("broker_pings_total", .counter, "PINGs sent because a peer was silent.", sum { $0.pingsSent.current })
        text.add("broker_received_bytes_total", .counter, "Bytes read from sockets.", sum { $0.receivedBytes.current })
        text.add("broker_sends_total", .counter, "Times the kernel was given bytes to send.", sum { $0.sends.current })
        text.add(
            "broker_frames_received_total", .counter, "WebSocket messages received.",
            sum { $0.messagesReceived.current })
    }

    private func messages(_ text: inout PrometheusText) {
        func sum(_ counter: (ShardCounters) -> Int) -> Int { self.sum(counter) }
        text.add("broker_clients", .gauge, "Clients that hold a session.", sum { $0.clients.current })
        text.add("broker_subscriptions", .gauge, "Subscriptions now.", sum { $0.subscriptions.current })
        text.add("broker_messages_published_total", .counter, "Messages accepted.", sum { $0.published.current })
        text.add(
            "broker_published_bytes_total", .counter, "Payload of accepted messages, in bytes.",
            sum { $0.publishedBytes.current })
        text.add(
            "broker_messages_delivered_total", .counter, "Live messages sent to subscribers.",
            sum { $0.delivered.current })
        text.add(
            "broker_match_nodes_total", .counter,
            "Levels of filters with wildcards looked at to find who gets a message.", sum { $0.matchedNodes.current })
        text.add(
            "broker_retained_delivered_total", .counter, "Retained values sent to new subscribers.",
            sum { $0.snapshots.current })
        text.add(
            "broker_history_delivered_total", .counter, "Messages sent from the history.", sum { $0.replayed.current })
        text.add(
            "broker_falls_behind_total", .counter, "Times messages were put aside because a reader was slow.",
            sum { $0.fallsBehind.current })
        text.add(
            "broker_messages_dropped_total", .counter, "Messages dropped for slow readers, by their policy.",
            sum { $0.dropped.current })
        text.add(
            "broker_repeated_publications_total", .counter, "Publications that repeated one of the same key.",
            sum { $0.repeatedPublishes.current })
        let keys = sequencer.keys
        text.add("broker_publish_keys", .gauge, "Keys that are remembered.", keys.count)
        text.add("broker_publish_key_bytes", .gauge, "Memory for keys that are remembered.", keys.bytes)
        text.add(
            "broker_expired_values_total", .counter, "Retained values whose expiry was announced.",
            sum { $0.expired.current })
        text.add("broker_gaps_total", .counter, "Gaps announced to subscribers.", sum { $0.gaps.current })
        text.add(
            "broker_refusals_total", .counter, "Commands and requests refused, by the limit or rule.",
            [
                ("{reason=\"rate\"}", sum { $0.rateLimited.current }),
                ("{reason=\"subscriptions\"}", sum { $0.subscriptionLimit.current }),
                ("{reason=\"publish\"}", sum { $0.refusedPublishes.current }),
                ("{reason=\"command\"}", sum { $0.errors.current }),
                ("{reason=\"origin\"}", sum { $0.refusedOrigins.current }),
                ("{reason=\"host\"}", sum { $0.refusedHosts.current }),
                ("{reason=\"revoked\"}", sum { $0.revoked.current }),
            ])
        authentications(&text)
        text.add(
            "broker_denied_total", .counter, "What clients were refused for want of a right, by what they wanted.",
            [
                ("{action=\"publish\"}", sum { $0.deniedPublishes.current }),
                ("{action=\"subscribe\"}", sum { $0.deniedSubscribes.current }),
                ("{action=\"retain\"}", sum { $0.deniedRetains.current }),
                ("{action=\"admin\"}", sum { $0.deniedAdministration.current }),
            ])
        text.add(
            "broker_hosts_refused_total", .counter, "Requests for a host that the broker does not answer to.",
            sum { $0.refusedHosts.current })
        if let quotas {
            text.add(
                "broker_quotas_reached_total", .counter, "Times an address or a user had reached a limit of its own.",
                quotas.reached.map { ("{limit=\"\($0.limit)\"}", $0.count) })
        }
        text.add(
            "broker_audit_memory_bytes", .gauge, "Lines of the audit log in memory (log.audit_memory), in bytes.",
            audit?.memory.size ?? 0)
        text.add(
            "broker_events_total", .counter, "Events, by their kind, as brokerctl events shows them.",
            (events?.totals ?? []).map { ("{kind=\"\($0.kind.rawValue)\"}", $0.count) })
        text.add(
            "broker_events_dropped_total", .counter, "Events that were too many of their kind, and only counted.",
            events?.droppedCount ?? 0)
        text.add(
            "broker_event_memory_bytes", .gauge, "Events in memory (log.event_memory), in bytes.",
            events?.memory.size ?? 0)
        text.add("broker_bans", .gauge, "Bans that hold now.", bans?.list.count ?? 0)
        text.add(
            "broker_bans_refused_total", .counter, "Bans that found no room (limits.bans).",
            bans?.refused.load(ordering: .relaxed) ?? 0)
        text.add(
            "broker_banned_total", .counter, "What bans have ended or turned away.",
            [
                ("{what=\"client\"}", sum { $0.bannedClients.current }),
                ("{what=\"connection\"}", bans?.connections.load(ordering: .relaxed) ?? 0),
                ("{what=\"request\"}", sum { $0.bannedRequests.current }),
            ])
        text.add(
            "broker_audit_lines_dropped_total", .counter, "Lines that the audit log has lost.", audit?.dropped ?? 0)
        text.add(
            "broker_reversions_total", .counter,
            "Topics whose value the store refused after its delivery, and whose kept value was shown then, or was not.",
            [
                ("{outcome=\"shown\"}", sum { $0.reversions.current }),
                ("{outcome=\"omitted\"}", sum { $0.omittedReversions.current }),
            ])
        text.add(
            "broker_frames_over_turns_total", .counter,
            "Frames whose commands, or their answers, were too many for one turn.", sum { $0.heldFrames.current })
        text.add(
            "broker_inflate_pauses_total", .counter,
            "Times a connection waited for the next turn because one had inflated enough.",
            self.sum { (counters: ReactorCounters) in counters.inflatePauses.current })
        text.add(
            "broker_catch_up_pauses_total", .counter,
            "Turns in which some of the clients that were behind had to wait for the next.",
            sum { $0.fullTurns.current })
        text.add(
            "broker_congestions_total", .counter, "Turns whose publishers were made to wait for other reactors.",
            sum { $0.congestions.current })
        text.add("broker_sequence_number", .gauge, "The newest message's number.", Int(clamping: sequencer.newest))
    }

    private func storage(_ text: inout PrometheusText) {
        let thread = storeThread.statistics
        text.add("broker_store_commits_total", .counter, "Transactions synced to disk.", thread.commits)
        text.add(
            "broker_store_messages_total", .counter, "Messages on disk, since the start.", thread.messagesCommitted)
        text.add("broker_store_failures_total", .counter, "Messages the store did not take.", thread.messagesFailed)
        text.add("broker_store_queue_messages", .gauge, "Messages that wait for the disk.", thread.queueDepth)
        text.add("broker_store_queue_bytes", .gauge, "The same, in bytes.", thread.queuedBytes)
        text.add(
            "broker_store_commit_seconds", .gauge, "How long the last commit took, in seconds.",
            fraction: Double(thread.lastCommitMicroseconds) / 1e6)
        text.add(
            "broker_store_commit_duration_seconds", "How long commits took, their sync included, in seconds.",
            storeThread.commitTimes, unit: 1e-6)
        text.add(
            "broker_store_commit_messages", "Messages that shared a commit and its sync.", storeThread.commitMessages,
            unit: 1)
        guard let statistics = try? store.statistics() else { return }
        text.add("broker_retained_messages", .gauge, "Retained values.", statistics.values)
        text.add("broker_retained_bytes", .gauge, "Their payload, in bytes.", statistics.payloadBytes)
        text.add("broker_history_messages", .gauge, "Messages in the history.", statistics.historyMessages)
        text.add("broker_history_bytes", .gauge, "Their payload, in bytes.", statistics.historyBytes)
        text.add("broker_store_used_bytes", .gauge, "What the store takes on disk, in bytes.", statistics.usedBytes)
        text.add("broker_store_maximum_bytes", .gauge, "What it may take, in bytes.", statistics.maximumBytes)
        text.add(
            "broker_store_file_bytes", .gauge, "What its file spans with what is free in it, in bytes.",
            statistics.fileBytes)
        text.add(
            "broker_store_views", .gauge, "Views of one moment of the store that new subscribers hold.",
            statistics.views)
        text.add(
            "broker_store_views_taken_back_total", .counter,
            "Views ended early, because they kept too much or for too long.", statistics.viewsTakenBack)
        text.add(
            "broker_store_damaged_records_total", .counter, "Stored records that could not be read.",
            statistics.damagedRecords)
        text.add(
            "broker_store_reopenings_total", .counter,
            "Times the store's file was opened again after a failure of the disk.", statistics.reopenings)
    }

    /// The state of the retained values and their store; `nil` if it cannot be read.
    package var storeStatistics: StoreStatistics? { try? store.statistics() }
}

extension Figures {
    private func authentications(_ text: inout PrometheusText) {
        func both(_ kind: String, _ examinations: (ShardCounters) -> (right: Int, wrong: Int)) -> [(String, Int)] {
            let all = shards.map(examinations)
            return [
                ("{kind=\"\(kind)\",result=\"ok\"}", all.reduce(0) { $0 + $1.right }),
                ("{kind=\"\(kind)\",result=\"failed\"}", all.reduce(0) { $0 + $1.wrong }),
            ]
        }
        text.add(
            "broker_auth_total", .counter, "Credentials that were examined, by kind and outcome.",
            both("password") { ($0.passwords.right.current, $0.passwords.wrong.current) }
                + both("session") { ($0.sessions.right.current, $0.sessions.wrong.current) }
                + both("token") { ($0.tokens.right.current, $0.tokens.wrong.current) }
                + both("jwt") { ($0.webTokens.right.current, $0.webTokens.wrong.current) }
                + both("certificate") { ($0.certificates.right.current, $0.certificates.wrong.current) }
                + both("peer") { ($0.peers.right.current, $0.peers.wrong.current) }
                + both("unknown") { ($0.unknownCredentials.right.current, $0.unknownCredentials.wrong.current) })
        let refused = webTokens?.outcomes ?? [:]
        text.add(
            "broker_jwt_refused_total", .counter, "JSON Web Tokens that were refused, by reason.",
            JWTRejection.allCases.map { ("{reason=\"\($0.rawValue)\"}", Int(clamping: refused[$0] ?? 0)) })
        text.add(
            "broker_jwks_age_seconds", .gauge, "Since the keys of an issuer were fetched.",
            (webTokens?.ages ?? []).map {
                ("{issuer=\"\(PrometheusText.escaped($0.issuer))\"}", Int(clamping: $0.seconds))
            })
        text.add(
            "broker_sessions_revoked_total", .counter, "Clients whose credentials were taken back.",
            sum { $0.revokedClients.current })
        text.add(
            "broker_grants", .gauge, "Grants in use, those that no client has any more among them.",
            sum { $0.grants.current })
        text.add(
            "broker_browser_sessions", .gauge, "People logged in at browsers, those not seen for long among them.",
            browserSessions?.count ?? 0)
        text.add(
            "broker_browser_sessions_refused_total", .counter, "Logins at browsers that found no room.",
            refusedLogins)
        text.add(
            "broker_user_changes_waiting", .gauge, "Requests about users and tokens that wait for their file.",
            accessChanges?.waiting ?? 0)
        text.add(
            "broker_user_changes_refused_total", .counter, "Requests about users and tokens that found no room.",
            accessChanges?.refused ?? 0)
        text.add(
            "broker_password_checks_waiting", .gauge, "Passwords that wait to be checked.", passwords?.waiting ?? 0)
        text.add(
            "broker_password_checks_total", .counter, "Passwords that were computed, and checks that were turned away.",
            [
                ("{outcome=\"computed\"}", passwords?.begun.load(ordering: .relaxed) ?? 0),
                ("{outcome=\"refused\"}", passwords?.refused.load(ordering: .relaxed) ?? 0),
                ("{outcome=\"limited\"}", passwords?.limited.load(ordering: .relaxed) ?? 0),
            ])
    }
}
