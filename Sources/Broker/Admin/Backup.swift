internal import Synchronization
internal import WSTransport

extension BackupRequest: AnsweredRequest {
    /// Starts a backup; there is one at a time.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let session = caller.session else { return }
        let (facts, reactor) = (caller.desk.facts, caller.desk.shard.reactor)
        guard let path else {
            session.backup = try Backup(facts, on: reactor)
            return then(.success(Answer()))
        }
        guard let directory = caller.desk.shard.configuration.admin.backupDirectory else {
            let message = "path: admin.backup_directory is not set, so the broker writes no files; leave out path."
            throw Refusal(.forbidden, message)
        }
        guard let names = Self.names(of: path, below: directory) else {
            let message = "path: expected a file below admin.backup_directory, without empty names, . and .. in it."
            throw Refusal(.forbidden, message)
        }
        session.backup = try Backup(facts, on: reactor) { () throws(Refusal) in
            try BackupTarget(names, in: directory, check: facts.checkBackup)
        } then: { target, failure in
            if let failure { return then(.failure(Refusal(.unavailable, "\(failure)."))) }
            then(.success(Answer(path: target.path, bytes: target.size)))
        }
    }
}

extension BackupNextRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let session = caller.session, let backup = session.backup, backup.isAwaited else {
            throw Refusal(.conflict, "No backup is in progress.")
        }
        backup.next { [weak session] piece in
            switch piece {
            case .bytes(let bytes): session?.send(bytes)
            case .end(nil): then(.success(AdminDone()))
            case .end(let failure?): then(.failure(Refusal(.unavailable, "\(failure).")))
            }
        }
    }
}

/// A copy of the whole store in progress for one administrator.
///
/// Lives until its threads have ended, even if the administrator disconnects. Runs on a reactor's thread.
final class Backup {
    private let reactor: Reactor
    private let administration: AdminState
    private let operations: Operations
    private let link: ReactorLink
    private let stream: BackupStream
    private var thread: ThreadHandle?
    /// Receives the next piece; `nil` if none was requested.
    private var waiting: ((BackupStream.Piece) -> Void)?
    /// When the last piece was requested or delivered.
    private var asked: MonotonicTime
    /// Whether the copy has ended, or is only waiting for its threads to end.
    private var isOver = false

    /// How long the client may take to request the next piece, in nanoseconds; pages that the copy reads cannot be
    /// freed meanwhile.
    private static let patience: Int64 = 30_000_000_000

    /// Starts a copy that the client requests piece by piece.
    convenience init(_ facts: BrokerFacts, on reactor: Reactor) throws(Refusal) {
        try Self.enter(facts.administration)
        let link = ReactorLink(remote: reactor.remote)
        let stream = BackupStream(copy: facts.backup) { _, piece in
            link.run(with: Backup.self) { $0?.hand(piece) }
        }
        try self.init(facts, on: reactor, link, stream)
    }

    /// Starts a copy into a file.
    ///
    /// - Parameters:
    ///   - makeTarget: creates the file; called only if no other backup is in progress.
    ///   - then: called at the end; `failure` says why the file is incomplete, and is `nil` if it is complete.
    convenience init(
        _ facts: BrokerFacts, on reactor: Reactor, to makeTarget: () throws(Refusal) -> BackupTarget,
        then: @escaping (BackupTarget, _ failure: String?) -> Void
    ) throws(Refusal) {
        try Self.enter(facts.administration)
        let target: BackupTarget
        do throws(Refusal) { target = try makeTarget() } catch {
            Self.leave(facts.administration)
            throw error
        }
        let link = ReactorLink(remote: reactor.remote)
        // This closure runs on the copy's own thread only.
        let stream = BackupStream(copy: facts.backup) { stream, piece in
            switch piece {
            case .bytes(let bytes): if target.write(bytes) { stream.ask() } else { stream.abandon() }
            case .end(let failure):
                let outcome = target.finish(failure)
                link.run(with: Backup.self) { $0?.hand(.end(failure: outcome)) }
            }
        }
        try self.init(facts, on: reactor, link, stream)
        next { piece in if case .end(let failure) = piece { then(target, failure) } }
    }

    /// Refuses a second backup.
    private static func enter(_ administration: AdminState) throws(Refusal) {
        guard !administration.isBackingUp.exchange(true, ordering: .relaxed) else {
            throw Refusal(.conflict, "A backup is already in progress.")
        }
    }

    private static func leave(_ administration: AdminState) {
        administration.isBackingUp.store(false, ordering: .relaxed)
    }

    /// - Parameter facts: the caller has called ``enter(_:)`` with their administration.
    private init(
        _ facts: BrokerFacts, on reactor: Reactor, _ link: ReactorLink, _ stream: BackupStream
    ) throws(Refusal) {
        self.reactor = reactor
        administration = facts.administration
        operations = facts.figures.operations
        self.link = link
        self.stream = stream
        asked = reactor.now
        do throws(Errno) {
            thread = try stream.start()
        } catch {
            Self.leave(administration)
            throw Refusal(.unavailable, "Cannot start a thread for the backup: \(error).")
        }
        link.bind(self, on: reactor)
        watch()
    }

    // The reactor has ended before the last piece, and nobody else waits for the thread.
    deinit { thread?.detach() }

    /// Whether the next piece can be requested.
    var isAwaited: Bool { !isOver && waiting == nil }

    /// Calls `then` with the next piece.
    func next(_ then: @escaping (BackupStream.Piece) -> Void) {
        waiting = then
        asked = reactor.now
        stream.ask()
    }

    /// Ends the copy because its administrator has disconnected.
    func giveUp() {
        guard !isOver else { return }
        isOver = true
        stream.abandon()
    }

    private func hand(_ piece: BackupStream.Piece) {
        let then = waiting
        waiting = nil
        asked = reactor.now
        if case .end(let failure) = piece {
            if failure == nil { operations.backedUp() }
            // The thread has delivered its last piece, so joining it does not block.
            thread?.join()
            thread = nil
            isOver = true
            link.release(on: reactor)
            Self.leave(administration)
        }
        then?(piece)
    }

    private func watch() {
        reactor.run(afterNanoseconds: Self.patience) { [weak self] in
            guard let self, !isOver else { return }
            if waiting == nil, reactor.now.nanoseconds(since: asked) >= Self.patience { return giveUp() }
            watch()
        }
    }
}
