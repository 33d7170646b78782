internal import WSTransport

/// A copy of the whole store for an administrator: `backup` begins it, and each `backup.next` is answered by one more
/// piece of it, a binary frame, until one is answered in JSON.
extension AdminDesk {
    /// A backup under way.
    struct Backup {
        let number: Int
        let stream: BackupStream
        let thread: ThreadHandle
        /// Whose it is.
        weak var session: AdminSession?
        /// What waits for the next piece; `nil`: it has not been asked for.
        var waiting: ((BackupStream.Piece) -> Void)?
        /// When that was last so.
        var asked: MonotonicTime
        /// Whether it only waits for its threads to end.
        var isAbandoned = false
    }

    /// How long the next piece may not be asked for, in nanoseconds: what the copy reads cannot be freed meanwhile.
    private static let patience: Int64 = 30_000_000_000

    /// Begins to copy for a session; one copy at a time.
    func beginBackup(for session: AdminSession) throws(Refusal) {
        guard backup == nil else { throw Refusal(.conflict, "A backup is being written already.") }
        nextBackup += 1
        let here = shard.reactor.remote
        let stream = BackupStream(copy: facts.backup) { piece in
            here.run { reactor in reactor[AdminDesk.self]?.hand(piece) }
        }
        do throws(Errno) {
            backup = Backup(
                number: nextBackup, stream: stream, thread: try stream.start(), session: session,
                asked: shard.reactor.now)
        } catch {
            throw Refusal(.unavailable, "A thread for the backup cannot be started: \(error).")
        }
        watch(nextBackup)
    }

    /// Has `then` called with the next piece.
    func nextPiece(
        of session: AdminSession, _ then: @escaping (BackupStream.Piece) -> Void
    ) throws(Refusal) {
        guard let backup, !backup.isAbandoned, backup.session === session, backup.waiting == nil else {
            throw Refusal(.conflict, "No backup is under way that a piece could be asked of.")
        }
        self.backup?.waiting = then
        self.backup?.asked = shard.reactor.now
        backup.stream.ask()
    }

    /// Gives up the backup of a session that has gone.
    func abandonBackup(of session: AdminSession) {
        guard let backup, backup.session === session else { return }
        giveUp()
    }

    private func giveUp() {
        guard let backup, !backup.isAbandoned else { return }
        self.backup?.isAbandoned = true
        self.backup?.waiting = nil
        backup.stream.abandon()
    }

    private func hand(_ piece: BackupStream.Piece) {
        let waiting = backup?.waiting
        backup?.waiting = nil
        backup?.asked = shard.reactor.now
        if case .end = piece {
            // It has nothing left to do.
            backup?.thread.join()
            backup = nil
        }
        waiting?(piece)
    }

    private func watch(_ number: Int) {
        shard.reactor.run(afterNanoseconds: Self.patience) { [weak self] in
            guard let self, let backup, backup.number == number else { return }
            let isLate = shard.reactor.now.nanoseconds(since: backup.asked) >= Self.patience
            if isLate, backup.waiting == nil { giveUp() }
            watch(number)
        }
    }
}
