internal import CLinux
internal import Glibc
internal import WSTransport

extension ReloadRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        let shard = caller.desk.shard
        // Not by the rules: a change of users makes others, too.
        let old = shard.endpoints.version
        kill(getpid(), SIGHUP)
        Self.wait(shard, until: Self.patience) {
            shard.endpoints.version != old
        } then: { isDone in
            let message = "The configuration was not taken over: the log says why. What held before holds."
            then(isDone ? .success(AdminDone()) : .failure(Refusal(.unavailable, message)))
        }
    }

    /// How often it is looked whether the first thread has done it: every 5 ms.
    private static let patience = 2_000

    private static func wait(
        _ shard: Shard, until left: Int, _ isDone: @escaping () -> Bool, then: @escaping (Bool) -> Void
    ) {
        if isDone() { return then(true) }
        guard left > 0 else { return then(false) }
        shard.reactor.run(afterNanoseconds: 5_000_000) { wait(shard, until: left - 1, isDone, then: then) }
    }
}

extension DrainRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        then(.success(AdminDone()))
        // The first thread takes signals one at a time, and drains at this one.
        kill(getpid(), SIGTERM)
    }
}
