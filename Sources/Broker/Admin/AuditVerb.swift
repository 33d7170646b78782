extension ReadAuditRequest: AnsweredRequest {
    /// Only the first request is logged; those that follow the log are not.
    static var isAudited: Bool { false }

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
        try read(log.memory, caller, where: { line in user.map(line.has) ?? true }, then)
    }
}
