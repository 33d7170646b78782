internal import WSTransport

/// The audit log's line about a request.
extension AnsweredRequest {
    /// Whether the request is logged; one that continues another request is not.
    static var isAudited: Bool { true }
    /// The event's name.
    static var event: AuditEvent.Name { .admin(verb) }
    /// The event's name for a verb that has one for each of two actions.
    var ownEvent: AuditEvent.Name { Self.event }
    /// The object of the request; `nil` if there is none.
    var subject: String? { nil }
    /// The result, if the request succeeded.
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
    /// The administrator at the other end of a Unix socket; `nil` if the process is unknown.
    init?(_ stream: StreamConnection) {
        guard let peer = stream.peerCredentials else { return nil }
        self = .socket(uid: peer.uid, pid: peer.pid)
    }
}
