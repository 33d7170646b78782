internal import WSTransport

extension ReadAuditRequest: AnsweredRequest {
    /// One that follows has a line for its begin only.
    static var isAudited: Bool { false }

    /// How long an answer waits for a line, and how often it is looked for one, in nanoseconds.
    private static let patience: Int64 = 20_000_000_000
    private static let pause: Int64 = 100_000_000
    /// How many may wait on one reactor.
    private static let maximumWaiting = 64

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let log = caller.desk.facts.audit, log.isOn else {
            throw Refusal(.conflict, "This broker keeps no audit log: set log.audit.")
        }
        if after == nil {
            var event = AuditEvent(.admin(Self.verb))
            event.target = user.map { AuditEvent.clip("lines about user \($0)") }
            event.result = "ok"
            caller.record(event)
        }
        let desk = caller.desk
        guard isWaiting else { return look(in: log.memory, then) }
        guard desk.auditReaders < Self.maximumWaiting else {
            throw Refusal(.limitExceeded, "Too many administrators follow the audit log.")
        }
        desk.auditReaders += 1
        wait(until: desk.shard.reactor.now.advanced(byNanoseconds: Self.patience), log.memory, caller, then)
    }

    private func look(in memory: AuditMemory, _ then: (Result<Answer, Refusal>) -> Void) {
        let part = memory.lines(after: after, since: since, user: user)
        var answer = Answer()
        answer.lines = part.lines.map(\.bytes)
        answer.next = part.next
        answer.hasMore = part.hasMore
        answer.missed = part.missed
        then(.success(answer))
    }

    private func wait(
        until end: MonotonicTime, _ memory: AuditMemory, _ caller: AdminCaller,
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        let (desk, reactor) = (caller.desk, caller.desk.shard.reactor)
        let isOver = reactor.now >= end || !caller.goesOn || desk.shard.isDraining
        guard isOver || after.map({ $0 != memory.newest }) ?? (memory.newest > 0) else {
            return reactor.run(afterNanoseconds: Self.pause) { wait(until: end, memory, caller, then) }
        }
        desk.auditReaders -= 1
        look(in: memory, then)
    }
}
