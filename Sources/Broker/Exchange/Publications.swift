internal import WSTransport

/// The publications of one reactor, from the draft to its acknowledgement.
///
/// The drafts of a turn are handed over together, and kept until their results arrive. Runs on the reactor's thread.
final class Publications {
    private let reactor: Reactor
    private let order: any Order
    private let sequencer: Sequencer
    private let counters: ShardCounters
    private let recorder: FlightRecorder
    private let shard: Int
    // Unchecked, because each message reads these, and nothing is called while one of them changes.
    /// The drafts of this turn.
    @exclusivity(unchecked) private var drafts: [Draft] = []
    /// Memory to reuse for the next turn's drafts, if this turn had no more than ``keptDrafts``.
    @exclusivity(unchecked) private var emptied: [Draft] = []
    private static let keptDrafts = 64
    /// The drafts that have been handed over; the first ``concluded`` of them have got their results.
    @exclusivity(unchecked) private var submitted: [Draft] = []
    private var concluded = 0
    /// Those that were handed over to the logs after the first; empty if there is one.
    private var elsewhere: [Handed] = []
    /// Drafts that one log has.
    private struct Handed {
        var drafts: [Draft] = []
        /// How many of them have got their results.
        var concluded = 0
    }

    /// A publisher that waits for the disk.
    private struct Waiter {
        /// As ``Draft/source``.
        let source: UInt64
        /// What its message is called in the answer.
        let number: UInt64
        var completion: (Result<Receipt, Refusal>) -> Void
    }

    /// By the places of their messages.
    private var waiting: [UInt64: Waiter] = [:]
    /// Connections that are not read, because another reactor cannot keep up.
    private var pausedSources: [StreamConnection] = []
    /// How long to wait before checking again whether other reactors have caught up, in nanoseconds.
    static let congestionPause: Int64 = 2_000_000
    /// Called when a limit has refused a draft, with its source and the limit's name.
    var limited: (UInt64, String) -> Void = { _, _ in }
    /// The same for a message whose publisher has been answered, with the number of its client; called on all reactors.
    var limitedLater: (UInt64, String) -> Void = { _, _ in }
    /// Called when a draft without a completion is refused, with its source.
    var unanswered: (UInt64, Refusal) -> Void = { _, _ in }
    /// The counts of publications that administrators have requested, by number.
    var meters: [Int: TopicMeter] = [:]

    /// - Parameter shard: the index of the shard.
    init(
        reactor: Reactor, order: any Order, sequencer: Sequencer, counters: ShardCounters, _ recorder: FlightRecorder,
        shard: Int
    ) {
        self.reactor = reactor
        self.order = order
        self.sequencer = sequencer
        (self.counters, self.recorder) = (counters, recorder)
        self.shard = shard
        elsewhere = Array(repeating: Handed(), count: sequencer.partitions.count - 1)
    }

    /// Whether this turn has no draft to hand over.
    var isEmpty: Bool { unsafe drafts.isEmpty }

    /// How many publishers wait for the disk.
    var waitingCount: Int { waiting.count }

    /// Adds a draft to those of this turn.
    ///
    /// Inlined, so that the draft is built in its final place.
    ///
    /// - Parameter source: as ``Draft/source``.
    @inline(__always)
    func add(_ draft: consuming Draft, from source: UInt64 = Draft.noSource) {
        let place = unsafe drafts.count
        unsafe drafts.append(draft)
        // Changed in its final place: changing it before would copy all of it.
        unsafe drafts[place].source = source
        reactor.needsTurn()
    }

    /// The same for a draft that gets its publisher here.
    @inline(__always)
    func add(_ draft: consuming Draft, by client: Client, from source: UInt64) {
        let place = unsafe drafts.count
        unsafe drafts.append(draft)
        unsafe Self.complete(&drafts[place], by: client, from: source)
        reactor.needsTurn()
    }

    @inline(__always)
    private static func complete(_ draft: inout Draft, by client: Client, from source: UInt64) {
        draft.source = source
        if draft.origin != client.id { draft.origin = client.id }
        if draft.hasKey, let key = draft.key { draft.key = key.of(client, draft.topic) }
    }

    /// Hands over the drafts of this turn.
    func handOver() {
        guard unsafe !drafts.isEmpty else { return }
        let batch = unsafe drafts
        unsafe drafts = emptied
        unsafe emptied = []
        if elsewhere.isEmpty {
            unsafe submitted = submitted.isEmpty ? batch : submitted + batch
        } else {
            keep(batch)
        }
        order.submit(batch, from: shard, at: reactor.now)
        if sequencer.isCongested(by: shard) { pauseSources(of: batch) }
    }

    /// Keeps each draft until the log of its topic has its result.
    private func keep(_ batch: [Draft]) {
        for draft in batch {
            let partition = sequencer.partitions.partition(of: draft.topic)
            if partition == 0 { unsafe submitted.append(draft) } else { elsewhere[partition - 1].drafts.append(draft) }
        }
    }

    // MARK: Results

