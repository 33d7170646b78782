package import WSTransport

/// Records what happened to the latest messages on one reactor, for `brokerctl why`.
///
/// A ring of records of one size, which is always written. A record takes a fixed number of instructions and no memory
/// of its own: it holds numbers only, and a topic is represented by a hash of its name. Deliveries to single clients
/// are not recorded: they are derived from these records and the client's subscriptions. Runs on the reactor's thread.
@safe package final class FlightRecorder {
    package enum Act: UInt8, Sendable {
        /// A message was handed to its subscribers here; `count` of them took it at once.
        case published
        /// A publication was refused; `count` is the index of its error code.
        case refused
        /// A client has been sent everything up to `seq`; later messages wait.
        case behind
        /// A client that was behind has been sent everything up to `seq`.
        case live
        /// A message that waited for a client was dropped, by the client's policy.
        case dropped
        /// A client was told that it misses messages up to `seq`; `topic` is the number before the first of them.
        case gap
    }

    /// One record.
    package struct Record: Sendable {
        package let seq: UInt64
        /// The hash of the topic's name.
        package let topic: UInt64
        /// The ``Client/id``; 0 if there is none.
        package let client: UInt64
        /// Unix milliseconds; 0 if not known.
        package let time: Int64
        package let count: UInt32
        package let act: Act
    }

    private var records: UnsafeMutablePointer<Record>?
    private var capacity = 0
    /// The index of the next record.
    private var next = 0
    /// Whether the whole ring has been written.
    private var isFull = false
    // Unchecked, because every message reads these, and nothing is called while one of them changes.
    @exclusivity(unchecked) private var lastTopic = Topic(unchecked: "")
    @exclusivity(unchecked) private var lastNumber: UInt64 = 0
    /// The taps of administrators that watch each decision; usually none.
    @exclusivity(unchecked) private var taps: [TraceTap] = []

    /// The size of a record, in bytes.
    package static let recordSize = MemoryLayout<Record>.stride

    /// - Parameter size: of the ring, in bytes; 0: nothing is recorded.
    package init(size: Int) { resize(to: size) }

    deinit { unsafe records?.deallocate() }

    /// Changes the size of the ring, in bytes; that discards all records.
    package func resize(to size: Int) {
        let wanted = size / Self.recordSize
        guard wanted != capacity else { return }
        unsafe records?.deallocate()
        unsafe records = wanted > 0 ? .allocate(capacity: wanted) : nil
        (capacity, next, isFull) = (wanted, 0, false)
    }

    /// Runs `body` without recording what it does.
    func pause(_ body: () -> Void) {
        let kept = unsafe records
        unsafe records = nil
        body()
        unsafe records = kept
    }

    /// A hash of a topic's name; two topics hardly ever have the same.
    @inline(__always)
    package func number(of topic: Topic) -> UInt64 {
        // Most messages have the topic of the one before.
        if unsafe lastTopic.name.isSame(as: topic.name) { return unsafe lastNumber }
        return lookUp(topic)
    }

    @inline(never)
    private func lookUp(_ topic: Topic) -> UInt64 {
        let number = Self.number(topic.name.utf8Span.span)
        unsafe (lastTopic, lastNumber) = (topic, number)
        return number
    }

    /// Hashes eight bytes a step.
    private static func number(_ name: Span<UInt8>) -> UInt64 {
        var number = UInt64(truncatingIfNeeded: name.count) &* 0x9E37_79B9_7F4A_7C15
        var offset = 0
        while offset < name.count {
            let count = min(8, name.count &- offset)
            number = (number ^ name.word(at: offset, count: count)) &* 0xD6E8_FEB8_6659_FD93
            number ^= number &>> 32
            offset &+= count
        }
        return number
    }

    /// Records a message that was handed to its subscribers.
    @inline(__always)
    func published(_ message: Message, to count: Int) {
        write(
            Record(
                seq: message.seq, topic: number(of: message.topic), client: message.origin, time: message.time,
                count: UInt32(truncatingIfNeeded: count), act: .published))
    }

    /// Shows the taps a message that was handed to its subscribers.
    @inline(never)
    func show(_ message: Message, to count: Int, isAccepted: Bool, _ directory: Directory) {
        for tap in unsafe taps {
            tap.published(message, to: count, isAccepted: isAccepted) { directory.session(ofClient: $0) }
        }
    }

    /// Records what happened to a client.
    func note(_ act: Act, of client: UInt64, at seq: UInt64, topic: UInt64 = 0, count: Int = 0) {
        write(
            Record(
                seq: seq, topic: topic, client: client, time: WallClock.unixMilliseconds,
                count: UInt32(truncatingIfNeeded: count), act: act))
    }

    @inline(__always)
    private func write(_ record: Record) {
        guard let records = unsafe records else { return }
        unsafe (records + next).initialize(to: record)
        next &+= 1
        if next == capacity { (next, isFull) = (0, true) }
    }

    /// The records that satisfy `isWanted`, oldest first; at most the `most` newest.
    package func last(_ most: Int, where isWanted: (Record) -> Bool) -> [Record] {
        guard let records = unsafe records else { return [] }
        var found: [Record] = []
        let count = isFull ? capacity : next
        for age in 1...max(1, count) where age <= count && found.count < most {
            let place = next - age
            let record = unsafe records[place < 0 ? place + capacity : place]
            if isWanted(record) { found.append(record) }
        }
        return found.reversed()
    }

    /// The time of the oldest record, in Unix milliseconds; `nil` if there is none.
    package var since: Int64? {
        guard let records = unsafe records, isFull || next > 0 else { return nil }
        return unsafe records[isFull ? next : 0].time
    }

    // MARK: Traces

    /// Whether an administrator watches each decision.
    @inline(__always)
    var isTraced: Bool { unsafe !taps.isEmpty }

    /// The tap with a number, which is made if it is new; `nil` if there are too many.
    package func tap(_ number: UInt64, _ make: () -> TraceTap) -> TraceTap? {
        if let tap = unsafe taps.first(where: { $0.number == number }) { return tap }
        guard unsafe taps.count < TraceTap.maximumTaps else { return nil }
        let tap = make()
        unsafe taps.append(tap)
        return tap
    }

    /// Removes a tap.
    package func removeTap(_ number: UInt64) { unsafe taps = taps.filter { $0.number != number } }

    /// Removes the taps that have not been read for some time; returns whether any are left.
    package func removeOldTaps(now: MonotonicTime) -> Bool {
        unsafe taps = taps.filter { now.nanoseconds(since: $0.asked) < TraceTap.patience }
        return isTraced
    }

    /// A client was refused a publication, or to subscribe.
    ///
    /// - Parameters:
    ///   - name: the topic or filter as the client wrote it; empty if it is not known.
    ///   - client: its number; 0 if it is not known.
    ///   - topic: that of a publication, for the ring; `nil`: only the taps see it.
    func refused(_ refusal: Refusal, _ name: String, _ client: UInt64, topic: Topic? = nil) {
        if let topic {
            let place = ErrorCode.allCases.firstIndex(of: refusal.code) ?? 0
            note(.refused, of: client, at: 0, topic: number(of: topic), count: place)
        }
        for tap in unsafe taps { tap.refused(refusal, name, client) }
    }

    /// A publication repeats a message, by whose number it was answered.
    func repeated(_ topic: Topic, _ client: UInt64, _ number: UInt64) {
        for tap in unsafe taps { tap.repeated(topic, client, number) }
    }

    /// The store has stored messages, or has not.
    func settled(_ settlement: StoreThread.Settlement) { for tap in unsafe taps { tap.settled(settlement) } }

    /// A message that waited for a client was dropped.
    func dropped(_ message: Message, _ client: Client) {
        note(.dropped, of: client.id, at: message.seq, topic: number(of: message.topic))
        for tap in unsafe taps { tap.slow("dropped", client, message, seq: message.seq) }
    }

    /// A client fell behind, or has caught up.
    func changed(_ act: Act, of client: Client, at seq: UInt64) {
        note(act, of: client.id, at: seq)
        for tap in unsafe taps { tap.slow(act == .behind ? "behind" : "live", client, seq: seq) }
    }

    /// A client was told of a gap.
    func missed(_ gap: Gap, _ client: Client) {
        note(.gap, of: client.id, at: gap.seq, topic: gap.since)
        for tap in unsafe taps { tap.slow("gap", client, seq: gap.seq) }
    }
}
