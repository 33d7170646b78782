/// Decides, in the order of the log, which records count: repeated ones, those out of order and those of an ended term
/// do not.
///
/// A value without a lock, a disk or a clock. All brokers that fold the same log come to the same state, however often
/// they see an entry, so nothing but the log may decide here. The ``Sequencer`` applies a record's messages at the
/// place that the fold gives them.
struct Fold: Equatable, Sendable {
    /// An entry of the log, as far as it matters to the fold.
    enum Entry: Sendable {
        /// A record of this many numbers, which the engine accepted at `time`, in Unix milliseconds.
        case record(LogRecord.Head, numbers: Int, time: Int64)
        /// A term begins. The previous one ended at `closed`; `epoch` is that of the state.
        case term(closed: LogPosition, epoch: UInt64)
    }

    /// The outcome of an entry.
    enum Outcome: Equatable, Sendable {
        /// Its messages count, with these numbers and this time, in Unix milliseconds.
        case taken(numbers: Range<UInt64>, time: Int64)
        /// It was applied before, at another place of the log.
        case duplicate
        /// Earlier records of its sender are missing, from this number on: it does not count, and its sender repeats
        /// them.
        case hole(first: UInt64)
        /// It was folded before, or belongs to a term that ended before it: it is ignored.
        case stale
        /// The engine gave it numbers that others have: it does not count, and its sender repeats it.
        ///
        /// This happens to a large record if the engine's functions are deleted just then
        /// (``EngineFunctions/Keys/append(_:numbers:term:time:)``).
        case misplaced
        /// A term has begun, and nothing is lost.
        case begun
        /// A term has begun, and the previous one ended below the position here: messages after `closed` are in no log.
        case undone(after: LogPosition)
        /// Entries between the last one and this one are missing.
        case missing
        /// The log belongs to another state.
        case foreign(epoch: UInt64)
    }

    /// The last record of a sender.
    private struct Sender: Equatable, Sendable {
        var incarnation: UInt64
        var number: UInt64
        /// Its position.
        var seq: UInt64
    }

    /// How many senders are remembered; those that have been silent for the longest time are forgotten.
    private static let maximumSenders = 4096

    /// Everything up to this position is folded.
    private(set) var position = LogPosition.start
    /// The time of the last record, in Unix milliseconds; it never decreases.
    private(set) var time: Int64 = 0
    /// The epoch of the state; 0 if it is not known yet.
    private(set) var epoch: UInt64 = 0
    /// The digest of all entries that counted, and of their outcomes.
    private(set) var digest = LogDigest()
    private var senders: [UInt64: Sender] = [:]
    /// The jumps of the numbers, from the end of a term to the beginning of the next.
    private(set) var jumps = LogJumps()
    /// A term that is known to have begun, although its entry was not read yet, and the end of the previous one.
    private var begun: (term: UInt64, closed: LogPosition)?

    /// Announces that the engine accepts records of a term, which begins in the log after `closed`.
    ///
    /// A copy of the log may still have entries of the previous term that are in no other copy. If the term is the one
    /// that was read last, a later term that was announced has had no effect: its primary was replaced by the one of
    /// this term before any broker read from it.
    mutating func expect(term: UInt64, closed: LogPosition) {
        begun = term > position.term ? (term, closed) : nil
    }

    /// Folds the entry at a position.
    mutating func fold(_ entry: Entry, at place: LogPosition) -> Outcome {
        guard place > position else { return .stale }
        if let begun, place.term < begun.term, place > begun.closed { return .stale }
        switch entry {
        case .term(let closed, let epoch): return begin(place, closed: closed, epoch: epoch)
        case .record(let head, let numbers, let time): return take(head, numbers, time, at: place)
        }
    }

    private mutating func begin(_ place: LogPosition, closed: LogPosition, epoch: UInt64) -> Outcome {
        guard self.epoch == 0 || self.epoch == epoch else { return .foreign(epoch: epoch) }
        guard closed >= position else { return .undone(after: closed) }
        guard closed == position else { return .missing }
        self.epoch = epoch
        // Before the first term there was no log that could have lost something.
        if closed.term > 0 { jumps.add(LogJumps.Jump(closed: closed.seq, begun: place.seq)) }
        position = place
        if let term = begun?.term, term <= place.term { begun = nil }
        return .begun
    }

