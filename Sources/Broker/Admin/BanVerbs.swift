internal import WSTransport

extension BansRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        let all = caller.desk.facts.bans.list.all.map(BanSummary.init)
        then(.success(AdminList(all, atMost: AdminDesk.maximumRows)))
    }
}

extension AddBanRequest: AnsweredRequest {
    var subject: String? { "\(kind) \(name)" }

    func outcome(_ answer: Answer) -> String {
        answer.disconnected == 1 ? "1 client" : "\(answer.disconnected) clients"
    }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let kind = Ban.Subject.Kind(rawValue: kind) else {
            throw Refusal(.badRequest, "kind: expected user, token or address, found \"\(kind)\".")
        }
        guard let subject = Ban.Subject(kind, name) else {
            let expected = kind == .address ? "an address or a network such as 10.0.0.0/8" : "1 to 256 bytes"
            throw Refusal(.badRequest, "name: expected \(expected), found \"\(AuditEvent.clip(name))\".")
        }
        try caller.ban([subject], seconds, note) { result in
            switch result {
            case .success(let added):
                guard let ban = added.bans.first else { return then(.failure(caller.desk.noRoomForBans)) }
                caller.desk.shareBans(added.list) { ended in
                    then(.success(Answer(ban: BanSummary(ban), disconnected: ended)))
                }
            case .failure(let refusal): then(.failure(refusal))
            }
        }
    }
}

extension RemoveBanRequest: AnsweredRequest {
    var subject: String? { "ban \(ban)" }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let absence = Refusal(.notFound, "There is no ban \(AuditEvent.clip(ban)).")
        func conclude(_ found: (ban: Ban, list: BanList)?) {
            guard let (removed, list) = found else { return then(.failure(absence)) }
            caller.record(AuditEvent(.ban("remove"), target: removed.subject.description, result: removed.id))
            caller.desk.shareBans(list) { _ in then(.success(BanSummary(removed))) }
        }
        let facts = caller.desk.facts
        guard let desk = facts.accessFile, let shared = desk.shared else { return conclude(facts.bans.remove(id: ban)) }
        try desk.run(on: caller.desk.shard.reactor, { [ban] in shared.removeBan(ban) }) { result in
            switch result {
            case .success(let found): conclude(found)
            case .failure(let refusal): then(.failure(refusal))
            }
        }
    }
}

extension BanSummary {
    fileprivate init(_ ban: Ban) {
        self.init()
        id = ban.id
        kind = ban.subject.kind.rawValue
        name = ban.subject.name
        added = ban.added
        expires = ban.expires
        note = ban.note
    }
}

extension AdminCaller {
    /// The maximum length of a note, in bytes.
    private static var maximumNote: Int { 256 }

    /// Adds and logs bans, in a cluster at all brokers; ``AdminDesk/shareBans(_:ending:_:)`` then puts them into force
    /// here.
    func ban(
        _ subjects: [Ban.Subject], _ seconds: Int64?, _ note: String,
        _ then: @escaping (Result<Bans.Added, Refusal>) -> Void
    ) throws(Refusal) {
        guard seconds ?? 1 > 0 else {
            throw Refusal(.badRequest, "seconds: expected 1 or more, found \(seconds ?? 0).")
        }
        guard note.utf8.count <= Self.maximumNote else {
            throw Refusal(.badRequest, "note: expected at most \(Self.maximumNote) bytes.")
        }
        let most = desk.shard.configuration.limits.bans
        guard let file = desk.facts.accessFile, let shared = file.shared else {
            let added = desk.facts.bans.add(
                subjects, seconds: seconds, note: note, atMost: most, now: desk.shard.reactor.now)
            tell(added, note)
            return then(.success(added))
        }
        try file.run(
            on: desk.shard.reactor, { shared.ban(subjects, seconds: seconds, note: note, atMost: most) }
        ) { result in
            switch result {
            case .success(let added): tell(added, note)
            // Some of them may be in force nevertheless.
            case .failure: desk.shareBans(desk.facts.bans.list) { _ in }
            }
            then(result)
        }
    }

    private func tell(_ added: Bans.Added, _ note: String) {
        for ban in added.bans {
            var event = AuditEvent(.ban("add"), target: ban.subject.description, result: ban.id)
            event.note = note.isEmpty ? nil : note
            record(event)
        }
        desk.tellEnded(added.ended)
        desk.watchBans()
    }

    /// Writes an action of the administrator to the audit log.
    func record(_ event: AuditEvent) {
        var event = event
        event.actor = session?.actor ?? peer.map { .network(user: AuditEvent.clip($0)) }
        desk.shard.reactor[AuditTally.self]?.write(event)
    }
}

extension AdminDesk {
    /// Puts a list of bans into force on every reactor, and disconnects clients; `then` gets their number.
    ///
    /// - Parameter isMeant: whether a client is disconnected without a ban; `nil` for none.
    func shareBans(
        _ list: BanList, ending isMeant: (@Sendable (any Session) -> Bool)? = nil, _ then: @escaping (Int) -> Void
    ) {
        everyone.ask(
            from: shard,
            patiently: { shard, answer in
                let end = isMeant.map { isMeant in
                    { isMeant($0) ? SessionEnd.kicked("disconnected by an administrator") : nil }
                }
                shard.adopt(list, orEnding: end, then: answer)
            }, then: { then($0.reduce(0, +)) })
    }

    /// The refusal of one more ban.
    var noRoomForBans: Refusal {
        Refusal(.limitExceeded, "There are \(shard.configuration.limits.bans) bans already (limits.bans).")
    }

    fileprivate func tellEnded(_ bans: [Ban]) {
        guard let tally = shard.reactor[AuditTally.self] else { return }
        for ban in bans { tally.write(AuditEvent(.ban("end"), target: ban.subject.description, result: ban.id)) }
    }

    /// Checks every second whether a ban has ended, while any ban has an end.
    func watchBans() {
        guard !isWatchingBans, facts.bans.list.hasEnds else { return }
        isWatchingBans = true
        shard.reactor.run(afterNanoseconds: 1_000_000_000) { [weak self] in
            guard let self else { return }
            isWatchingBans = false
            let (ended, list) = facts.bans.removeEnded(now: shard.reactor.now)
            tellEnded(ended)
            if !ended.isEmpty { shareBans(list) { _ in } }
            watchBans()
        }
    }
}
