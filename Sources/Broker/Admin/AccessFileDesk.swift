package import WSTransport

/// Changes the file of users and tokens for administrators, on a thread of its own: disks and passwords take their time.
///
/// Any thread.
package final class AccessFileDesk: Sendable {
    /// What became of a changed file: `nil`: it holds everywhere; else why not.
    package typealias TakeOver = @Sendable () -> String?

    private let path: @Sendable () -> String
    private let takeOver: TakeOver
    private let pool: WorkerPool
    /// How many requests may wait.
    private static let maximumWaiting = 64

    /// The thread for it, which figures are read of, too.
    package static func makePool() -> WorkerPool {
        WorkerPool(name: "users", maximumThreads: 1, maximumWaiting: maximumWaiting)
    }

    /// - Parameters:
    ///   - pool: of ``makePool()``.
    ///   - path: of the file, as the settings say now.
    ///   - takeOver: has what the file says now hold on every reactor, and returns when it does.
    package init(_ pool: WorkerPool, path: @escaping @Sendable () -> String, takeOver: @escaping TakeOver) {
        self.pool = pool
        self.path = path
        self.takeOver = takeOver
    }

    /// Does what a request asks for; `then` gets the outcome on the reactor's thread, when a change holds everywhere.
    func run<Request: AccessFileRequest>(
        _ request: Request, on reactor: Reactor, _ then: @escaping (Result<Request.Answer, Refusal>) -> Void
    ) throws(Refusal) {
        let link = ReactorLink(remote: reactor.remote)
        link.bind(Waiting(then), on: reactor)
        let isTaken = pool.run { [self] in
            let outcome = outcome(of: request)
            link.take(Waiting<Request.Answer>.self) { $0?.then(outcome) }
        }
        guard !isTaken else { return }
        link.release(on: reactor)
        throw Refusal(.unavailable, "Too many changes of users and tokens wait; try again.")
    }

    private func outcome<Request: AccessFileRequest>(of request: Request) -> Result<Request.Answer, Refusal> {
        do throws(AccessFileErrors) {
            let answer = try request.apply(toFile: path())
            if Request.isChange, let reason = takeOver() {
                return .failure(Refusal(.unavailable, "The file was changed, but cannot be taken over: \(reason)"))
            }
            return .success(answer)
        } catch {
            return .failure(Refusal(error))
        }
    }
}

/// What waits for an outcome, on its reactor's thread.
private final class Waiting<Answer> {
    let then: (Result<Answer, Refusal>) -> Void
    init(_ then: @escaping (Result<Answer, Refusal>) -> Void) { self.then = then }
}

extension Refusal {
    /// What is wrong with a request about the file, or with the file itself.
    fileprivate init(_ errors: AccessFileErrors) {
        let isAsked = errors.errors.allSatisfy(\.file.isEmpty)
        let code: ErrorCode = !isAsked ? .unavailable : errors.isAbsence ? .notFound : .badRequest
        self.init(code, errors.description)
    }
}

// MARK: The verbs

extension AnsweredRequest {
    func check(_ access: Access) throws(Refusal) {}
}

extension AnsweredRequest where Self: AccessFileRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        try check(caller.desk.shard.access)
        guard let desk = caller.desk.facts.accessFile else {
            throw Refusal(.unavailable, "This broker has no file of users and tokens.")
        }
        try desk.run(self, on: caller.desk.shard.reactor, then)
    }
}

extension ListUsersRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("list") }
    var subject: String? { user.map { "user \($0)" } }
}

extension AddUserRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("add") }
    var subject: String? { "user \(user)" }
}

extension SetPasswordRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("password") }
    var subject: String? { "user \(user)" }
}

extension RemoveUserRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("remove") }
    var subject: String? { "user \(user)" }
    func outcome(_ answer: Answer) -> String { answer.tokens == 1 ? "1 token" : "\(answer.tokens) tokens" }
}

extension DisableUserRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("disable") }
    var ownEvent: AuditEvent.Name { .users(isEnabling ? "enable" : "disable") }
    var subject: String? { "user \(user)" }
}

extension SetRolesRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .users("role") }
    var subject: String? { "user \(user)" }
    func outcome(_ answer: Answer) -> String { AuditEvent.clip(answer.roles.joined(separator: " ")) }
}

extension ListTokensRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .token("list") }
}

extension MintTokenRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .token("mint") }
    func check(_ access: Access) throws(Refusal) {
        guard isForAddresses, access.options.queryTokens == .none else { return }
        throw Refusal(.badRequest, "Tokens in the address are not accepted here (access.query_tokens: none).")
    }

    var subject: String? { "user \(user)" }
    func outcome(_ answer: Answer) -> String { answer.id }
}

extension RevokeTokenRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .token("revoke") }
    /// One that shows the token by mistake means its id.
    var subject: String? {
        token.map { "token \(OpaqueToken($0)?.id ?? String($0.prefix(8)))" } ?? user.map { "user \($0)" }
            ?? jti.map { "jti \($0)" }
    }
}
