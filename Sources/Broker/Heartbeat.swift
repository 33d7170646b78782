internal import Synchronization
internal import WSTransport

/// Checks whether every reactor still takes its turns.
///
/// Used by one thread; never waits for a reactor.
final class Heartbeat {
    private let remotes: [Remote]
    private let round = Round()

    private final class Round: Sendable { let answers = Atomic(0) }

    init(_ remotes: [Remote]) {
        self.remotes = remotes
        ask()
    }

    /// Whether all reactors have had a turn since the last call.
    func beats() -> Bool {
        guard round.answers.load(ordering: .relaxed) == remotes.count else { return false }
        ask()
        return true
    }

    private func ask() {
        round.answers.store(0, ordering: .relaxed)
        for remote in remotes {
            let isPosted = remote.run { [round] _ in round.answers.add(1, ordering: .relaxed) }
            // A reactor that has ended counts as having answered.
            if !isPosted { round.answers.add(1, ordering: .relaxed) }
        }
    }
}
