package import WSTransport

/// Changes the users file for administrators, on a separate thread, because disks and password hashes are slow.
///
/// Any thread.
package final class AccessFileDesk: Sendable {
    /// Loads the changed file on all reactors, and returns when it is in force; returns the reason if that fails, else
    /// `nil`.
    package typealias TakeOver = @Sendable () -> String?

    private let path: @Sendable () -> String
    private let takeOver: TakeOver
    private let pool: WorkerPool
    /// How many requests may wait for the thread.
    private static let maximumWaiting = 64

    /// Creates the pool with the desk's one thread; the metrics read its figures as well.
    package static func makePool() -> WorkerPool {
        WorkerPool(name: "users", maximumThreads: 1, maximumWaiting: maximumWaiting)
    }

    /// - Parameters:
    ///   - pool: a pool from ``makePool()``.
    ///   - path: returns the file's path, according to the present settings.
    ///   - takeOver: called after each change of the file, on the pool's thread.
    package init(_ pool: WorkerPool, path: @escaping @Sendable () -> String, takeOver: @escaping TakeOver) {
        self.pool = pool
        self.path = path
        self.takeOver = takeOver
    }

    /// Handles a request; calls `then` on the reactor's thread when a change is in force on all reactors.
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
                return .failure(Refusal(.unavailable, "The file was changed, but could not be loaded: \(reason)"))
            }
            return .success(answer)
        } catch {
            return .failure(Refusal(error))
        }
    }
}

/// The continuation of a request, on its reactor's thread.
private final class Waiting<Answer> {
    let then: (Result<Answer, Refusal>) -> Void
    init(_ then: @escaping (Result<Answer, Refusal>) -> Void) { self.then = then }
}

extension Refusal {
    /// Creates the refusal for an error in a request, or in the file itself.
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
            throw Refusal(.unavailable, "This broker has no users file.")
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
        throw Refusal(.badRequest, "Tokens in the URL are not accepted here (access.query_tokens: none).")
    }

    var subject: String? { "user \(user)" }
    func outcome(_ answer: Answer) -> String { answer.id }
}

extension RevokeTokenRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .token("revoke") }
    /// The id alone, even if the request holds the whole token.
    var subject: String? {
        token.map { "token \(OpaqueToken($0)?.id ?? String($0.prefix(8)))" } ?? user.map { "user \($0)" }
            ?? jti.map { "jti \($0)" }
    }
}