    private mutating func take(_ head: LogRecord.Head, _ numbers: Int, _ time: Int64, at place: LogPosition) -> Outcome
    {
        let first = place.seq &- UInt64(numbers) &+ 1
        guard place.term == position.term, first <= position.seq &+ 1, first <= place.seq else { return .missing }
        let isMisplaced = first <= position.seq
        position = place
        guard !isMisplaced else { return .misplaced }
        self.time = max(self.time, time)
        let last = senders[head.node]
        if let last, head.incarnation < last.incarnation { return .duplicate }
        let next = last.flatMap { $0.incarnation == head.incarnation ? $0.number + 1 : nil } ?? 1
        guard head.number >= next else { return .duplicate }
        guard head.number == next else { return .hole(first: next) }
        senders[head.node] = Sender(incarnation: head.incarnation, number: head.number, seq: place.seq)
        if senders.count > Self.maximumSenders { forgetOldest() }
        for number in [place.term, place.seq, head.node, head.incarnation, head.number] { digest.add(number) }
        return .taken(numbers: first..<place.seq + 1, time: self.time)
    }

    private mutating func forgetOldest() {
        guard let oldest = senders.min(by: { $0.value.seq < $1.value.seq }) else { return }
        senders[oldest.key] = nil
    }

    /// Adds the outcome of the last record: the numbers of the accepted messages.
    mutating func conclude(accepted seqs: some Sequence<UInt64>) {
        for seq in seqs { digest.add(seq) }
    }

    /// The number of the last record of a sender that counted; 0 if none of that incarnation has.
    func last(of node: UInt64, incarnation: UInt64) -> UInt64 {
        senders[node].flatMap { $0.incarnation == incarnation ? $0.number : nil } ?? 0
    }

    // MARK: On disk

    /// The version of ``bytes``; states of version 1, without the jumps, may still exist.
    private static let version: UInt8 = 2
    private static let versionWithoutJumps: UInt8 = 1

    /// The state for a later start.
    ///
    /// Version (1 byte), term, number, time, epoch, digest and the number of senders (8 bytes each, big-endian); for
    /// each sender its number, incarnation, last record and the position of that; then the number of jumps, and for
    /// each where it begins and ends.
    var bytes: [UInt8] {
        var bytes = [Self.version]
        bytes.reserveCapacity(57 + senders.count * 32 + jumps.all.count * 16)
        for number in [
            position.term, position.seq, UInt64(bitPattern: time), epoch, digest.value, UInt64(senders.count),
        ] { bytes.appendBigEndian(number) }
        for (node, sender) in senders {
            for number in [node, sender.incarnation, sender.number, sender.seq] { bytes.appendBigEndian(number) }
        }
        bytes.appendBigEndian(UInt64(jumps.all.count))
        for jump in jumps.all {
            bytes.appendBigEndian(jump.closed)
            bytes.appendBigEndian(jump.begun)
        }
        return bytes
    }

    /// Reads a stored state; `nil` if it is of another version or damaged.
    init?(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty, bytes[0] == Self.version || bytes[0] == Self.versionWithoutJumps else { return nil }
        var reader = LogReader(bytes, from: 1)
        do throws(LogRecord.Mistake) {
            position = LogPosition(term: try reader.fixed(), seq: try reader.fixed())
            time = Int64(bitPattern: try reader.fixed())
            epoch = try reader.fixed()
            digest = LogDigest(try reader.fixed())
            for _ in 0..<(try reader.fixed()) {
                let node = try reader.fixed()
                senders[node] = Sender(
                    incarnation: try reader.fixed(), number: try reader.fixed(), seq: try reader.fixed())
            }
            for _ in 0..<(bytes[0] == Self.version ? try reader.fixed() : 0) {
                jumps.add(LogJumps.Jump(closed: try reader.fixed(), begun: try reader.fixed()))
            }
        } catch {
            return nil
        }
        guard reader.isAtEnd else { return nil }
    }

    /// Creates a state in which nothing is folded yet.
    ///
    /// - Parameters:
    ///   - seq: the newest number that the store has from before; 0 if it has none.
    ///   - epoch: the store's epoch; only a log of that epoch can be followed.
    init(after seq: UInt64 = 0, epoch: UInt64 = 0) {
        position = LogPosition(term: 0, seq: seq)
        self.epoch = seq == 0 ? 0 : epoch
    }

    static func == (left: Fold, right: Fold) -> Bool {
        left.position == right.position && left.time == right.time && left.epoch == right.epoch
            && left.digest == right.digest && left.senders == right.senders && left.jumps == right.jumps
    }
}
