internal import Synchronization
package import WSTransport

/// The order of several brokers: that of a log, which all of them read.
///
/// The drafts of a shard become a record, which is applied when the tail brings it back, like the records of others.
/// Until then it is kept, and sent again if it may have been lost: a record counts once (``Fold``). Any thread may
/// submit drafts; one thread reports what the engine and its tail do.
package final class LogOrder: Order {
    /// The limits of records, and of waiting publications.
    package struct Limits: Sendable {
        /// The size of one record, in bytes; a larger message has its own record.
        package var recordSize = 256 << 10
        /// The maximum number of messages in a record.
        package var recordCount = 1000
        /// How many sent records may be outstanding.
        package var outstanding = 512
        /// The maximum size of everything that waits, in bytes; beyond it publications are refused.
        package var waiting = 64 << 20

        package init() {}
    }

    private struct State {
        var fold: Fold
        var incarnation: UInt64
        var attempt: UInt64 = 0
        /// The records that have not come back.
        var own = OwnRecords()
        /// Whether the engine will have what waits be sent.
        var isCalled = false
        /// The term for which the engine accepts records; `nil` if it accepts none.
        var term: UInt64?
        /// Nothing is sent before the tail has reached this position, because it may have records that seem lost.
        var awaited = LogPosition.start
        /// Whether a record of this broker is being applied, and what was refused meanwhile.
        var isApplying = false
        var refused: [OwnRecords.Refused] = []
        /// The comparison with the other brokers.
        var comparison = DigestComparison()
        /// Why drafts are refused; `nil` if they are accepted.
        var refusal: Refusal?
        /// Whether that is permanent.
        var isOver = false
    }

    private let sequencer: Sequencer
    private let engine: any LogEngine
    private let node: UInt64
    private let limits: Limits
    private let onPrivate: @Sendable ([Message]) -> Void
    private let state: Mutex<State>
    private let group: LogGroup
    private let partition: Int
    /// The raw value of the format of new records.
    private let written = Atomic<UInt8>(RecordFormat.plain.rawValue)

    /// - Parameters:
    ///   - node: which of the brokers this is.
    ///   - incarnation: greater than any that the node has used before.
    ///   - mark: the store's mark, from which it continues; `nil` to continue after the store's numbers.
    ///   - partition: the log of `group` that it reads.
    ///   - onPrivate: gets the accepted messages of private topics, in their order, on the thread of the tail.
    /// - Throws: ``StorageError/newer(_:)`` if another version has stored the mark.
    package init(
        _ sequencer: Sequencer, engine: any LogEngine, node: UInt64, incarnation: UInt64, from mark: OrderMark? = nil,
        partition: Int = 0, of group: LogGroup = LogGroup(), limits: Limits = Limits(),
        onPrivate: @escaping @Sendable ([Message]) -> Void = { _ in }
    ) throws(StorageError) {
        (self.sequencer, self.engine, self.node, self.limits) = (sequencer, engine, node, limits)
        (self.partition, self.group, self.onPrivate) = (partition, group, onPrivate)
        var fold = Fold(after: sequencer.newest, epoch: sequencer.store.epoch)
        if let known = group.partitions.count > 1 ? group.state(of: partition) : mark?.state {
            guard let stored = Fold(known.span) else {
                throw .newer("another version wrote the state of the cluster in the store")
            }
            fold = stored
        }
        var state = State(fold: fold, incarnation: incarnation)
        state.refusal = Self.away
        state.comparison.settle(fold.position, fold.digest.value)
        self.state = Mutex(state)
        sequencer.adopt(fold.jumps, of: partition)
        if group.partitions.count > 1 {
            _ = group.mark(fold.bytes, of: partition, upTo: fold.position.seq, at: sequencer.newest)
        }
        sequencer.beginFollowing(logTime: fold.time, of: partition, at: fold.position.seq)
    }

    private static let away = Refusal(.unavailable, "The broker has no connection to its cluster; try again.")
    /// For what has been handed to the engine: it may be in the log, but this broker has not read it there.
    private static let unconfirmed = Refusal(
        .unavailable,
        "The cluster has not confirmed the message, which may be published all the same; try again with the same key."
    )
    private static let overload = Refusal(.unavailable, "The cluster cannot keep up at the moment; try again.")
    private static let lost = Refusal(.unavailable, "The broker has lost the connection to its cluster.")

    package var obstacle: Refusal? { state.withLock { $0.refusal } }

    /// How far the log is applied here.
    package var position: LogPosition { state.withLock { $0.fold.position } }

    /// The time of the last record, in Unix milliseconds; 0 if there was none.
    package var time: Int64 { state.withLock { $0.fold.time } }

    /// The digest of the log and the results; equal at all brokers at the same position.
    package var digest: LogDigest { state.withLock { $0.fold.digest } }

    /// The findings about the other brokers, by their numbers, and how often one has begun to differ.
    package var comparison: (findings: [(node: UInt64, at: LogPosition, isEqual: Bool)], divergences: UInt64) {
        state.withLock { state in
            let findings = state.comparison.findings.map { (node: $0, at: $1.place, isEqual: $1.isEqual) }
            return (findings, state.comparison.divergences)
        }
    }

    /// The epoch of the state that the log belongs to; 0 if it is not known yet.
    package var epoch: UInt64 { state.withLock { $0.fold.epoch } }

    /// How many records have not come back.
    package var waiting: Int { state.withLock { $0.own.count } }

    /// The format in which it writes new records; at first the one that all brokers read.
    package var format: RecordFormat {
        get { RecordFormat(rawValue: written.load(ordering: .relaxed)) ?? .plain }
        set { written.store(newValue.rawValue, ordering: .relaxed) }
    }

    // MARK: Submitting

    package func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime) {
        let records = cut(drafts.span)
        let mustCall = state.withLock { state in
            let size = records.reduce(0) { $0 + $1.size }
            if let refusal = state.refusal ?? (state.own.size + size > limits.waiting ? Self.overload : nil) {
                refuse(OwnRecords.Refused(count: drafts.count, refusal: refusal, shard: shard), &state)
                return false
            }
            for record in records { state.own.add(record, from: shard, at: time) }
            // Without a term it is sent when one begins.
            guard !state.isCalled, state.term != nil else { return false }
            state.isCalled = true
            return true
        }
        if mustCall { engine.call(self) }
    }

    /// Sends what waits.
    package func send() { state.withLock { send(&$0) } }

    /// Appends a record without messages, a canary: it comes back only if everything works, and shows the others that
    /// this broker is alive.
    ///
    /// Does nothing while publications are refused.
    package func beat() {
        let record = UnsentRecord([Draft]().span, in: format)
        state.withLock { state in
            guard state.refusal == nil else { return }
            state.own.add(record, from: -1, at: .now)
            send(&state)
        }
    }

    private func cut(_ drafts: Span<Draft>) -> [UnsentRecord] {
        let format = format
        var records: [UnsentRecord] = []
        var (first, size) = (0, 0)
        for place in drafts.indices {
            let weight = drafts[place].payload.count + drafts[place].topic.name.utf8.count
            if place > first, size + weight > limits.recordSize || place - first == limits.recordCount {
                records.append(UnsentRecord(drafts.extracting(first..<place), in: format))
                (first, size) = (place, 0)
            }
            size += weight
        }
        records.append(UnsentRecord(drafts.extracting(first..<drafts.count), in: format))
        return records
    }

    private func refuse(_ refused: OwnRecords.Refused, _ state: inout State) {
        if state.own.refuse(refused) { return }
        if state.isApplying { state.refused.append(refused) } else { conclude([refused]) }
    }

    private func conclude(_ refused: [OwnRecords.Refused]) {
        for each in refused { sequencer.refuse(each.count, each.refusal, of: each.shard, partition) }
    }

    /// Sends the records that were not sent in this attempt, as far as the limits allow.
    private func send(_ state: inout State) {
        state.isCalled = false
        guard let term = state.term, state.fold.position >= state.awaited, !state.isOver else { return }
        state.refusal = nil
        // Not those of the fold, because its digest includes only a part of the record that is being applied.
        let here = state.comparison.latest
        while let (number, record) = state.own.next(within: limits) {
            let head = LogRecord.Head(
                node: node, incarnation: state.incarnation, attempt: state.attempt, number: number,
                folded: here?.place ?? .start, digest: here?.digest ?? 0)
            engine.append(record.bytes(head), numbers: record.numbers, term: term)
        }
    }

    // MARK: Reports of the engine

    /// Announces that the engine accepts records for `term`, which began after `closed`; its log ends at `top`.
    ///
    /// Records that have not come back by then are sent again. After ``giveUp()`` nothing is accepted before that.
    package func engage(term: UInt64, closed: LogPosition, top: LogPosition) {
        state.withLock { state in
            guard !state.isOver else { return }
            state.fold.expect(term: term, closed: closed)
            (state.term, state.awaited) = (term, top)
            state.attempt += 1
            state.own.sendAgain()
            send(&state)
        }
    }

    /// Announces that the engine accepts nothing now; sent records may be lost.
    package func disengage() { state.withLock { $0.term = nil } }

    /// Refuses everything that waits, and all drafts until the engine accepts records again.
    ///
    /// Some of it may be in the log nevertheless; it is then applied like a message whose publisher has gone.
    package func giveUp() { group.applying.withLock { _ in giveUp(Self.unconfirmed, isOver: false, later: Self.away) } }

    /// Announces that the log continues with an earlier term than the last one that was read here.
    ///
    /// Messages after the end of that term are in no log. Nothing more is accepted. Returns the resulting trouble.
    package func lose(to term: UInt64) -> LogTrouble {
        group.applying.withLock { _ in giveUp(Self.lost, isOver: true) }
        let closed = state.withLock { $0.fold.jumps.all.last?.closed ?? $0.fold.position.seq }
        return .undone(after: LogPosition(term: term, seq: closed))
    }

    package func close() -> UInt64 {
        group.applying.withLock { _ in giveUp(Refusal(.unavailable, "The broker is shutting down."), isOver: true) }
        return sequencer.newest
    }

    /// - Parameter later: the refusal of later messages; `nil`: the same.
    private func giveUp(_ refusal: Refusal, isOver: Bool, later: Refusal? = nil) {
        state.withLock { state in
            for turn in state.own.removeAll().flatMap(\.turns) {
                // A canary has no publisher.
                if turn.count > 0 { sequencer.refuse(turn.count, refusal, of: turn.shard, partition) }
                conclude(turn.refused)
            }
            // Later records must not be mistaken for the abandoned ones.
            state.incarnation += 1
            state.term = nil
            (state.refusal, state.isOver) = (later ?? refusal, isOver || state.isOver)
        }
    }

    /// Applies entries from the tail, in their order.
    ///
    /// Throws the reason if the log cannot be followed; then nothing more is accepted.
    package func receive(_ entries: [LogEntry]) throws(LogTrouble) {
        for entry in entries {
            let trouble = group.applying.withLock { _ -> LogTrouble? in
                let before = group.partitions.count > 1 ? sequencer.newest : 0
                do throws(LogTrouble) { try receive(entry) } catch {
                    giveUp(Self.lost, isOver: true)
                    return error
                }
                let position = state.withLock { state in
                    state.comparison.settle(state.fold.position, state.fold.digest.value)
                    return state.fold.position
                }
                if group.partitions.count > 1 { sequencer.reach(position.seq, of: partition, from: before) }
                return nil
            }
            if let trouble { throw trouble }
        }
        group.applying.withLock { _ in
            let (fold, seq) = state.withLock { state in
                send(&state)
                return (state.fold.bytes, state.fold.position.seq)
            }
            let isOnlyOne = group.partitions.count == 1
            sequencer.note(
                isOnlyOne
                    ? OrderMark(state: fold, seq: seq)
                    : group.mark(fold, of: partition, upTo: seq, at: sequencer.newest))
        }
    }

    private func receive(_ entry: LogEntry) throws(LogTrouble) {
        switch entry {
        case .term(let place, let closed, let epoch):
            let outcome = state.withLock { $0.fold.fold(.term(closed: closed, epoch: epoch), at: place) }
            try check(outcome)
            guard outcome == .begun else { return }
            sequencer.adopt(epoch: epoch)
            // Before any client can know of the numbers after it.
            sequencer.adopt(state.withLock { $0.fold.jumps }, of: partition)
        case .record(let bytes, let place, let time):
            let record: LogRecord
            do throws(LogRecord.Mistake) { record = try LogRecord(bytes.span) } catch { throw .unreadable(place) }
            // This broker's incarnation only rises within this process: a higher one belongs to another process.
            guard record.head.node != node || record.head.incarnation <= state.withLock({ $0.incarnation }) else {
                throw .displaced(place)
            }
            let (outcome, own) = state.withLock { state in fold(record, at: place, time: time, &state) }
            try check(outcome)
            guard case .taken(let numbers, let time) = outcome else { return }
            let others = OwnRecords.Turn(shard: -1, count: record.drafts.count, began: nil)
            let accepted = apply(record.drafts, of: own?.turns ?? [others], numbers, time)
            state.withLock { state in
                state.fold.conclude(accepted: accepted)
                guard own != nil else { return }
                conclude(state.refused)
                (state.isApplying, state.refused) = (false, [])
            }
        }
    }

    private func check(_ outcome: Fold.Outcome) throws(LogTrouble) {
        switch outcome {
        case .taken, .duplicate, .hole, .stale, .misplaced, .begun: break
        case .missing: throw .missing(after: position)
        case .undone(let closed): throw .undone(after: closed)
        case .foreign(let epoch): throw .foreign(epoch: epoch)
        }
    }

    /// Folds a record, and removes it from the waiting ones if it is this broker's.
    private func fold(
        _ record: LogRecord, at place: LogPosition, time: Int64, _ state: inout State
    ) -> (Fold.Outcome, OwnRecords.Entry?) {
        let head = record.head
        let numbers = LogRecord.numbers(of: record.drafts.count)
        let outcome = state.fold.fold(.record(head, numbers: numbers, time: time), at: place)
        if head.node != node { state.comparison.compare(head.node, at: head.folded, head.digest) }
        guard head.node == node, head.incarnation == state.incarnation else { return (outcome, nil) }
        switch outcome {
        case .hole(let first) where head.attempt == state.attempt && first >= state.own.first:
            // An earlier record was lost: all from there on are sent again, once for all records after the hole.
            state.attempt += 1
            state.own.sendAgain(from: first)
            send(&state)
        case .taken:
            guard let own = state.own.take(head.number) else { return (outcome, nil) }
            state.isApplying = true
            return (outcome, own)
        default: break
        }
        return (outcome, nil)
    }

    // MARK: Applying

    /// Applies drafts with the numbers that their places in the record give them, and returns those of the accepted
    /// ones.
    ///
    /// - Parameter turns: whose they are, in their order; each shard gets the results of its own.
    private func apply(
        _ all: [Draft], of turns: [OwnRecords.Turn], _ numbers: Range<UInt64>, _ time: Int64
    ) -> [UInt64] {
        sequencer.follow(logTime: time, of: partition)
        var accepted: [UInt64] = []
        var shared: [Message] = []
        var expectation = sequencer.expect(all)
        let drafts = all.span
        var place = 0
        for (index, turn) in turns.enumerated() {
            let limit = index == turns.count - 1 ? drafts.count : min(place + turn.count, drafts.count)
            while place < limit {
                // A draft that may be refused is applied alone; it takes its number nevertheless.
                var end = place + 1
                if !Self.mayBeRefused(drafts, place) {
                    while end < limit, !Self.mayBeRefused(drafts, end) { end += 1 }
                }
                let (places, names) = line(numbers.lowerBound + UInt64(place)..<numbers.upperBound)
                let part = Sequencer.Part(
                    first: 0, shard: turn.shard, isInTurn: false, numbers: places, time: time, began: turn.began,
                    names: names)
                var stored = Sequencer.StoredValues()
                var count = 0
                while count == 0 {
                    let span = drafts.extracting(place..<end)
                    count =
                        sequencer.apply(span, part, Self.lost, stored, &expectation) { batch in
                            accepted += batch.items.map(\.message.number)
                            for item in batch.items where item.message.topic.isPrivate { shared.append(item.message) }
                        }.count
                    if count == 0 { sequencer.lookUp(span, from: 0, &stored) }
                }
                place = end
            }
            conclude(turn.refused)
        }
        sequencer.conclude(expectation)
        if !shared.isEmpty { onPrivate(shared) }
        return accepted
    }

    /// The places for the next numbers of the log: the numbers themselves, or the next places in the sequence of
    /// several logs.
    private func line(_ numbers: Range<UInt64>) -> (places: Range<UInt64>, names: LogNames) {
        guard group.partitions.count > 1 else { return (numbers, LogNames()) }
        let first = sequencer.newest + 1
        let names = LogNames(group.partitions, partition, first: numbers.lowerBound, at: first)
        return (first..<first + UInt64(numbers.count), names)
    }

    private static func mayBeRefused(_ drafts: Span<Draft>, _ place: Int) -> Bool {
        // Not with `||`, which crashes the optimising compiler (6.3.1).
        if drafts[place].isConditional { return true }
        return drafts[place].key != nil
    }
}
