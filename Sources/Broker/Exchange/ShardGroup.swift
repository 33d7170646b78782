internal import Synchronization
package import WSTransport

/// All shards of a broker; asks each one on its own thread.
package struct ShardGroup: Sendable {
    private let remotes: [Remote]

    /// The remotes of the shards' reactors.
    package init(_ remotes: [Remote]) { self.remotes = remotes }

    /// Asks every shard on its own thread, and passes all answers to `then` on the asking shard's thread.
    ///
    /// A shard that has ended gives no answer. If the asking shard has ended meanwhile, `then` is not called. Runs on
    /// the asking shard's thread.
    ///
    /// - Parameter then: gets the answers in the order of the shards.
    package func ask<Answer: Sendable>(
        from asker: Shard, _ question: @escaping @Sendable (Shard) -> Answer, then: @escaping ([Answer]) -> Void
    ) {
        ask(remotes, from: asker, question, then: then)
    }

    /// The same, but waits only for a limited time.
    ///
    /// - Parameters:
    ///   - patience: how long to wait, in nanoseconds.
    ///   - then: gets the answers that have arrived, and the indices of the shards that have not answered.
    package func ask<Answer: Sendable>(
        from asker: Shard, within patience: Int64, _ question: @escaping @Sendable (Shard) -> Answer,
        then: @escaping (_ answers: [Answer], _ late: [Int]) -> Void
    ) {
        ask(from: asker, within: patience, { $1(question($0)) }, then: then)
    }

    /// The same for a question that a shard may answer later, once.
    package func ask<Answer: Sendable>(
        from asker: Shard, within patience: Int64,
        _ question: @escaping @Sendable (Shard, @escaping (Answer) -> Void) -> Void,
        then: @escaping (_ answers: [Answer], _ late: [Int]) -> Void
    ) {
        let answers = ask(remotes, from: asker, patiently: question, then: { then($0, []) })
        asker.reactor.run(afterNanoseconds: patience) {
            if let found = answers.giveUp() { then(found.answers, found.late) }
        }
    }

    /// Asks every shard a question that it may answer later, once; see ``ask(from:_:then:)``.
    package func ask<Answer: Sendable>(
        from asker: Shard, patiently question: @escaping @Sendable (Shard, @escaping (Answer) -> Void) -> Void,
        then: @escaping ([Answer]) -> Void
    ) {
        ask(remotes, from: asker, patiently: question, then: then)
    }

    /// Asks about the client with a name, on the thread of its shard only.
    ///
    /// Runs on the asking shard's thread.
    ///
    /// - Parameter then: gets the answer; `nil` if there is no such client, or the question returned `nil`.
    package func ask<Answer: Sendable>(
        client name: String, from asker: Shard, _ question: @escaping @Sendable (any Session) -> Answer?,
        then: @escaping (Answer?) -> Void
    ) {
        guard let number = Client.number(named: name), ClientNumbers.shard(of: number) < remotes.count else {
            return then(nil)
        }
        ask([remotes[ClientNumbers.shard(of: number)]], from: asker) { shard in
            shard.session(ofClient: number).flatMap(question)
        } then: {
            then($0.first ?? nil)
        }
    }

    private func ask<Answer: Sendable>(
        _ asked: [Remote], from asker: Shard, _ question: @escaping @Sendable (Shard) -> Answer,
        then: @escaping ([Answer]) -> Void
    ) {
        ask(asked, from: asker, patiently: { $1(question($0)) }, then: then)
    }

    @discardableResult
    private func ask<Answer: Sendable>(
        _ asked: [Remote], from asker: Shard,
        patiently question: @escaping @Sendable (Shard, @escaping (Answer) -> Void) -> Void,
        then: @escaping ([Answer]) -> Void
    ) -> Answers<Answer> {
        let link = ReactorLink(remote: asker.reactor.remote)
        link.bind(Asker(then), on: asker.reactor)
        let answers = Answers<Answer>(expected: asked.count)
        for (index, remote) in asked.enumerated() {
            let isPosted = remote.run { reactor in
                guard let shard = reactor[Shard.self] else { return answers.add(nil, of: index, link) }
                question(shard) { answers.add($0, of: index, link) }
            }
            if !isPosted { answers.add(nil, of: index, link) }
        }
        return answers
    }

    /// Runs `body` on every shard's thread; returns before that.
    ///
    /// Any thread.
    package func run(_ body: @escaping @Sendable (Shard) -> Void) {
        for remote in remotes { remote.run { reactor in if let shard = reactor[Shard.self] { body(shard) } } }
    }

    /// Runs `body` on every shard's thread, and waits until all have finished.
    ///
    /// Any thread but those of the shards.
    package func runAndWait(_ body: @escaping @Sendable (Shard) -> Void) {
        let done = Latch(count: remotes.count)
        for remote in remotes {
            let isPosted = remote.run { reactor in
                if let shard = reactor[Shard.self] { body(shard) }
                done.arrive()
            }
            if !isPosted { done.arrive() }
        }
        done.wait()
    }
}

/// The completion that waits for the answers, on the asking shard's thread.
private final class Asker<Answer: Sendable> {
    let then: ([Answer]) -> Void
    init(_ then: @escaping ([Answer]) -> Void) { self.then = then }
}

/// The answers of several shards, from their threads.
private final class Answers<Answer: Sendable>: Sendable {
    private struct State {
        var missing: Set<Int>
        var answers: [Answer?]
        /// Whether the answers have been passed on.
        var isOver = false
    }

    private let state: Mutex<State>

    init(expected: Int) {
        state = Mutex(State(missing: Set(0..<expected), answers: Array(repeating: nil, count: expected)))
    }

    /// Adds an answer; the last one passes all of them on.
    ///
    /// - Parameter answer: `nil` if the shard gives none.
    func add(_ answer: Answer?, of index: Int, _ link: ReactorLink) {
        let all: [Answer]? = state.withLock { state in
            state.answers[index] = answer
            state.missing.remove(index)
            guard state.missing.isEmpty, !state.isOver else { return nil }
            state.isOver = true
            return state.answers.compactMap { $0 }
        }
        guard let all else { return }
        link.take(Asker<Answer>.self) { $0?.then(all) }
    }

    /// The answers that have arrived, and the indices of the missing ones; `nil` if all have been passed on.
    func giveUp() -> (answers: [Answer], late: [Int])? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            state.isOver = true
            return (state.answers.compactMap { $0 }, state.missing.sorted())
        }
    }
}
