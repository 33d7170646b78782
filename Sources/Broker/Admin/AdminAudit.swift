internal import WSTransport

/// What the audit log says of a verb besides its name.
extension AnsweredRequest {
    /// Whether it has a line; a verb that only goes on with another one has none.
    static var isAudited: Bool { true }
    /// The name of that line.
    static var event: AuditEvent.Name { .admin(verb) }
    /// The same, of a verb that does one of two things.
    var ownEvent: AuditEvent.Name { Self.event }
    /// What it is about; `nil`: there is nothing to tell.
    var subject: String? { nil }
    /// What came of it, besides that it went well.
    func outcome(_ answer: Answer) -> String { "ok" }
}

extension BackupRequest {
    var subject: String? { path }

    func outcome(_ answer: Answer) -> String { answer.bytes.map { "\($0) bytes" } ?? "ok" }
}

extension BackupNextRequest {
    static var isAudited: Bool { false }
}

extension ClientRequest {
    var subject: String? { "client \(client)" }
}

extension ClientsRequest {
    var subject: String? { user.map { "user \($0)" } ?? filter.map { "filter \($0)" } }
}

extension KickRequest {
    var subject: String? {
        client.map { "client \($0)" } ?? user.map { "user \($0)" } ?? filter.map { "filter \($0)" }
    }

    func outcome(_ answer: Answer) -> String {
        if let matching = answer.matching { return "dry run: \(matching) clients" }
        return answer.kicked == 1 ? "1 client" : "\(answer.kicked) clients"
    }
}

extension TopicsRequest {
    var subject: String? { filter.map { "filter \($0)" } }
}

extension SubscriptionsRequest {
    var subject: String? { filter.map { "filter \($0)" } }
}

extension RetainedListRequest {
    var subject: String? { filter.map { "filter \($0)" } }
}

extension RetainedGetRequest {
    var subject: String? { topic }
}

extension RetainedSetRequest {
    var subject: String? { topic }
}

extension RetainedDeleteRequest {
    var subject: String? { filter.map { "filter \($0)" } }

    func outcome(_ answer: Answer) -> String { "\(answer.deleted) values" }
}

extension RetainedExportRequest {
    var subject: String? { filter.map { "filter \($0)" } }
}

extension AuditEvent.Actor {
    /// The administrator at the other end of a connection; `nil`: its process is not known.
    init?(_ stream: StreamConnection) {
        guard let peer = stream.peerCredentials else { return nil }
        self = .socket(uid: peer.uid, pid: peer.pid)
    }
}
