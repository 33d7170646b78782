internal import Synchronization
internal import WSTransport

extension Shard {
    /// The topic that a probe reads; no publisher's topic has a NUL, so it has no value.
    private static var probeTopic: Topic { Topic(unchecked: "$\0probe") }

    /// Sends an event through the mailbox and a write through the store, reads the store, and reports what failed, or
    /// `nil`.
    ///
    /// It takes no number: each of several brokers that share an order has its own readiness.
    package func probe(patience: Int64, then: @escaping (String?) -> Void) {
        let probe = Probe { [sequencer] failure in
            do throws(Refusal) {
                if failure == nil { _ = try sequencer.value(of: Self.probeTopic) }
                then(failure)
            } catch {
                then("the store cannot be read: \(error.message)")
            }
        }
        handOver()
        let number = lastProbe + 1
        if let refusal = order.obstacle ?? sequencer.probe(number, from: index) { return probe.finish(refusal.message) }
        // The mailbox of this turn has been emptied by then.
        reactor.needsTurn()
        reactor.runSoon { [weak self] in
            guard let self, lastProbe >= number else { return probe.finish("a message did not arrive") }
            probe.routed()
        }
        let link = ReactorLink(remote: reactor.remote)
        link.bind(probe, on: reactor)
        sequencer.probeStore { failure in link.take(Probe.self) { $0?.stored(failure) } }
        reactor.run(afterNanoseconds: patience) { probe.finish("no answer from the store or the exchange in time") }
    }
}

/// Whether the broker is ready, as far as one reactor can tell.
///
/// Ready means that a moment ago an event passed through the sequencer and this reactor's mailbox, and the store took a
/// write, synced it and was read. A result is used for a second, so that frequent probes cost next to nothing. Runs on
/// the reactor's thread.
package final class Readiness {
    // The reactor owns both objects.
    private unowned let shard: Shard
    private var known: (time: MonotonicTime, failure: String?)?
    /// How long the last probe took, in nanoseconds; `nil` if none has been needed.
    package private(set) var lastDuration: Int64?
    private var waiting: [(String?) -> Void] = []
    private var lastAsked: MonotonicTime?
    /// A balancer that watches readiness asks again within this time, in nanoseconds.
    private static let memory: Int64 = 60_000_000_000
    private static let validity: Int64 = 1_000_000_000
    private static let patience: Int64 = 2_000_000_000

    private init(shard: Shard) { self.shard = shard }

    /// The readiness of a shard, which is made at the first call.
    package static func of(_ shard: Shard) -> Readiness {
        if let known = shard.reactor[Readiness.self] { return known }
        let made = Readiness(shard: shard)
        shard.reactor[Readiness.self] = made
        return made
    }

    /// Whether a load balancer asks for readiness regularly.
    package static func isWatched(on shard: Shard) -> Bool {
        guard let asked = shard.reactor[Readiness.self]?.lastAsked else { return false }
        return shard.reactor.now.nanoseconds(since: asked) < memory
    }

    /// The same as ``look(_:)``, for a load balancer that asks regularly.
    package func ask(_ then: @escaping (String?) -> Void) {
        lastAsked = shard.reactor.now
        look(then)
    }

    /// Finds out whether the broker is ready; `then` gets the reason if it is not.
    package func look(_ then: @escaping (String?) -> Void) {
        if shard.isDraining || shard.isLeaving { return then("shutting down") }
        if let failure = shard.hindrance?() { return then(failure) }
        if let known, shard.reactor.now.nanoseconds(since: known.time) < Self.validity { return then(known.failure) }
        waiting.append(then)
        guard waiting.count == 1 else { return }
        let begin = MonotonicTime.now
        shard.probe(patience: Self.patience) { [weak self] failure in
            guard let self else { return }
            lastDuration = MonotonicTime.now.nanoseconds(since: begin)
            known = (shard.reactor.now, failure)
            let answered = waiting
            waiting = []
            for then in answered { then(failure) }
        }
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

    func stored(_ failure: String?) {
        if let failure { return finish(failure) }
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
