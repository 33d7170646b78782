internal import Synchronization
internal import WSTransport

extension Shard {
    /// To a topic that no filter matches, so nobody sees it: no filter may have a NUL, and a wildcard at the front does
    /// not match what begins with `$`.
    private static var probeDraft: Draft { Draft(topic: Topic(unchecked: "$\0probe"), payload: [], kind: .text) }

    /// Sends a message through the sequencer and a write through the store, and says what failed; `nil`: both arrived.
    package func probe(patience: Int64, then: @escaping (String?) -> Void) {
        let probe = Probe(then)
        handOver()
        switch sequencer.sequence([Self.probeDraft], from: index)[0] {
        case .failure(let refusal): return probe.finish(refusal.message)
        case .success((let seq, _)):
            // By then this turn's mailbox has been emptied.
            reactor.needsTurn = true
            reactor.runSoon { [weak self] in
                guard let self, deliveredUpTo >= seq else { return probe.finish("a message did not come through") }
                probe.routed()
            }
        }
        let token = park { probe.stored($0) }
        sequencer.probeStore { [remote = reactor.remote] failure in
            remote.run { reactor in (reactor.attachment as? Shard)?.unpark(token, failure.map { Array($0.utf8) }) }
        }
        reactor.run(afterNanoseconds: patience) { probe.finish("no answer from the store or the exchange in time") }
    }
}

/// Waits for both halves of a probe.
///
/// Runs on the reactor's thread.
private final class Probe {
    private var then: ((String?) -> Void)?
    private var isRouted = false
    private var isStored = false

    init(_ then: @escaping (String?) -> Void) { self.then = then }

    func routed() {
        isRouted = true
        finishIfBoth()
    }

    func stored(_ failure: [UInt8]?) {
        if let failure { return finish(String(decoding: failure, as: UTF8.self)) }
        isStored = true
        finishIfBoth()
    }

    private func finishIfBoth() {
        if isRouted, isStored { finish(nil) }
    }

    func finish(_ failure: String?) {
        let waiting = then
        then = nil
        waiting?(failure)
    }
}