    /// Tells publishers the results of the oldest drafts that a log has.
    func conclude(_ batch: Batch) {
        guard batch.partition == 0 else { return concludeElsewhere(batch) }
        let first = concluded
        let end = first + batch.count
        guard unsafe end <= submitted.count else { return }
        // Store the new state before a publisher is answered: it may publish or subscribe at once, which calls this
        // again.
        var drafts = unsafe submitted
        guard end == drafts.count else {
            concluded = end
            if end > Self.keptDrafts, end > drafts.count / 2 {
                unsafe (submitted, concluded) = (Array(drafts[end...]), 0)
            }
            return conclude(drafts.span, from: first, batch)
        }
        unsafe (submitted, concluded) = ([], 0)
        conclude(drafts.span, from: first, batch)
        guard drafts.capacity <= Self.keptDrafts else { return }
        for _ in drafts.indices { drafts.removeLast() }
        unsafe emptied = drafts
    }

    private func concludeElsewhere(_ batch: Batch) {
        let place = batch.partition - 1
        let (drafts, first) = (elsewhere[place].drafts, elsewhere[place].concluded)
        let end = first + batch.count
        guard end <= drafts.count else { return }
        // As above, before a publisher is answered.
        if end > Self.keptDrafts || end == drafts.count {
            elsewhere[place] = Handed(drafts: Array(drafts[end...]))
        } else {
            elsewhere[place].concluded = end
        }
        conclude(drafts.span, from: first, batch)
    }

    /// - Parameter drafts: a span, so that reading a draft does not copy it.
    private func conclude(_ drafts: Span<Draft>, from first: Int, _ batch: Batch) {
        var (item, refusal) = (0, 0)
        let (items, refusals) = (batch.span, batch.refusals)
        for place in first..<first + batch.count {
            if let refused = refusals?.list, refusal < refused.count, refused[refusal].place == place - first {
                reject(refused[refusal].rejection, drafts[place])
                refusal += 1
                continue
            }
            let (seq, number) = (items[item].message.seq, items[item].message.number)
            let isQueued = items[item].isQueued
            item += 1
            counters.published.add(1)
            counters.publishedBytes.add(drafts[place].message.payloadCount)
            if !meters.isEmpty { for meter in meters.values { meter.count(drafts[place]) } }
            guard let completion = drafts[place].completion else { continue }
            if isQueued, drafts[place].acknowledgement == .stored {
                wait(for: seq, number, drafts[place].source, completion)
            } else {
                completion(.success(Receipt(seq: number, isStored: false)))
            }
        }
    }

    /// Tells a publisher why its draft has become no message; a repetition is answered like the message that it
    /// repeats.
    private func reject(_ rejection: Batch.Rejection, _ draft: borrowing Draft) {
        switch rejection {
        case .refused(let refusal):
            counters.refusedPublishes.add(1)
            recorder.refused(refusal, draft.topic.name, draft.origin, topic: draft.topic)
            if let name = refusal.limit { limited(draft.source, name) }
            guard let completion = draft.completion else { return unanswered(draft.source, refusal) }
            completion(.failure(refusal))
        case .repeats(let seq, let number, let isQueued, let isOnDisk):
            counters.repeatedPublishes.add(1)
            if recorder.isTraced { recorder.repeated(draft.topic, draft.origin, number) }
            guard let completion = draft.completion else { return }
            guard isQueued, draft.acknowledgement == .stored, !isOnDisk else {
                let isStored = isOnDisk && draft.acknowledgement == .stored
                return completion(.success(Receipt(seq: number, isStored: isStored)))
            }
            wait(for: seq, number, draft.source, completion)
        }
    }

    private func wait(
        for seq: UInt64, _ number: UInt64, _ source: UInt64,
        _ completion: @escaping (Result<Receipt, Refusal>) -> Void
    ) {
        // Only a repetition can wait for a message that another publisher waits for.
        let waiter = Waiter(source: source, number: number, completion: completion)
        guard let other = waiting.updateValue(waiter, forKey: seq)?.completion else { return }
        waiting[seq]?.completion = { result in
            other(result)
            completion(result)
        }
    }

    /// Tells publishers that wait for the disk what the store has done.
    func settle(_ settlement: StoreThread.Settlement) {
        if recorder.isTraced { recorder.settled(settlement) }
        for (seq, error, origin) in settlement.failed {
            let waiter = waiting.removeValue(forKey: seq)
            if case .limit(let name) = error {
                if let waiter { limited(waiter.source, name) } else { limitedLater(origin, name) }
            }
            waiter?.completion(.failure(Refusal(afterDelivery: error)))
        }
        guard !waiting.isEmpty else { return }
        for seq in settlement.committed {
            guard let waiter = waiting.removeValue(forKey: seq) else { continue }
            waiter.completion(.success(Receipt(seq: waiter.number, isStored: true)))
        }
    }

    // MARK: Congestion

    /// Pauses the publishers of this turn, because another reactor cannot keep up.
    private func pauseSources(of batch: [Draft]) {
        counters.congestions.add(1)
        let isFirst = pausedSources.isEmpty
        for draft in batch {
            guard let source = reactor.connection(of: draft.source), !source.isReadingPaused(for: .congestion)
            else { continue }
            source.pauseReading(for: .congestion)
            pausedSources.append(source)
        }
        if isFirst, !pausedSources.isEmpty { checkAgain() }
    }

    private func checkAgain() {
        reactor.run(afterNanoseconds: Self.congestionPause) { [weak self] in
            guard let self else { return }
            if sequencer.isCongested(by: shard) { return checkAgain() }
            let sources = pausedSources
            pausedSources = []
            for source in sources { source.resumeReading(for: .congestion) }
        }
    }
}
