/// What of the log counts, decided in its order: records that are there twice, out of order, or of a term that has ended do not.
///
/// A value without a lock, a disk or a clock. All brokers that fold the same log come to the same state, however often an
/// entry is shown to them; so nothing but the log may decide here. What a record's messages amount to, at the place that
/// the fold gives them, is ``Sequencer``'s.
struct Fold: Equatable, Sendable {
    /// An entry of the log, as far as the fold looks at it.
    enum Entry: Sendable {
        /// A record of so many numbers, which the engine took at `time`, in Unix milliseconds.
        case record(LogRecord.Head, numbers: Int, time: Int64)
        /// A term begins. The one before ended at `closed`; `epoch` is that of the state.
        case term(closed: LogPosition, epoch: UInt64)
    }

    /// What an entry amounts to.
    enum Outcome: Equatable, Sendable {
        /// Its messages count, with these numbers and this time, in Unix milliseconds.
        case taken(numbers: Range<UInt64>, time: Int64)
        /// It was taken before, at another place of the log.
        case duplicate
        /// Records of its sender before it are missing, from this number on: it does not count, and its sender sends them again.
        case hole(first: UInt64)
        /// Folded before, or of a term that has ended before it: as if it were not there.
        case stale
        /// A term has begun, and nothing is lost.
        case begun
        /// A term has begun that ended below what is folded here: what came after `closed` is in no log.
        case undone(after: LogPosition)
        /// Entries between the last and this one are missing here.
        case missing
        /// The log is that of another state.
        case foreign(epoch: UInt64)
    }

    /// The last record of a sender.
    private struct Sender: Equatable, Sendable {
        var incarnation: UInt64
        var number: UInt64
        /// Where it was.
        var seq: UInt64
    }

    /// How many senders are remembered: the ones that were silent for longest are forgotten.
    private static let maximumSenders = 4096

    /// Up to here everything is folded.
    private(set) var position = LogPosition.start
    /// Of the last record, in Unix milliseconds; it never falls.
    private(set) var time: Int64 = 0
    /// 0: not known yet.
    private(set) var epoch: UInt64 = 0
    /// Of all that counted, and of what came of it.
    private(set) var digest = LogDigest()
    private var senders: [UInt64: Sender] = [:]
    /// The term that is known to have begun, and where the one before ended, before its entry was read.
    private var begun: (term: UInt64, closed: LogPosition)?

    /// The engine takes records of a term now, which begins in the log after `closed`.
    ///
    /// A copy of the log may still show entries of the term before, which are in no other.
    mutating func expect(term: UInt64, closed: LogPosition) {
        if term > position.term { begun = (term, closed) }
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
        position = place
        if let term = begun?.term, term <= place.term { begun = nil }
        return .begun
    }

    private mutating func take(_ head: LogRecord.Head, _ numbers: Int, _ time: Int64, at place: LogPosition) -> Outcome
    {
        let first = place.seq &- UInt64(numbers) &+ 1
        guard place.term == position.term, first == position.seq &+ 1, first <= place.seq else { return .missing }
        position = place
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

    /// Adds what came of the messages of the last record: the numbers of those that were accepted.
    mutating func conclude(accepted seqs: some Sequence<UInt64>) {
        for seq in seqs { digest.add(seq) }
    }

    /// The number of the last record of a sender that counted; 0: none of that incarnation has.
    func last(of node: UInt64, incarnation: UInt64) -> UInt64 {
        senders[node].flatMap { $0.incarnation == incarnation ? $0.number : nil } ?? 0
    }

    // MARK: On disk

    /// The version of ``bytes``.
    private static let version: UInt8 = 1

    /// The state for a later start: version (1 byte), term, number, time, epoch, digest and the number of senders (8 bytes each,
    /// big-endian), and of each sender its number, incarnation, last record and where that was.
    var bytes: [UInt8] {
        var bytes = [Self.version]
        bytes.reserveCapacity(49 + senders.count * 32)
        for number in [
            position.term, position.seq, UInt64(bitPattern: time), epoch, digest.value, UInt64(senders.count),
        ] { bytes.appendBigEndian(number) }
        for (node, sender) in senders {
            for number in [node, sender.incarnation, sender.number, sender.seq] { bytes.appendBigEndian(number) }
        }
        return bytes
    }

    /// A state that was stored; `nil`: another version's, or damaged.
    init?(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty, bytes[0] == Self.version else { return nil }
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
        } catch {
            return nil
        }
        guard reader.isAtEnd else { return nil }
    }

    /// Nothing is folded yet.
    ///
    /// - Parameters:
    ///   - seq: the newest number of what is here from before; 0: nothing is.
    ///   - epoch: of what is here, as only a log of that epoch can be followed.
    init(after seq: UInt64 = 0, epoch: UInt64 = 0) {
        position = LogPosition(term: 0, seq: seq)
        self.epoch = seq == 0 ? 0 : epoch
    }

    static func == (left: Fold, right: Fold) -> Bool {
        left.position == right.position && left.time == right.time && left.epoch == right.epoch
            && left.digest == right.digest && left.senders == right.senders
    }
}
