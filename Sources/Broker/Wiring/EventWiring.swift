internal import Synchronization
package import WSTransport

/// Reports the events of one reactor to the audit log and the event stream.
///
/// Runs on its reactor's thread.
final class Reporter: Witness {
    private let audit: AuditTally
    private let events: EventStream
    private let journal: Journal

    init(_ audit: AuditTally, _ events: EventStream, _ journal: Journal) {
        self.audit = audit
        self.events = events
        self.journal = journal
    }

    func denied(_ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter?) {
        audit.denied(act, name, to: client, by: rule)
        events.tell(.refused) { event in
            event.take(client)
            event.add("by", "rule")
            event.add("what", act.rawValue)
            event.add("target", name)
            event.add("rule", rule?.name ?? "none allows it")
        }
    }

    func revoked(_ filter: TopicFilter, of client: Client) {
        audit.revoked(filter, of: client)
        events.tell(.refused) { event in
            event.take(client)
            event.add("by", "rule")
            event.add("what", "revoked")
            event.add("target", filter.name)
        }
    }

    func ended(_ client: Client) {
        audit.ended(client)
        events.tell(.refused) { event in
            event.take(client)
            event.add("by", "credentials")
            event.add("what", "revoked")
        }
    }

    func examined(
        _ credentials: Credentials, _ outcome: Result<Principal, AuthenticationFailure>, from peer: SocketAddress?
    ) {
        audit.examined(credentials, outcome, from: peer)
        guard case .failure(let failure) = outcome else {
            if case .success(let principal) = outcome { wonder(at: principal) }
            return
        }
        events.tell(.refused) { event in
            event.address = peer?.description
            event.add("by", "credentials")
            event.add("what", credentials.kind)
            event.add("reason", failure.cause ?? failure.message)
        }
    }

    private func wonder(at principal: Principal) {
        guard let objection = principal.objection, let user = principal.user else { return }
        journal.tell(
            .warning, "a login server's user has an unusual name: \(objection)", once: "user \(user)", of: .clients,
            [("user", user)])
    }

    func limited(_ peer: SocketAddress?, by limit: String) {
        audit.limited(peer, by: limit)
        events.refused(peer, by: "limit", limit)
    }

    func shutOut(_ ban: Ban, _ peer: SocketAddress?) {
        audit.shutOut(ban, peer)
        events.refused(peer, by: "ban", ban.subject.description)
    }

    func limited(_ client: Client, by limit: String) {
        audit.limited(client, by: limit)
        events.tell(.refused) { event in
            event.take(client)
            event.add("by", "limit")
            event.add("target", limit)
        }
    }

    func joined(_ client: Client) {
        events.tell(.connected) { event in
            event.take(client)
            event.add("protocol", client.protocolName)
            event.add("listener", client.listener)
        }
    }

    func left(_ client: Client, _ end: ClientEnd) {
        let age = Int(clamping: max(0, WallClock.unixMilliseconds - client.connectedAt) / 1000)
        if end.isDead {
            events.tell(.dead) { event in
                event.take(client)
                event.add("seconds", age)
            }
        }
        events.tell(.left) { event in
            event.take(client)
            if let code = end.code { event.add("code", code) }
            let reason = end.isDead ? "no sign of life" : end.reason
            if !reason.isEmpty { event.add("reason", reason) }
            event.add("seconds", age)
            if let bytes = end.receivedBytes { event.add("received", bytes) }
            if let bytes = end.sentBytes { event.add("sent", bytes) }
        }
    }

    func fellBehind(_ client: Client, unsent: Int) {
        events.tell(.slow) { event in
            event.take(client)
            event.add("unsent", unsent)
        }
    }

    func missed(_ gap: Gap, of filter: TopicFilter, _ client: Client) {
        events.tell(.gap) { event in
            event.take(client)
            event.add("filter", filter.name)
            event.add("since", Int(clamping: gap.since))
            event.add("seq", Int(clamping: gap.seq))
            if let missed = gap.missed { event.add("missed", missed) }
        }
    }
}

extension BrokerEvent {
    /// Sets the fields that identify a client.
    package mutating func take(_ client: Client) {
        self.client = client.name
        user = client.principal.user
        address = client.address
    }
}

extension EventStream {
    /// Reports that a request without a client was refused.
    ///
    /// - Parameter reason: what refused it: `limit`, `ban`, `origin` or `host`.
    package func refused(_ peer: SocketAddress?, by reason: String, _ target: String) {
        tell(.refused) { event in
            event.address = peer?.description
            event.add("by", reason)
            event.add("target", target)
        }
    }
}

/// Watches whether the store takes messages; reports when that changes, not each message that fails.
///
/// A full store still takes removals, so it counts as recovered only when nothing has failed for ``calm``. Runs on the
/// store's thread.
package final class StoreWatch: Sendable {
    /// When a message last failed, and whether that was for want of room; `nil` while the store takes messages.
    private let failed = Mutex<(time: MonotonicTime, isFull: Bool)?>(nil)
    private let events: EventStream
    /// In nanoseconds.
    private static let calm: Int64 = 1_000_000_000

    package init(_ events: EventStream) { self.events = events }

    /// Checks the result of a commit.
    package func look(at settlement: StoreThread.Settlement) {
        let failure = settlement.failed.first { $0.error.isOfTheStore }
        let change = failed.withLock { failed -> BrokerEvent.Kind? in
            if let failure {
                defer { failed = (.now, failure.error == .full) }
                return failed == nil ? .storeFailed : nil
            }
            return settlement.committed.isEmpty ? nil : Self.recovery(of: &failed)
        }
        guard let change else { return }
        events.tell(change) { event in
            if let failure { event.add("reason", "\(failure.error)") }
        }
    }

    /// `nil` if the store was not failing, or failed a moment ago.
    private static func recovery(of failed: inout (time: MonotonicTime, isFull: Bool)?) -> BrokerEvent.Kind? {
        guard let last = failed, MonotonicTime.now.nanoseconds(since: last.time) >= calm else { return nil }
        failed = nil
        return .storeRecovered
    }

    /// Whether a small write would show that the store accepts messages again, even if nothing is published.
    ///
    /// Not for a full store, which takes a small write although it is full.
    package var isToBeTried: Bool { failed.withLock { $0?.isFull == false } }

    /// Records that the store has taken such a write.
    package func tried() {
        let change = failed.withLock { $0?.isFull == false ? Self.recovery(of: &$0) : nil }
        if let change { events.tell(change) { _ in } }
    }
}

extension StorageError {
    /// Whether it is an error of the store, not a limit on what may be kept.
    fileprivate var isOfTheStore: Bool { if case .limit = self { false } else { true } }
}
