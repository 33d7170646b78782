internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// The result of the last reload, for administrators that wait for it.
///
/// Any thread.
package final class Reloads: Sendable {
    /// Why a reload failed.
    package struct Errors: Error { let text: String }

    private let state = Mutex<(number: Int, outcome: Result<ReloadRequest.Answer, Errors>)>((0, .success(.init())))

    private let operations: Operations

    /// - Parameter operations: counts each reload.
    package init(_ operations: Operations) { self.operations = operations }

    /// The last result; the number rises with each reload.
    var last: (number: Int, outcome: Result<ReloadRequest.Answer, Errors>) { state.withLock { $0 } }

    /// Records a reload whose settings are in force.
    func succeeded(_ changes: ReloadRequest.Answer) { end(.success(changes)) }

    /// Records a reload that failed, so that the old settings stay in force.
    ///
    /// - Parameter errors: one a line.
    package func failed(_ errors: String) { end(.failure(Errors(text: errors))) }

    private func end(_ outcome: Result<ReloadRequest.Answer, Errors>) {
        state.withLock { $0 = ($0.number + 1, outcome) }
        if case .success = outcome {
            operations.reloaded(isSuccessful: true)
        } else {
            operations.reloaded(isSuccessful: false)
        }
    }
}

extension ReloadRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        let (shard, reloads) = (caller.desk.shard, caller.desk.facts.reloads)
        let old = reloads.last.number
        kill(getpid(), SIGHUP)
        Self.wait(shard, until: Self.patience) {
            reloads.last.number != old
        } then: { isDone in
            guard isDone else {
                return then(.failure(Refusal(.unavailable, "The configuration was not read in time; try again.")))
            }
            switch reloads.last.outcome {
            case .success(let changes): then(.success(changes))
            case .failure(let errors):
                then(.failure(Refusal(.conflict, "Nothing was changed, because there are errors:\n\(errors.text)")))
            }
        }
    }

    func outcome(_ answer: Answer) -> String {
        answer.needsRestart.isEmpty ? "ok" : "needs a restart: \(answer.needsRestart.joined(separator: " "))"
    }

    /// How many times the result is checked, once every 5 ms.
    private static let patience = 2_000

    private static func wait(
        _ shard: Shard, until left: Int, _ isDone: @escaping () -> Bool, then: @escaping (Bool) -> Void
    ) {
        if isDone() { return then(true) }
        guard left > 0 else { return then(false) }
        shard.reactor.run(afterNanoseconds: 5_000_000) { wait(shard, until: left - 1, isDone, then: then) }
    }
}

extension DrainRequest: PeerRequest {
    var isForAll: Bool { false }
    var subject: String? { node.map { "node \($0)" } }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer { own }

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard retrySpread.map({ 0...Self.longestSpread ~= $0 }) ?? true else {
            throw Refusal(.badRequest, "retrySpread: expected 0 to \(Self.longestSpread) milliseconds.")
        }
        caller.desk.facts.figures.operations.drain = .init(
            actor: caller.actorName, retrySpread: retrySpread)
        then(.success(AdminDone()))
        // The main thread handles signals one at a time, and starts draining at this one.
        kill(getpid(), SIGTERM)
    }
}
