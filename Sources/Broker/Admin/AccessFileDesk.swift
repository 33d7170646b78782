package import WSTransport

/// Changes the users file for administrators, on a separate thread, because disks and password hashes are slow.
///
/// Any thread.
package final class AccessFileDesk: Sendable {
    /// Loads the changed file on all reactors, and returns when it is in force; returns the reason if that fails, else
    /// `nil`.
    package typealias TakeOver = @Sendable () -> String?
    /// Returns the file's path, according to the present settings; throws if the file may not be used now.
    package typealias Path = @Sendable () throws(AccessFileErrors) -> String

    private let path: Path
    private let takeOver: TakeOver
    /// The data that the brokers of a cluster share; `nil` without a cluster.
    let shared: SharedAccess?
    private let pool: WorkerPool
    /// How many requests may wait for the thread.
    private static let maximumWaiting = 64

    /// Creates the pool with the desk's one thread; the metrics read its figures as well.
    package static func makePool() -> WorkerPool {
        WorkerPool(name: "users", maximumThreads: 1, maximumWaiting: maximumWaiting)
    }

    /// - Parameters:
    ///   - pool: a pool from ``makePool()``.
    ///   - shared: the data that the brokers of a cluster share, which is changed instead of the file.
    ///   - takeOver: called after each change, on the pool's thread.
    package init(
        _ pool: WorkerPool, path: @escaping Path, shared: SharedAccess? = nil,
        takeOver: @escaping TakeOver
    ) {
        self.pool = pool
        self.path = path
        self.shared = shared
        self.takeOver = takeOver
    }

    /// Handles a request; calls `then` on the reactor's thread when a change is in force on all reactors.
    func run<Request: AccessFileRequest>(
        _ request: Request, on reactor: Reactor, _ then: @escaping (Result<Request.Answer, Refusal>) -> Void
    ) throws(Refusal) {
        try run(on: reactor, { [self] in outcome(of: request) }, then)
    }

    /// Runs slow work on the pool's thread; calls `then` on the reactor's.
    func run<Answer: Sendable>(
        on reactor: Reactor, _ body: @escaping @Sendable () -> Result<Answer, Refusal>,
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) throws(Refusal) {
        let link = ReactorLink(remote: reactor.remote)
        link.bind(Waiting(then), on: reactor)
        let isTaken = pool.run {
            let outcome = body()
            link.take(Waiting<Answer>.self) { $0?.then(outcome) }
        }
        guard !isTaken else { return }
        link.release(on: reactor)
        throw Refusal(.unavailable, "Too many changes of users and tokens are waiting; try again.")
    }

    /// Makes a change at all brokers of a cluster that no administrator has requested; `then` gets the error, if any.
    func change(_ edit: @escaping @Sendable (inout AccessFile) -> Void, _ then: @escaping @Sendable (Refusal?) -> Void)
    {
        let isTaken = pool.run { [self] in
            guard let shared else { return then(nil) }
            switch shared.change({ (file) throws(AccessFileErrors) in edit(&file) }) {
            case .success: then(nil)
            case .failure(let refusal): then(refusal)
            }
        }
        if !isTaken { then(Refusal(.unavailable, "Too many changes of users and tokens are waiting; try again.")) }
    }

    private func outcome<Request: AccessFileRequest>(of request: Request) -> Result<Request.Answer, Refusal> {
        if let shared, Request.isChange || shared.isInForce { return outcome(of: request, shared) }
        do throws(AccessFileErrors) {
            let answer = try request.apply(toFile: try path())
            if Request.isChange, let reason = takeOver() {
                return .failure(Refusal(.unavailable, "The file was changed, but could not be loaded: \(reason)"))
            }
            return .success(answer)
        } catch {
            return .failure(Refusal(error))
        }
    }

    private func outcome<Request: AccessFileRequest>(
        of request: Request, _ shared: SharedAccess
    ) -> Result<Request.Answer, Refusal> {
        let now = WallClock.unixMilliseconds / 1000
        guard Request.isChange else {
            do throws(AccessFileErrors) {
                var file = try shared.file(isKept: false)
                return .success(try request.apply(to: &file, now: now))
            } catch {
                return .failure(Refusal(error))
            }
        }
        let outcome = shared.change { (file) throws(AccessFileErrors) in try request.apply(to: &file, now: now) }
        if case .success = outcome, let reason = takeOver() {
            return .failure(Refusal(.unavailable, "The change was made, but could not be loaded: \(reason)"))
        }
        return outcome
    }
}

/// The continuation of a request, on its reactor's thread.
private final class Waiting<Answer> {
    let then: (Result<Answer, Refusal>) -> Void
    init(_ then: @escaping (Result<Answer, Refusal>) -> Void) { self.then = then }
}

extension Refusal {
    /// Creates the refusal for an error in a request, or in the file itself.
    init(_ errors: AccessFileErrors) {
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
