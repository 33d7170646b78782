internal import Synchronization
internal import WSTransport

extension BackupRequest: AnsweredRequest {
    /// One copy at a time.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let session = caller.session else { return }
        session.backup = try Backup(caller.desk.facts, on: caller.desk.shard.reactor)
        then(.success(AdminDone()))
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
    private let link: ReactorLink
    private let stream: BackupStream
    private var thread: ThreadHandle?
    /// Called with the next piece; `nil`: it has not been requested.
    private var waiting: ((BackupStream.Piece) -> Void)?
    /// When that was last the case.
    private var asked: MonotonicTime
    /// Whether it is only waiting for its threads to end, or they have ended.
    private var isOver = false

    /// How long the client may take to request the next piece, in nanoseconds; pages that the copy reads cannot be
    /// freed meanwhile.
    private static let patience: Int64 = 30_000_000_000

    /// Starts the copy.
    init(_ facts: BrokerFacts, on reactor: Reactor) throws(Refusal) {
        self.reactor = reactor
        administration = facts.administration
        let link = ReactorLink(remote: reactor.remote)
        self.link = link
        stream = BackupStream(copy: facts.backup) { piece in link.run(with: Backup.self) { $0?.hand(piece) } }
        asked = reactor.now
        guard !administration.isBackingUp.exchange(true, ordering: .relaxed) else {
            throw Refusal(.conflict, "A backup is already in progress.")
        }
        do throws(Errno) {
            thread = try stream.start()
        } catch {
            administration.isBackingUp.store(false, ordering: .relaxed)
            throw Refusal(.unavailable, "Cannot start a thread for the backup: \(error).")
        }
        link.bind(self, on: reactor)
        watch()
    }

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
        waiting = nil
        stream.abandon()
    }

    private func hand(_ piece: BackupStream.Piece) {
        let then = waiting
        waiting = nil
        asked = reactor.now
        if case .end = piece {
            // Nothing is left to do.
            thread?.join()
            thread = nil
            isOver = true
            link.release(on: reactor)
            administration.isBackingUp.store(false, ordering: .relaxed)
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
